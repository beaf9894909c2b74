"""The finished model in one file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from torch import nn

from ravenml.common.io import temporary_folder
from ravenml.data.project import ObjClass
from ravenml.store.model_state import pack_model
from ravenml_unet import __version__
from ravenml_unet.preprocessing import MEAN, STD
from ravenml_unet.settings import UNetSettings
from ravenml_unet.weights import bare_state, save_torch

WEIGHTS = "model.pth"


def describe_model(classes: Sequence[ObjClass]) -> list[dict[str, str]]:
    """The classes in index order, as ``info/model_classes.json`` and ``config.json`` list them."""
    return [{"title": c.title, "shape": c.shape, "color": c.color} for c in classes]


def model_config(settings: UNetSettings, classes: Sequence[ObjClass]) -> dict[str, Any]:
    """``config.json`` beside weights: all that inference needs to know about them."""
    return {
        "settings": {
            "plugin": "unet",
            "plugin_version": __version__,
            "architecture": settings.model,
            "input_size": {"width": settings.input_size.width, "height": settings.input_size.height},
            "normalization": {"mean": list(MEAN), "std": list(STD)},
            "weights": WEIGHTS,
        },
        "out_classes": describe_model(classes),
        "class_title_to_idx": {c.title: index for index, c in enumerate(classes)},
    }


def checkpoint_config(settings: Mapping[str, Any], classes: Sequence[Mapping[str, str]]) -> dict[str, Any]:
    """The same from plain values: the effective settings, and the classes as `described` gives them."""
    known = [ObjClass(one["title"], one["shape"], one["color"]) for one in classes]
    return model_config(UNetSettings.model_validate(dict(settings)), known)


def export_model(path: Path, model: nn.Module, settings: UNetSettings, classes: Sequence[ObjClass]) -> Path:
    """Write ``model-state.tar``: all that inference needs.  Returns ``path``."""
    with temporary_folder(path) as folder:
        weights = save_torch(folder / WEIGHTS, bare_state(model))
        pack_model(path, model_config(settings, classes), [weights])
    return path
