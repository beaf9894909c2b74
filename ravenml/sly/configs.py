"""Configs of plugins: the names of their fields, defaults that they are laid over, files, and GPUs."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ravenml.common.io import JsonObject, read_json, write_json
from ravenml.sly.config_schemas import ConfigSchemas

CONFIG = "config"
SETTINGS = "settings"
MODEL = "model"
MODE = "mode"
INPUT_SIZE = "input_size"
HEIGHT = "height"
WIDTH = "width"
BATCH_SIZE = "batch_size"
DATASET_TAGS = "dataset_tags"
EPOCHS = "epochs"
LOSS = "loss"
LR = "lr"
TRAIN = "train"
VAL = "val"
VAL_EVERY = "val_every"
WEIGHTS_INIT_TYPE = "weights_init_type"
GPU_DEVICE = "gpu_device"
CLASS_TITLE_TO_IDX = "class_title_to_idx"
CLASSES = "classes"

# Fields of an inference mode's config.
INFERENCE_MODE_CONFIG = "inference_mode_config"
NAME = "name"
SAVE = "save"
CLASS_NAME = "class_name"
FROM_CLASSES = "from_classes"
MODEL_CLASSES = "model_classes"
MODEL_TAGS = "model_tags"
MATCH_ALL = "__all__"  # all of the project's or the model's classes
SAVE_PROBABILITIES = "save_probabilities"
WINDOW = "window"
MIN_OVERLAP = "min_overlap"
X = "x"
Y = "y"
BOUNDS = "bounds"
PADDING = "padding"
LEFT = "left"
TOP = "top"
RIGHT = "right"
BOTTOM = "bottom"
PX = "px"
PERCENT = "%"
NMS_AFTER = "nms_after"
ENABLE = "enable"
IOU_THRESHOLD = "iou_threshold"
CONFIDENCE = "confidence"
CONFIDENCE_TAG_NAME = "confidence_tag_name"


def update_recursively(lhs: JsonObject, rhs: Mapping[str, object]) -> JsonObject:
    """Lay ``rhs`` over ``lhs``, which is changed and given back; nested mappings field by field."""
    for name, value in rhs.items():
        current = lhs.get(name)
        if isinstance(value, Mapping) and isinstance(current, dict):
            update_recursively(current, value)
        else:
            lhs[name] = value
    return lhs


def update_strict(lhs: JsonObject, rhs: Mapping[str, object]) -> JsonObject:
    """Add the fields of ``rhs`` to ``lhs``, which is given back; none of them may be there.

    Raises:
        ValueError: one is.
    """
    both = sorted(set(lhs) & set(rhs))
    if both:
        raise ValueError(f"These fields are there already: {', '.join(both)}.")
    lhs.update(rhs)
    return lhs


def flag_from_env(s: str) -> bool:
    """Whether an environment variable's text means yes."""
    return s.upper() in ("TRUE", "YES", "1")


class AlwaysPassingConfigValidator:
    """Finds every config usable."""

    def validate_train_cfg(self, config: JsonObject) -> None:
        """Nothing is checked."""

    def validate_inference_cfg(self, config: JsonObject) -> None:
        """Nothing is checked."""


class MultiTypeValidator:
    """Checks configs with JSON schemas (draft 4) from a file, and fills the schemas' defaults in.

    Args:
        schema_fpath: the file: a schema for each kind of config; what stands under ``definitions`` belongs to
            all.

    Raises:
        InputError: the file cannot be read.
    """

    def __init__(self, schema_fpath: str) -> None:
        self._schemas = ConfigSchemas(Path(schema_fpath))

    def val(self, type_name: str, obj: JsonObject) -> None:
        """Check a config, and add to it what it lacks and the schema has a default for.

        Raises:
            RuntimeError: it is wrong; every field that is wrong is named.
            InputError: the schema cannot be used.
        """
        name = self._schemas.path.name
        if not self._schemas.has(type_name):
            raise RuntimeError(f"{name} has no schema for {type_name}.")
        faults = self._schemas.find_faults(type_name, obj, complete=True)
        if faults:
            raise RuntimeError(f"The config does not fit {name}: {'; '.join(faults)}.")


class JsonConfigValidator(MultiTypeValidator):
    """Checks configs with the plugin's ``src/schemas.json``: ``training_config`` and ``inference_config``.

    Args:
        schema_fpath: another file; by default the one beside the plugin's program, or else
            ``src/schemas.json`` where the program runs.
    """

    def __init__(self, schema_fpath: str | None = None) -> None:
        super().__init__(schema_fpath or _plugin_schemas())

    def validate_train_cfg(self, config: JsonObject) -> None:
        """Check the settings of a training; see `MultiTypeValidator.val`."""
        self.val("training_config", config)

    def validate_inference_cfg(self, config: JsonObject) -> None:
        """Check the settings of a network; see `MultiTypeValidator.val`."""
        self.val("inference_config", config)


def _plugin_schemas() -> str:
    beside = os.path.join(os.path.dirname(os.path.abspath(sys.argv[0])), "schemas.json")
    return beside if os.path.isfile(beside) else os.path.abspath(os.path.join("src", "schemas.json"))


def maybe_convert_from_deploy_task_config(raw_config: JsonObject) -> JsonObject:
    """The config of a deployed model, which has the network's settings as ``model_settings``."""
    if "connection" in raw_config and "model_settings" in raw_config:
        return {**raw_config, MODEL: raw_config["model_settings"]}
    return raw_config


def maybe_convert_from_v1_inference_task_config(raw_config: JsonObject) -> JsonObject:
    """The config of an inference in the form of today: what stands outside of ``mode`` becomes ``model``.

    In older ones, the network's settings stand beside the mode, and the mode's name is its ``source``.
    """
    if MODEL in raw_config:
        return raw_config
    mode = dict(raw_config.get(MODE) or {})
    if "source" in mode:
        mode[NAME] = mode.pop("source")
    if MODEL_CLASSES in raw_config:
        mode.setdefault(MODEL_CLASSES, raw_config[MODEL_CLASSES])
    others = {name: value for name, value in raw_config.items() if name not in (MODE, MODEL_CLASSES)}
    return {MODE: mode, MODEL: others}


class JsonSerializable:
    """What is made from JSON and becomes JSON."""

    def to_json(self) -> object:
        """As JSON."""
        raise NotImplementedError(f"{type(self).__name__} must say what to_json does.")

    @classmethod
    def from_json(cls, data: Any) -> Any:
        """Made from JSON."""
        raise NotImplementedError(f"{cls.__name__} must say what from_json does.")


def load_json_file(filename: str | bytes) -> object:
    """Read a file of JSON."""
    return read_json(Path(os.fsdecode(filename)))


def dump_json_file(data: object, filename: str | bytes, indent: int = 4) -> None:
    """Write a file of JSON, whole or not at all."""
    write_json(Path(os.fsdecode(filename)), data)


def remap_gpu_devices(in_device_ids: Sequence[int]) -> list[int]:
    """Show the program only these GPUs; their new numbers, counted from 0."""
    os.environ["CUDA_VISIBLE_DEVICES"] = ",".join(map(str, in_device_ids))
    return list(range(len(in_device_ids)))
