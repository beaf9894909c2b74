"""The base of networks that are run on images."""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np

from ravenml.common.io import read_json
from ravenml.sly import image as images
from ravenml.sly.annotation import Annotation
from ravenml.sly.classes import ObjClass, ObjClassCollection, TagMetaCollection
from ravenml.sly.configs import update_recursively
from ravenml.sly.constants import CLASS_TITLE_TO_IDX, CLASSES, HEIGHT, INPUT_SIZE, MODEL, SETTINGS, WIDTH
from ravenml.sly.constants import GPU_DEVICE as GPU_DEVICE
from ravenml.sly.paths import TaskPaths
from ravenml.sly.progress import Progress
from ravenml.sly.project_meta import ProjectMeta
from ravenml.sly.sly_logger import logger


class SingleImageInferenceBase:
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
        self, task_model_config: Mapping[str, Any] | None = None, _load_model_weights: bool = True
    ) -> None:
        given = self._load_task_model_config() if task_model_config is None else deepcopy(task_model_config)
        self._config = update_recursively(deepcopy(self.get_default_config()), given)
        self._validate_model_config(self._config)
        self._load_train_config()
        if _load_model_weights:
            self._construct_and_fill_model()

    @staticmethod
    def get_default_config() -> dict[str, Any]:
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

    def inference(self, image: np.ndarray, ann: Annotation) -> Annotation:
        """Annotate one image, uint8 RGB (height, width, 3), of which ``ann`` is known."""
        raise NotImplementedError(f"{type(self).__name__} must say what inference does.")

    def inference_image_file(self, image_file: str, ann: Annotation) -> Annotation:
        """Annotate an image in a file."""
        return self.inference(images.read(image_file), ann)

    def _construct_and_fill_model(self) -> None:
        """Make the network and read its weights; a plugin's class begins with calling this one."""
        Progress("Building model:", 1).iter_done_report()

    def _validate_model_config(self, config: dict[str, Any]) -> None:
        """Refuse settings, by raising."""

    def _model_out_tags(self) -> TagMetaCollection:
        """The tags that its results may have."""
        return TagMetaCollection()

    @staticmethod
    def _load_task_model_config() -> dict[str, Any]:
        return dict(read_json(Path(TaskPaths.TASK_CONFIG_PATH)).get(MODEL) or {})

    def _load_raw_model_config_json(self) -> None:
        self.train_config: dict[str, Any] = read_json(Path(TaskPaths.MODEL_CONFIG_PATH))

    def _load_train_config(self) -> None:
        self._load_raw_model_config_json()
        key = self.train_classes_key
        said = self.train_config[key] if key in self.train_config else self.train_config["out_classes"]
        known = ObjClassCollection.from_json(said)
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
