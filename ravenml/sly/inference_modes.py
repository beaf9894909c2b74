"""The inference modes as plugin authors know them: a thin face over ``ravenml.infer.modes``.

A plugin's network, which sees one image at a time and gives annotations, is put behind the interface that
those modes ask for.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar

import numpy as np

from ravenml.data.editable_annotation import EditableAnnotation
from ravenml.data.editable_annotation import Label as Entry
from ravenml.data.meta import ObjClass as Class
from ravenml.data.meta import TagMeta as TagName
from ravenml.infer.modes.catalog import MODES, effective_config, make_mode
from ravenml.infer.modes.configs import ALL as MATCH_ALL
from ravenml.infer.modes.interface import Prediction
from ravenml.sly.annotation import Annotation
from ravenml.sly.classes import ObjClass, TagMeta
from ravenml.sly.constants import MODE as MODE
from ravenml.sly.inference_single_image import SingleImageInferenceBase
from ravenml.sly.project_meta import ProjectMeta

__all__ = [
    "MATCH_ALL",
    "MODE",
    "InfModeBboxes",
    "InfModeFullImage",
    "InfModeRoi",
    "InfModeSlidingWindowDetection",
    "InfModeSlidingWindowSegmentation",
    "InferenceModeBase",
    "InferenceModeFactory",
    "get_effective_inference_mode_config",
]


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

    def prediction(self, said: Prediction, size: tuple[int, ...], probabilities: bool = False) -> Prediction:
        """What `run` said about an image is a prediction already."""
        return said

    def _one(self, image: np.ndarray, known: EditableAnnotation, probabilities: bool) -> Prediction:
        ann = _annotation(known, image.shape[:2])
        said = self._model.inference(image, ann)
        labels = [Entry(label.to_json()) for label in said.labels]
        scores = self._scores(said) if probabilities else None
        return Prediction(labels, said.img_tags.to_json(), scores)

    def _scores(self, said: Annotation) -> np.ndarray | None:
        if not said.pixelwise_scores_labels:
            return None
        scores = np.zeros((len(self.classes), *said.img_size), np.float32)
        for label in said.pixelwise_scores_labels:
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
        self, config: Mapping[str, Any], in_meta: ProjectMeta, model: SingleImageInferenceBase
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
    def make_default_config(cls, model_result_suffix: str = "") -> dict[str, Any]:
        """The mode's config with every default filled in; the suffix is added to the model's class names."""
        return MODES[cls._name].make_default_config(model_result_suffix)

    @property
    def out_meta(self) -> ProjectMeta:
        """The classes and tags of the project with the results."""
        return self._out_meta

    def infer_annotate(self, img: np.ndarray, ann: Annotation) -> Annotation:
        """The annotation with the network's results added."""
        document = _document(ann)
        return Annotation.from_json(self._mode.annotate(img, document).document.to_json(), self._out_meta)


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
    def create(cls, config: Mapping[str, Any], *args: Any, **kwargs: Any) -> InferenceModeBase:
        """The mode; the further arguments are its own."""
        return cls.mapping[config["name"]](config, *args, **kwargs)


def get_effective_inference_mode_config(
    task_inference_mode_config: Mapping[str, Any], default_inference_mode_config: Mapping[str, Any]
) -> dict[str, Any]:
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
    meta = ProjectMeta(
        [
            ObjClass.from_json({"title": title, "shape": "any"})
            for title in dict.fromkeys(x.title for x in document.labels)
        ],
        [TagMeta(name, "any") for name in dict.fromkeys(_names(document))],
    )
    return Annotation.from_json({**document.to_json(), "size": {"height": size[0], "width": size[1]}}, meta)


def _names(document: EditableAnnotation) -> list[str]:
    tags = [*document.tags, *(tag for label in document.labels for tag in label.tags)]
    return [str(tag.get("name")) for tag in tags]
