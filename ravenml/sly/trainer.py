"""The base of trainings: what a plugin must provide, in which order, and what is done for it.

Nothing here knows a framework.
"""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from copy import deepcopy
from pathlib import Path

from ravenml.common.io import JsonObject, read_json
from ravenml.sly import class_indexing, fs
from ravenml.sly.configs import CLASS_TITLE_TO_IDX as TITLES
from ravenml.sly.configs import (
    CLASSES,
    DATASET_TAGS,
    HEIGHT,
    INPUT_SIZE,
    SETTINGS,
    WEIGHTS_INIT_TYPE,
    WIDTH,
    dump_json_file,
    update_recursively,
)
from ravenml.sly.geometry import Rectangle
from ravenml.sly.paths import TaskPaths
from ravenml.sly.project import read_single_project
from ravenml.sly.project_meta import ObjClassCollection
from ravenml.sly.reporting import logger, report_checkpoint_saved
from ravenml.sly.samples import Sample, samples_by_tags

VAL_EVERY = "val_every"


class EvalPlanner:
    """Plans validations every ``val_every`` epochs, fractions allowed.

    Attributes:
        total_val_cnt: how many there will be; none where ``val_every`` is more than all epochs.
        performed_val_cnt: how many there were.
    """

    def __init__(self, epochs: int, val_every: float) -> None:
        self.epochs, self.val_every = epochs, val_every
        self.total_val_cnt = self.validations_cnt(epochs, val_every)
        self.performed_val_cnt = 0

    @staticmethod
    def validations_cnt(ep_float: float, val_every: float) -> int:
        """How many are due at a moment in epochs."""
        return math.floor(ep_float / val_every + 1e-9)

    def need_validation(self, epoch_flt: float) -> bool:
        """Whether it is time, at a moment in epochs."""
        return self.validations_cnt(epoch_flt, self.val_every) > self.performed_val_cnt

    def validation_performed(self) -> None:
        """It was done."""
        self.performed_val_cnt += 1


class TrainCheckpoints:
    """Numbers the folders of checkpoints, ``results/00000000`` and so on, and reports them."""

    def __init__(self, base_out_dir: str) -> None:
        self._base = base_out_dir
        self._next = 0
        self._last: str | None = None

    def get_dir_to_write(self) -> str:
        """The folder for the next checkpoint; it is made."""
        folder = os.path.join(self._base, f"{self._next:08d}")
        fs.mkdir(folder)
        return folder

    def saved(self, is_best: bool, sizeb: int, optional_data: object = None) -> None:
        """Report the checkpoint in that folder; the first one counts as the best so far."""
        folder = self.get_dir_to_write()
        best = is_best or self._next == 0
        report_checkpoint_saved(self._next, os.path.basename(folder), sizeb, best, optional_data)
        self._last, self._next = folder, self._next + 1

    def get_last_ckpt_dir(self) -> str | None:
        """The folder of the checkpoint that was reported last."""
        return self._last


class SuperviselyModelTrainer:
    """A training: making one reads the task and prepares everything, ``train`` trains.

    A plugin's class says what ``_determine_model_classes``, ``_construct_data_loaders``,
    ``_construct_and_fill_model``, ``_construct_loss``, ``_dump_model_weights``, ``_validation`` and ``train``
    do; they are called in this order.

    Args:
        default_config: what ``task_config.json`` is laid over; by default ``get_default_config()``.

    Attributes:
        config: the effective settings.
        project: the data.
        out_classes: the network's classes.
        class_title_to_idx: their indices.
        name_to_tag: which tag marks the images for ``train`` and ``val``.
        checkpoints_saver: where checkpoints go.
        epoch_flt: the moment in epochs; the plugin keeps it.
    """

    config: JsonObject
    out_classes: ObjClassCollection
    class_title_to_idx: dict[str, int]

    def __init__(self, default_config: Mapping[str, object] | None = None) -> None:
        self._task_config: JsonObject = read_json(Path(TaskPaths.TASK_CONFIG_PATH))
        self._default_config = deepcopy(
            dict(self.get_default_config() if default_config is None else default_config)
        )
        self.checkpoints_saver = TrainCheckpoints(TaskPaths.RESULTS_DIR)
        self.project = read_single_project(TaskPaths.DATA_DIR)
        self.epoch_flt = 0.0
        logger.info("The project was read.", extra={"samples": self.project.total_items})
        self._determine_config()
        self._determine_model_classes()
        self._determine_out_config()
        self._construct_samples_dct()
        self._construct_data_loaders()
        self._construct_and_fill_model()
        self._construct_loss()

    @property
    def class_title_to_idx_key(self) -> str:
        """Under which field of the model's ``config.json`` the indices stand."""
        return TITLES

    @property
    def train_classes_key(self) -> str:
        """Under which field of the model's ``config.json`` the classes stand."""
        return CLASSES

    @staticmethod
    def get_default_config() -> JsonObject:
        """The plugin's settings where ``task_config.json`` has none."""
        return {}

    def get_start_class_id(self) -> int:
        """The first index that classes get; 0 is often the background's."""
        return 1

    # What is done for a plugin.

    def _validate_train_cfg(self, config: JsonObject) -> None:
        """Refuse settings, by raising."""

    def _determine_config(self) -> None:
        config = update_recursively(deepcopy(self._default_config), self._task_config)
        logger.info("The effective settings.", extra={"config": config})
        self._validate_train_cfg(config)
        self.config = config
        size = config.get(INPUT_SIZE)
        self._input_size = (size[HEIGHT], size[WIDTH]) if size else None

    def _determine_model_classes_segmentation(self, bkg_input_idx: int) -> None:
        """Classes of a segmentation, with the special ones of ``special_classes``: background and neutral."""
        self.out_classes, self.class_title_to_idx = class_indexing.create_segmentation_classes(
            self.project.meta.obj_classes,
            self.config.get("special_classes") or {},
            bkg_input_idx,
            self.config[WEIGHTS_INIT_TYPE],
            TaskPaths.MODEL_CONFIG_PATH,
            self.class_title_to_idx_key,
            self.get_start_class_id(),
        )
        self._log_classes()

    def _determine_model_classes_detection(self) -> None:
        """Classes of a detection: the project's, as rectangles."""
        known = self.project.meta.obj_classes
        self.out_classes = class_indexing.make_out_classes(known, Rectangle)
        self.class_title_to_idx = class_indexing.infer_training_class_to_idx_map(
            self.config[WEIGHTS_INIT_TYPE],
            class_indexing.make_new_class_to_idx_map(known, self.get_start_class_id()),
            TaskPaths.MODEL_CONFIG_PATH,
            self.class_title_to_idx_key,
        )
        self._log_classes()

    def _log_classes(self) -> None:
        logger.info("The classes' indices.", extra={"class_mapping": self.class_title_to_idx})

    def _determine_out_config(self) -> None:
        self.out_config: JsonObject = {
            SETTINGS: self.config,
            self.train_classes_key: self.out_classes.to_json(),
            self.class_title_to_idx_key: self.class_title_to_idx,
        }

    def _construct_samples_dct(self) -> None:
        self.name_to_tag: dict[str, str] = self.config.get(DATASET_TAGS) or {}
        by_tag = samples_by_tags(list(self.name_to_tag.values()), self.project)
        self._deprecated_samples_by_tag = by_tag
        self._samples_by_data_purpose: dict[str, list[Sample]] = {
            purpose: by_tag.get(tag, []) for purpose, tag in self.name_to_tag.items()
        }

    def _save_model_snapshot(self, is_best: bool, opt_data: object = None) -> None:
        """Write a checkpoint (``config.json`` and what ``_dump_model_weights`` writes) and report it."""
        folder = self.checkpoints_saver.get_dir_to_write()
        dump_json_file(self.out_config, os.path.join(folder, TaskPaths.MODEL_CONFIG_NAME))
        self._dump_model_weights(folder)
        self.checkpoints_saver.saved(is_best, fs.get_directory_size(folder), opt_data)

    # What a plugin's class says.

    def _determine_model_classes(self) -> None:
        """Call ``_determine_model_classes_segmentation`` or ``…_detection``."""
        raise NotImplementedError(f"{type(self).__name__} must say what _determine_model_classes does.")

    def _construct_data_loaders(self) -> None:
        """Make what gives the batches."""
        raise NotImplementedError(f"{type(self).__name__} must say what _construct_data_loaders does.")

    def _construct_and_fill_model(self) -> None:
        """Make the network, with weights from ``model/`` where there are some."""
        raise NotImplementedError(f"{type(self).__name__} must say what _construct_and_fill_model does.")

    def _construct_loss(self) -> None:
        """Make the loss and the metrics."""
        raise NotImplementedError(f"{type(self).__name__} must say what _construct_loss does.")

    def _dump_model_weights(self, out_dir: str) -> None:
        """Write the weights into a folder."""
        raise NotImplementedError(f"{type(self).__name__} must say what _dump_model_weights does.")

    def _validation(self) -> object:
        """Validate and report; a plugin may name it ``_validate`` as well."""
        if type(self)._validate is SuperviselyModelTrainer._validate:
            raise NotImplementedError(f"{type(self).__name__} must say what _validation does.")
        return self._validate()

    def _validate(self) -> object:
        """The same as ``_validation``: the contract's documents name both."""
        if type(self)._validation is SuperviselyModelTrainer._validation:
            raise NotImplementedError(f"{type(self).__name__} must say what _validation does.")
        return self._validation()

    def train(self) -> None:
        """Train."""
        raise NotImplementedError(f"{type(self).__name__} must say what train does.")
