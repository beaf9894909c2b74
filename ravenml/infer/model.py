"""A trained model for Python: found, loaded, and asked about one image or many."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from ravenml.data.images import read_image
from ravenml.errors import InputError
from ravenml.infer.engines.description import is_graph
from ravenml.infer.model_resolver import find_source
from ravenml.infer.network import Ensemble
from ravenml.infer.network_factory import load_network
from ravenml.infer.predictor import Predictor, find_maker
from ravenml.infer.settings import InferenceRequest
from ravenml.runs.info import RunInfo


class Model:
    """A trained model; for a k-fold run, all its folds' models, whose probabilities are averaged.

    Attributes:
        predictor: the plugin's predictor.
        name: the file, run or stored model that it was loaded from.
        task: ``segmentation`` or ``detection``.
        classes: the classes' titles in index order.
        input_size: width and height of the network's input in pixels.
    """

    def __init__(self, predictor: Predictor | Ensemble, name: str) -> None:
        self.predictor = predictor
        self.name = name
        self.task: str = predictor.task
        self.classes: list[str] = list(predictor.classes)
        self.input_size: tuple[int, int] = predictor.input_size

    def predict(
        self,
        image: NDArray[np.uint8] | str | Path,
        want: Literal["labels", "probabilities"] = "labels",
    ) -> Any:
        """Predict one image or a batch, of any size; the result has the images' size.

        Args:
            image: a file, or uint8 RGB of shape ``(H, W, 3)``, or a batch ``(N, H, W, 3)``.
            want: for segmentation, class indices or probabilities (0 to 1).

        Returns:
            For segmentation, class indices ``(H, W)``, or float32 ``(C, H, W)``; a model with a single class
            labels it 1 and everything else 0.  For detection, float32 ``(K, 6)``: left, top, right and bottom
            edges in pixels, score, class index.  For a batch, one of these for each image.

        Raises:
            InputError: the array has another shape or type.
            RavenError: the file cannot be read.
        """
        pixels = read_image(Path(image).expanduser()) if isinstance(image, str | Path) else np.asarray(image)
        if pixels.dtype != np.uint8 or pixels.ndim not in (3, 4) or pixels.shape[-1] != 3:
            raise InputError(
                f"An image is uint8 RGB of shape (H, W, 3), or a batch (N, H, W, 3); this is {pixels.dtype} "
                f"of shape {pixels.shape}."
            )
        if pixels.ndim == 4:
            return self.predictor.predict(pixels, want)
        return self.predictor.predict(pixels[None], want)[0]

    def __repr__(self) -> str:
        return f"Model({self.name!r}, task={self.task!r}, classes={self.classes!r})"


def load_model(
    model: str | Path | RunInfo,
    *,
    fold: int | None = None,
    device: str = "auto",
    force: bool = False,
    trust_code: bool = False,
    engine: str = "torch",
    precision: str = "auto",
) -> Model:
    """Load a trained model with the plugin that made it.

    Args:
        model: a run, or a prefix of its ID; a ``model-state.tar``, or the folder that one was unpacked into;
            an ``.onnx`` or ``.xml`` file; or a stored model's ID.  A model that is only in the bucket is
            downloaded.
        fold: for a k-fold run, only this fold's model; without it, the mean of all folds.
        device: ``auto``, ``cpu``, ``cuda``, ``cuda:1`` …
        force: load a model that was stored for transfer learning only.
        trust_code: whether the model may name code that is not part of a plugin, which is then imported.
        engine: ``torch``, the plugin's own framework; ``onnxruntime`` or ``openvino``; or ``auto``, what
            `raven infer` has measured to be the fastest.
        precision: what an engine computes in: ``auto``, ``32``, ``bf16`` or ``int8``.

    Raises:
        InputError: the model or fold does not exist, it is for transfer learning only, or it names code that
            is not trusted.
        RavenError: it cannot be loaded, or its plugin is not installed.
    """
    source = find_source(str(model.path if isinstance(model, RunInfo) else model), fold)
    source.check_use(force)
    engine = "auto" if engine == "torch" and is_graph(source.paths[0]) else engine
    request = InferenceRequest({}, {}, "load_model", {})
    maker = find_maker(source.paths[0])
    network = load_network(source, maker, request, device, None, trust_code, engine, precision)
    return Model(network.predictor, source.name)
