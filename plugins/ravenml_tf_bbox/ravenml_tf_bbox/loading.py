"""Trained models by the names that people give: a ``model-state.tar``, or a folder that has one."""

from __future__ import annotations

import tempfile
from pathlib import Path

from ravenml.errors import InputError
from ravenml.runs.layout import MODEL_STATE
from ravenml.store.model_state import CONFIG, unpack_model
from ravenml_tf_bbox.predict import BoxPredictor, load


def load_model(path: Path, device: str = "auto") -> BoxPredictor:
    """Load a trained model.

    Args:
        path: a ``model-state.tar``, the folder that one was unpacked into, or a run's folder.
        device: ``auto``, ``cpu`` or ``cuda``.

    Raises:
        RavenError: it is none of these, or broken.
    """
    path = path.expanduser()
    if path.is_dir() and (path / CONFIG).is_file():
        return load(path, device)
    if path.is_dir():
        path = path / MODEL_STATE
    if not path.exists():
        raise InputError(f"{path} does not exist; name a model-state.tar or the folder of a finished run.")
    with tempfile.TemporaryDirectory(prefix="ravenml-model-") as folder:
        return load(unpack_model(path, Path(folder)), device)
