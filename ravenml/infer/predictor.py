"""Trained models, known through one interface whatever framework made them."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any, Literal, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from ravenml.errors import RavenError
from ravenml.plugin.discovery import PREDICT, find_plugin
from ravenml.store.model_state import read_config, unpack_model


@runtime_checkable
class Predictor(Protocol):
    """What a plugin's ``load(model_dir, device)`` returns.

    Attributes:
        task: ``segmentation`` or ``detection``.
        classes: the classes' titles in index order.
        input_size: width and height in pixels of what the network sees.
    """

    task: str
    classes: list[str]
    input_size: tuple[int, int]

    def predict(self, images: NDArray[np.uint8], want: Literal["labels", "probabilities"] = "labels") -> Any:
        """Predict a batch.

        Args:
            images: uint8 RGB of shape ``(N, H, W, 3)``, of any size.
            want: what to return.

        Returns:
            ``labels``: class indices of shape ``(N, H, W)``; ``probabilities``: float32 of shape
            ``(N, C, H, W)``; for detection, boxes.
        """
        ...


def load_predictor(model: Path, device: str = "auto") -> Predictor:
    """Load a ``model-state.tar``, or the folder that one was unpacked into.

    Args:
        model: the file or folder.
        device: ``auto``, ``cpu``, ``cuda``, ``cuda:1`` …

    Raises:
        RavenError: it is no model, or the plugin that made it is not installed.
    """
    config = read_config(model)
    name = config.get("settings", {}).get("plugin")
    if not name:
        raise RavenError(
            f"{model}: config.json does not say under `settings.plugin` which plugin made the model."
        )
    plugin = find_plugin(str(name), PREDICT)
    if plugin is None:
        raise RavenError(
            f"{model} was made by the plugin {name!r}, which is not installed here or cannot predict."
        )
    load = plugin.load()
    if model.is_dir():
        return load(model, device)
    with tempfile.TemporaryDirectory(prefix="ravenml-model-") as folder:
        return load(unpack_model(model, Path(folder)), device)
