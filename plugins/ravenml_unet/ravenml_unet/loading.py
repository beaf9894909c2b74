"""Trained models for code of one's own: loading, predicting, and predictions as Supervisely writes them."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ravenml.data.bitmap import encode_bitmap
from ravenml.data.classes import BACKGROUND
from ravenml.data.images import read_image
from ravenml.data.project import ObjClass
from ravenml.errors import InputError
from ravenml.plugin.user_code import trusting_code
from ravenml.store.model_state import unpack_model
from ravenml_unet.predict import UNetPredictor, load, make_predictor
from ravenml_unet.pretrained import inspect_weights

MODEL = "model-state.tar"


def load_model(path: Path | str, device: str = "auto", trust_code: bool = False) -> UNetPredictor:
    """Load a trained model.

    Args:
        path: a ``model-state.tar``, the folder that one was unpacked into, a run's folder, the artifact
            folder of a training in Supervisely's U-Net app, or a ``.pth`` in such a folder's
            ``checkpoints/``.
        device: ``auto``, ``cpu``, ``cuda`` or ``mps``.
        trust_code: whether the model may name code that is not part of this plugin, which is then imported.

    Raises:
        InputError: it names code that is not trusted.
        RavenError: it is none of these, or broken.
    """
    with trusting_code(trust_code):
        return _load(Path(path).expanduser(), device)


def _load(path: Path, device: str) -> UNetPredictor:
    if path.is_dir() and (path / "config.json").is_file():
        return load(path, device)
    if path.is_dir() and (path / MODEL).is_file():
        path = path / MODEL
    start = inspect_weights(path)
    if start.is_packed:
        with tempfile.TemporaryDirectory(prefix="ravenml-model-") as folder:
            return load(unpack_model(start.path, Path(folder)), device)
    if start.architecture is None or start.size is None or start.classes is None:
        raise InputError(
            f"{path} is a bare state dict, which does not say its architecture and classes; "
            "give a model-state.tar or a training's folder."
        )
    return make_predictor(start.architecture, start.path, start.classes, start.size, device)


def inference(model: UNetPredictor, image: NDArray[np.uint8] | Path | str) -> NDArray[Any]:
    """Predict one image.

    Args:
        model: what :func:`load_model` gave.
        image: uint8 RGB ``(H, W, 3)``, or a picture file.

    Returns:
        The class of every pixel, ``(H, W)``: indices into ``model.classes``, at the image's own size.

    Raises:
        InputError: the image has another shape or type, or cannot be read.
    """
    pixels = image if isinstance(image, np.ndarray) else read_image(Path(image))
    return model.predict(pixels[None])[0]


def convert_prediction_to_sly_format(
    labels: NDArray[Any],
    classes: UNetPredictor | Sequence[ObjClass | dict[str, Any] | str],
    background: str = BACKGROUND,
) -> dict[str, Any]:
    """Make of a prediction an annotation in Supervisely's JSON format, a bitmap for every class.

    Args:
        labels: class indices ``(H, W)``.
        classes: the model, or its classes in index order (titles, or the entries of
            ``info/model_classes.json``).
        background: this class gets no object.

    Returns:
        ``{"description", "tags", "size", "objects"}``; a class that was not predicted has no object.

    Raises:
        InputError: there are more indices than classes, or ``labels`` is not a map.
    """
    if isinstance(classes, UNetPredictor):
        classes = classes.obj_classes
    titles = [
        c if isinstance(c, str) else c.title if isinstance(c, ObjClass) else str(c["title"]) for c in classes
    ]
    labels = np.asarray(labels)
    if labels.ndim != 2:
        raise InputError(f"A prediction must be a map (H, W) of class indices, not of shape {labels.shape}.")
    found = np.unique(labels)
    if found.size and int(found[-1]) >= len(titles):
        raise InputError(
            f"The prediction has the index {int(found[-1])}, but there are {len(titles)} classes."
        )
    objects = []
    for index in found:
        title = titles[int(index)]
        if title == background:
            continue
        mask = labels == index
        rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
        top, left = int(rows[0]), int(columns[0])
        cut = mask[top : int(rows[-1]) + 1, left : int(columns[-1]) + 1]
        objects.append(
            {
                "classTitle": title,
                "description": "",
                "geometryType": "bitmap",
                "tags": [],
                "bitmap": {"data": encode_bitmap(cut), "origin": [left, top]},
            }
        )
    height, width = labels.shape
    size = {"height": int(height), "width": int(width)}
    return {"description": "", "tags": [], "size": size, "objects": objects}
