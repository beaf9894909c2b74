"""The finished model in one file; what other programs take is written by ``exporting``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ravenml.common.io import temporary_folder
from ravenml.data.project import ObjClass
from ravenml.store.model_state import pack_model
from ravenml_tf_bbox import __version__
from ravenml_tf_bbox.settings import BoxSettings
from ravenml_tf_bbox.weights import SUFFIX, model_arrays, save_arrays

if TYPE_CHECKING:
    import keras

WEIGHTS = f"model{SUFFIX}"


def describe_model(classes: Sequence[ObjClass]) -> list[dict[str, str]]:
    """The classes in index order, as ``info/model_classes.json`` and ``config.json`` list them."""
    return [{"title": c.title, "shape": "rectangle", "color": c.color} for c in classes]


def model_config(settings: BoxSettings, classes: Sequence[ObjClass]) -> dict[str, Any]:
    """``config.json`` beside weights: all that inference needs to know about them."""
    return {
        "settings": {
            "plugin": "tf-bbox",
            "plugin_version": __version__,
            "architecture": settings.model,
            "input_size": {"width": settings.input_size.width, "height": settings.input_size.height},
            "normalization": {"scale": 1 / 127.5, "offset": -1.0},
            "anchors": {"size": settings.anchor_size, "aspect_ratios": list(settings.aspect_ratios)},
            "weights": WEIGHTS,
        },
        "out_classes": describe_model(classes),
        "class_title_to_idx": {c.title: index for index, c in enumerate(classes)},
    }


def checkpoint_config(settings: Mapping[str, Any], classes: Sequence[Mapping[str, str]]) -> dict[str, Any]:
    """The same from plain values: the effective settings, and the classes as `described` gives them."""
    known = [ObjClass(one["title"], one["shape"], one["color"]) for one in classes]
    return model_config(BoxSettings.model_validate(dict(settings)), known)


def pack(path: Path, model: keras.Model, settings: BoxSettings, classes: Sequence[ObjClass]) -> Path:
    """Write ``model-state.tar``: all that inference needs.  Returns ``path``."""
    with temporary_folder(path) as folder:
        weights = save_arrays(folder / WEIGHTS, model_arrays(model))
        pack_model(path, model_config(settings, classes), [weights])
    return path
