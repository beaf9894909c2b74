"""Configs of plugins: the names of their fields, defaults that they are laid over, files, and GPUs."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from ravenml.common.io import JsonObject, read_json, write_json

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


def update_recursively(lhs: JsonObject, rhs: Mapping[str, object]) -> JsonObject:
    """Lay ``rhs`` over ``lhs``, which is changed and given back; nested mappings field by field."""
    for name, value in rhs.items():
        current = lhs.get(name)
        if isinstance(value, Mapping) and isinstance(current, dict):
            update_recursively(current, value)
        else:
            lhs[name] = value
    return lhs


def update_strict(lhs: JsonObject, rhs: Mapping[str, object]) -> None:
    """Add the fields of ``rhs`` to ``lhs``, none of which may be there.

    Raises:
        RuntimeError: one is.
    """
    both = sorted(set(lhs) & set(rhs))
    if both:
        raise RuntimeError(f"These fields are there already: {', '.join(both)}.")
    lhs.update(rhs)


class AlwaysPassingConfigValidator:
    """Finds every config usable."""

    def validate_train_cfg(self, config: Mapping[str, object]) -> None:
        """Nothing is checked."""

    def validate_inference_cfg(self, config: Mapping[str, object]) -> None:
        """Nothing is checked."""


class JsonConfigValidator(AlwaysPassingConfigValidator):
    """A base for validators that a plugin brings; by itself it finds every config usable."""


def load_json_file(filename: str) -> object:
    """Read a file of JSON."""
    return read_json(Path(filename))


def dump_json_file(data: object, filename: str, indent: int = 4) -> None:
    """Write a file of JSON, whole or not at all."""
    write_json(Path(filename), data)


def remap_gpu_devices(in_device_ids: Sequence[int]) -> list[int]:
    """Show the program only these GPUs; their new numbers, counted from 0."""
    os.environ["CUDA_VISIBLE_DEVICES"] = ",".join(map(str, in_device_ids))
    return list(range(len(in_device_ids)))
