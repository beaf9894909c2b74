"""Trained models, known through one interface whatever framework made them."""

from __future__ import annotations

import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from ravenml.common.hooks import PREDICT
from ravenml.errors import InputError, RavenError
from ravenml.infer.engines.description import is_graph, read_description
from ravenml.plugin.discovery import Plugin, find_plugin, plugins
from ravenml.plugin.user_code import trusting_code
from ravenml.store.model_state import CONFIG, read_config, unpack_model


@runtime_checkable
class Predictor(Protocol):
    """What a plugin's ``load(model_dir, device)`` returns.

    Attributes:
        task: ``segmentation`` or ``detection``.
        classes: the classes' titles in index order.
        input_size: width and height in pixels of what the network sees.

    It may have more: ``device``, where it computes (``cpu``, ``cuda:0`` …); ``batch_size``, how many images
    at once are fastest there; ``obj_classes``, its classes with colours; ``configure(settings)``, called with
    the content of ``model`` in a config for inference.
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
            ``(N, C, H, W)``.  A model of a single class labels it 1, and everything else 0.  For detection,
            whatever is wanted: for each image its boxes, float32 ``(K, 6)``: left, top, right and bottom
            edges in pixels, score, class index.
        """
        ...


@dataclass(frozen=True)
class GraphMaker:
    """Who made a file with a graph: a plugin, which need not be installed to use it, or somebody else.

    Attributes:
        name: the plugin's, or ``onnx``.
        version: the plugin's, or ``?``.
    """

    name: str
    version: str


Maker = Plugin | GraphMaker


def load_predictor(model: Path, device: str = "auto", trust_code: bool = False) -> Predictor:
    """Load a ``model-state.tar``, the folder that one was unpacked into, a folder that a plugin knows, or a
    file with a graph.

    Args:
        model: the file or folder.
        device: ``auto``, ``cpu``, ``cuda``, ``cuda:1`` …
        trust_code: whether it may name code that is not part of a plugin, which is then imported.

    Raises:
        InputError: it names code that is not trusted.
        RavenError: it is not a model, or the plugin that made it is not installed.
    """
    if is_graph(model):
        from ravenml.infer.engines.predictor import open_graph

        check_device(device)
        return open_graph(model)
    load = model_plugin(model).load()
    predictor: Predictor
    with trusting_code(trust_code), tempfile.TemporaryDirectory(prefix="ravenml-model-") as folder:
        predictor = load(model if model.is_dir() else unpack_model(model, Path(folder)), device)
        return predictor


def check_device(device: str) -> None:
    """Check that an inference engine can be used on a device.

    Raises:
        InputError: it cannot: engines compute on the processor.
    """
    if device not in ("auto", "cpu"):
        raise InputError(f"--device {device}: inference engines compute on the processor; use --device cpu.")


def find_maker(model: Path) -> Maker:
    """The plugin that can use a model; for a file with a graph, who made it.

    Raises:
        RavenError: it is not a model, or no plugin that is installed can use it.
    """
    if not is_graph(model):
        return model_plugin(model)
    about = read_description(model)
    return GraphMaker(about.plugin or "onnx", str(about.provenance.get("plugin_version", "?")))


def model_plugin(model: Path) -> Plugin:
    """The plugin that can use a model.

    ``config.json`` names it.  A folder without one is shown to the plugins: the first whose module of
    ``load`` has a function ``accepts(folder)`` that says yes gets it.

    Raises:
        RavenError: it is not a model, or no plugin that is installed can use it.
    """
    if model.is_dir() and not (model / CONFIG).is_file():
        found = find_accepting(model)
        if found is None:
            raise RavenError(
                f"{model} is not a model: it has no {CONFIG}, and no installed plugin knows such a folder."
            )
        return found
    name = read_config(model).get("settings", {}).get("plugin")
    if not name:
        raise RavenError(
            f"{model}: config.json does not say under `settings.plugin` which plugin made the model."
        )
    plugin = find_plugin(str(name), PREDICT)
    if plugin is None:
        raise RavenError(
            f"{model} was made by the plugin {name!r}, which is not installed here or cannot predict."
        )
    return plugin


def find_accepting(folder: Path) -> Plugin | None:
    """The first plugin that says that it can use a folder, such as another program's training."""
    for plugin in plugins(PREDICT).values():
        try:
            load = plugin.load()
        except RavenError:
            continue  # a broken plugin knows no folder
        accepts = getattr(sys.modules.get(load.__module__), "accepts", None)
        if accepts is not None and accepts(folder):
            return plugin
    return None
