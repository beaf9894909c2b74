"""Running a plugin's network: on one image, in the modes of ``ravenml.infer``, over a whole project."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import ClassVar, NamedTuple

import numpy as np

from ravenml.common.io import JsonObject, read_json
from ravenml.data.editable_annotation import EditableAnnotation
from ravenml.data.editable_annotation import Label as Entry
from ravenml.data.meta import ObjClass as Class
from ravenml.data.meta import TagMeta as TagName
from ravenml.infer.modes.catalog import MODES, effective_config, make_mode
from ravenml.infer.modes.interface import Prediction
from ravenml.sly import image as images
from ravenml.sly.annotation import Annotation, Label, PixelwiseScoresLabel
from ravenml.sly.bitmap import Bitmap, MultichannelBitmap
from ravenml.sly.configs import (
    CLASS_TITLE_TO_IDX,
    CLASSES,
    HEIGHT,
    INPUT_SIZE,
    MODE,
    MODEL,
    SETTINGS,
    WIDTH,
    AlwaysPassingConfigValidator,
    maybe_convert_from_deploy_task_config,
    maybe_convert_from_v1_inference_task_config,
    update_recursively,
)
from ravenml.sly.configs import GPU_DEVICE as GPU_DEVICE  # plugins import it from here
from ravenml.sly.geometry import AnyGeometry, Point, Rectangle
from ravenml.sly.paths import TaskPaths
from ravenml.sly.project import OpenMode, Project, read_single_project
from ravenml.sly.project_meta import (
    ObjClass,
    ObjClassCollection,
    ProjectMeta,
    Tag,
    TagMeta,
    TagMetaCollection,
)
from ravenml.sly.reporting import Progress, logger, report_inference_finished


class SingleImageInferenceInterface:
    """What annotates one image at a time."""

    def inference(self, image: np.ndarray, ann: Annotation) -> Annotation:
        """Annotate one image, uint8 RGB (height, width, 3), of which ``ann`` is known."""
        raise NotImplementedError(f"{type(self).__name__} must say what inference does.")

    def get_out_meta(self) -> ProjectMeta:
        """The classes and tags that its results have."""
        raise NotImplementedError(f"{type(self).__name__} must say what get_out_meta does.")


class SingleImageInferenceBase(SingleImageInferenceInterface):
    """A network that annotates one image at a time.

    A plugin's class says what ``_construct_and_fill_model`` and ``inference`` do.

    Args:
        task_model_config: the plugin's own settings; without them, ``model`` of ``task_config.json``.

    Attributes:
        train_config: the model's ``config.json``.
        class_title_to_idx: its indices by class title.
        out_class_mapping: its classes by index; without those that are no output.
        model_out_meta: the classes and tags that its results have.
    """

    def __init__(
        self, task_model_config: Mapping[str, object] | None = None, _load_model_weights: bool = True
    ) -> None:
        given = self._load_task_model_config() if task_model_config is None else deepcopy(task_model_config)
        self._config = update_recursively(deepcopy(self.get_default_config()), given)
        self._validate_model_config(self._config)
        self._load_train_config()
        if _load_model_weights:
            self._construct_and_fill_model()

    @staticmethod
    def get_default_config() -> JsonObject:
        """The plugin's settings where the task has none."""
        return {}

    @property
    def class_title_to_idx_key(self) -> str:
        """Under which field of the model's ``config.json`` the indices stand."""
        return CLASS_TITLE_TO_IDX

    @property
    def train_classes_key(self) -> str:
        """Under which field of the model's ``config.json`` the classes stand."""
        return CLASSES

    @property
    def model_out_meta(self) -> ProjectMeta:
        """The classes and tags that its results have."""
        return self._model_out_meta

    def get_out_meta(self) -> ProjectMeta:
        """The classes and tags that its results have."""
        return self._model_out_meta

    def inference_image_file(self, image_file: str, ann: Annotation) -> Annotation:
        """Annotate an image in a file."""
        return self.inference(images.read(image_file), ann)

    def _construct_and_fill_model(self) -> None:
        """Make the network and read its weights; a plugin's class begins with calling this one."""
        Progress("Building model:", 1).iter_done_report()

    def _validate_model_config(self, config: JsonObject) -> None:
        """Refuse settings, by raising."""

    def _model_out_tags(self) -> TagMetaCollection:
        """The tags that its results may have."""
        return TagMetaCollection()

    @staticmethod
    def _load_task_model_config() -> JsonObject:
        given = maybe_convert_from_deploy_task_config(read_json(Path(TaskPaths.TASK_CONFIG_PATH)))
        return dict(maybe_convert_from_v1_inference_task_config(given).get(MODEL) or {})

    def _load_raw_model_config_json(self) -> None:
        self.train_config: JsonObject = read_json(Path(TaskPaths.MODEL_CONFIG_PATH))

    def _load_train_config(self) -> None:
        self._load_raw_model_config_json()
        key = self.train_classes_key
        result = self.train_config[key] if key in self.train_config else self.train_config["out_classes"]
        known = ObjClassCollection.from_json(result)
        self.class_title_to_idx: dict[str, int] = self.train_config[self.class_title_to_idx_key]
        self.out_class_mapping: dict[int, ObjClass] = {
            index: one
            for title, index in self.class_title_to_idx.items()
            if (one := known.get(title)) is not None
        }
        self._model_out_meta = ProjectMeta(known, self._model_out_tags())
        logger.info("The model's classes.", extra={"class_mapping": self.class_title_to_idx})

    def _determine_model_input_size(self) -> None:
        size = self.train_config[SETTINGS][INPUT_SIZE]
        self.input_size = (size[HEIGHT], size[WIDTH])


def segmentation_array_to_sly_bitmaps(
    idx_to_class: Mapping[int, ObjClass], pred: np.ndarray, origin: Point | None = None
) -> list[Label]:
    """A bitmap for each class that is in a map of class indices (height, width)."""
    masks = ((known, pred == index) for index, known in idx_to_class.items())
    return [Label(Bitmap(mask, origin), known) for known, mask in masks if mask.any()]


def segmentation_scores_to_per_class_labels(
    idx_to_class: Mapping[int, ObjClass], segmentation_scores: np.ndarray
) -> list[Label]:
    """Each class's scores, from an array (height, width, classes)."""
    return [
        PixelwiseScoresLabel(MultichannelBitmap(segmentation_scores[:, :, [index]]), known)
        for index, known in idx_to_class.items()
    ]


class DetectionNetworkPrediction(NamedTuple):
    """Boxes, (N, 4) of top, left, bottom and right as shares of the image; their scores and class indices."""

    boxes: np.ndarray
    scores: np.ndarray
    classes: np.ndarray


def detection_preds_to_sly_rects(
    idx_to_class: Mapping[int, ObjClass],
    network_prediction: DetectionNetworkPrediction,
    img_shape: tuple[int, ...],
    min_score_threshold: float,
    score_tag_meta: TagMeta,
) -> list[Label]:
    """Rectangles with a tag for their score, of the boxes above a threshold."""
    boxes = np.asarray(network_prediction.boxes).reshape(-1, 4)
    scores, indices = (np.asarray(part).ravel() for part in network_prediction[1:])
    labels = []
    for box, score, index in zip(boxes, scores, indices, strict=True):
        if score > min_score_threshold:
            sides = (round(float(side) * img_shape[axis % 2]) for axis, side in enumerate(box))
            tag = Tag(score_tag_meta, round(float(score), 4))
            labels.append(Label(Rectangle(*sides), idx_to_class[int(index)], [tag]))
    return labels


class PluginNetwork:
    """A plugin's network as the modes want it.

    Attributes:
        classes: what it knows, in the order in which its scores are given.
        tags: the tags that its results may have.
        batch_size: one: it sees one image at a time.
    """

    batch_size = 1

    def __init__(self, model: SingleImageInferenceBase) -> None:
        self._model = model
        self._meta = model.model_out_meta
        self.classes: Sequence[Class] = [_class(one) for one in self._meta.obj_classes]
        self.tags: Sequence[TagName] = [_tag(one) for one in self._meta.tag_metas]
        self._index = {one.title: index for index, one in enumerate(self.classes)}

    def infer(
        self, images: np.ndarray, documents: Sequence[EditableAnnotation], probabilities: bool = False
    ) -> list[Prediction]:
        """Run the network on each image."""
        return [
            self._one(image, known, probabilities) for image, known in zip(images, documents, strict=True)
        ]

    def run(self, images: np.ndarray, probabilities: bool = False) -> list[Prediction]:
        """Run the network on images of which nothing is known."""
        return self.infer(images, [EditableAnnotation(image.shape[:2]) for image in images], probabilities)

    def prediction(
        self, result: Prediction, size: tuple[int, ...], probabilities: bool = False
    ) -> Prediction:
        """What `run` said about an image is a prediction already."""
        return result

    def _one(self, image: np.ndarray, known: EditableAnnotation, probabilities: bool) -> Prediction:
        ann = _annotation(known, image.shape[:2])
        result = self._model.inference(image, ann)
        labels = [Entry(label.to_json()) for label in result.labels]
        scores = self._scores(result) if probabilities else None
        return Prediction(labels, [tag.to_json() for tag in result.img_tags], scores)

    def _scores(self, result: Annotation) -> np.ndarray | None:
        if not result.pixelwise_scores_labels:
            return None
        scores = np.zeros((len(self.classes), *result.img_size), np.float32)
        for label in result.pixelwise_scores_labels:
            box = label.geometry.to_bbox()
            data = label.geometry.data  # type: ignore[attr-defined]
            box.get_cropped_numpy_slice(scores[self._index[label.obj_class.name]])[:] += data[:, :, 0]
        return scores


class InferenceModeBase:
    """A mode: where in an image a network is run, and what becomes of what it says.

    Args:
        config: the mode's config, complete.
        in_meta: the project's classes and tags.
        model: the network.
    """

    _name: ClassVar[str]

    def __init__(
        self, config: Mapping[str, object], in_meta: ProjectMeta, model: SingleImageInferenceBase
    ) -> None:
        full = effective_config({"name": self._name, **config}, {}, "The inference mode's config")
        known = [_class(one) for one in in_meta.obj_classes]
        self._mode = make_mode(full, PluginNetwork(model), known)
        meta = in_meta
        for one in self._mode.classes:
            if not meta.obj_classes.has_key(one.title):
                entry = {"title": one.title, "shape": one.shape, "color": one.color}
                meta = meta.add_obj_class(ObjClass.from_json(entry))
        added = (TagMeta(tag.name, tag.value_type) for tag in self._mode.tags)
        self._out_meta = meta.add_tag_metas(tag for tag in added if not meta.tag_metas.has_key(tag.name))

    @classmethod
    def mode_name(cls) -> str:
        """The mode's name in configs."""
        return cls._name

    @classmethod
    def make_default_config(cls, model_result_suffix: str = "") -> JsonObject:
        """The mode's config with every default filled in; the suffix is added to the model's class names."""
        return MODES[cls._name].make_default_config(model_result_suffix)

    @property
    def out_meta(self) -> ProjectMeta:
        """The classes and tags of the project with the results."""
        return self._out_meta

    def infer_annotate_image_file(self, image_file: str, ann: Annotation) -> Annotation:
        """The same for an image in a file."""
        return self.infer_annotate(images.read(image_file), ann)

    def infer_annotate(self, img: np.ndarray, ann: Annotation) -> Annotation:
        """The annotation with the network's results added."""
        result = self._mode.annotate(img, _document(ann))
        made = Annotation.from_json(result.document.to_json(), self._out_meta)
        if result.probabilities is None:
            return made
        return made.add_pixelwise_score_labels(self._score_labels(result.probabilities))

    def _score_labels(self, probabilities: np.ndarray) -> list[Label]:
        """What ``save_probabilities`` keeps: the scores of each class that is kept."""
        titles = [self._mode.title(one.title) for one in self._mode.network.classes]
        return [
            PixelwiseScoresLabel(MultichannelBitmap(scores[:, :, None].astype(np.float32)), known)
            for title, scores in zip(titles, probabilities, strict=True)
            if title is not None and (known := self._out_meta.get_obj_class(title)) is not None
        ]


class InfModeFullImage(InferenceModeBase):
    """The whole image at once."""

    _name = "full_image"


class InfModeRoi(InferenceModeBase):
    """One region of the image."""

    _name = "roi"


class InfModeBboxes(InferenceModeBase):
    """The bounding box of every object that is there."""

    _name = "bboxes"


class InfModeSlidingWindowSegmentation(InferenceModeBase):
    """Windows over the image, whose scores are blended."""

    _name = "sliding_window"


class InfModeSlidingWindowDetection(InferenceModeBase):
    """Windows over the image, whose boxes are put together (with non-maximum suppression)."""

    _name = "sliding_window_det"


class InferenceModeFactory:
    """Makes the mode that a config names."""

    mapping: ClassVar[dict[str, type[InferenceModeBase]]] = {
        mode._name: mode
        for mode in (
            InfModeFullImage,
            InfModeRoi,
            InfModeBboxes,
            InfModeSlidingWindowSegmentation,
            InfModeSlidingWindowDetection,
        )
    }

    @classmethod
    def create(
        cls, config: JsonObject, in_meta: ProjectMeta, model: SingleImageInferenceBase
    ) -> InferenceModeBase:
        """The mode."""
        return cls.mapping[config["name"]](config, in_meta, model)


def get_effective_inference_mode_config(
    task_inference_mode_config: Mapping[str, object], default_inference_mode_config: Mapping[str, object]
) -> JsonObject:
    """What the task says, over the plugin's default where that is of the same mode, over the mode's own.

    Raises:
        InputError: an unknown mode, or a field that is wrong; its path is named.
    """
    where = "task_config.json"
    return effective_config(task_inference_mode_config, default_inference_mode_config, where).model_dump()


def _class(one: ObjClass) -> Class:
    entry = one.to_json()
    return Class(entry["title"], entry["shape"], entry["color"])


def _tag(one: TagMeta) -> TagName:
    entry = one.to_json()
    return TagName(entry["name"], entry["value_type"], entry["color"])


def _document(ann: Annotation) -> EditableAnnotation:
    """An annotation as the modes want it."""
    entry = ann.to_json()
    labels = tuple(Entry(label, None, number) for number, label in enumerate(entry["objects"]))
    rest = {name: value for name, value in entry.items() if name not in ("size", "tags", "objects")}
    return replace(EditableAnnotation(ann.img_size), labels=labels, tags=tuple(entry["tags"]), rest=rest)


def _annotation(document: EditableAnnotation, size: tuple[int, ...]) -> Annotation:
    """What is known of an image or a part of it, as plugins want it."""
    tags = [*document.tags, *(tag for label in document.labels for tag in label.tags)]
    meta = ProjectMeta(
        [ObjClass(title, AnyGeometry) for title in dict.fromkeys(label.title for label in document.labels)],
        [TagMeta(name, "any") for name in dict.fromkeys(str(tag.get("name")) for tag in tags)],
    )
    return Annotation.from_json({**document.to_json(), "size": {"height": size[0], "width": size[1]}}, meta)


def determine_task_inference_mode_config(default_inference_mode_config: Mapping[str, object]) -> JsonObject:
    """The mode's effective config: ``mode`` of ``task_config.json`` over the plugin's default.

    Raises:
        InputError: the task's ``mode`` is wrong; the field's path is named.
    """
    given = maybe_convert_from_v1_inference_task_config(read_json(Path(TaskPaths.TASK_CONFIG_PATH)))
    return get_effective_inference_mode_config(given.get(MODE) or {}, dict(default_inference_mode_config))


class ProjectAnnotator:
    """Annotates items of the task's project, and writes them into a project of the same name in ``results/``.

    Attributes:
        source: the task's project.
        result: the one that is written; its datasets are made.
    """

    def __init__(self, default_inference_mode_config: Mapping[str, object]) -> None:
        self._config = determine_task_inference_mode_config(default_inference_mode_config)
        self.source = read_single_project(TaskPaths.DATA_DIR)

    def create_result(self) -> None:
        """Make the result's folders."""
        self.result = Project(os.path.join(TaskPaths.RESULTS_DIR, self.source.name), OpenMode.CREATE)
        for dataset in self.source:
            self.result.create_dataset(dataset.name)

    def make_mode(self, model: SingleImageInferenceBase) -> InferenceModeBase:
        """The mode, for a network."""
        return InferenceModeFactory.create(self._config, self.source.meta, model)

    def items(self) -> list[tuple[str, str]]:
        """The dataset and the name of each item."""
        return [(dataset.name, name) for dataset in self.source for name in dataset]

    def annotate(self, mode: InferenceModeBase, dataset: str, name: str) -> None:
        """Annotate an item and write it."""
        found, target = self.source.datasets.get(dataset), self.result.datasets.get(dataset)
        assert found is not None and target is not None
        paths = found.get_item_paths(name)
        ann = Annotation.load_json_file(paths.ann_path, self.source.meta)
        target.add_item_file(name, paths.img_path, mode.infer_annotate_image_file(paths.img_path, ann))


class BatchInferenceApplier:
    """Annotates the task's project with a network, and writes the result as a project into ``results/``.

    Args:
        single_image_inference: the network.
        default_inference_mode_config: what the task's ``mode`` is laid over.
        config_validator: a plugin's own; kept for its sake.

    Raises:
        InputError: the task's ``mode`` is wrong; the field's path is named.
    """

    def __init__(
        self,
        single_image_inference: SingleImageInferenceBase,
        default_inference_mode_config: Mapping[str, object],
        config_validator: object = None,
    ) -> None:
        self._single_image_inference = single_image_inference
        self._config_validator = config_validator or AlwaysPassingConfigValidator()
        self._annotator = ProjectAnnotator(default_inference_mode_config)

    def run_inference(self) -> None:
        """Annotate every image and report the end."""
        mode = self._annotator.make_mode(self._single_image_inference)
        self._annotator.create_result()
        self._annotator.result.set_meta(mode.out_meta)
        items = self._annotator.items()
        progress = Progress("Model applying: ", len(items))
        for dataset, name in items:
            self._annotator.annotate(mode, dataset, name)
            progress.iter_done_report()
        report_inference_finished()
