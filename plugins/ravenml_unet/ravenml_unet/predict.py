"""A trained model as ravenML's inference uses it.  torch is imported when a model is loaded."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from ravenml.common.io import read_json
from ravenml.errors import InputError
from ravenml.store.model_state import CONFIG

if TYPE_CHECKING:
    import numpy as np
    import torch
    from numpy.typing import NDArray

    from ravenml.data.project import ObjClass
    from ravenml_unet.models.network import SegmentationNetwork


class UNetPredictor:
    """A trained U-Net.

    Attributes:
        task: ``segmentation``.
        classes: the classes' titles in index order.
        obj_classes: the same with shape and colour.
        input_size: the network's ``(width, height)``; images of any size are resized to it and back.
        architecture: as ``--model`` names it.
        model: the network, in evaluation mode.
        device: where it is.
    """

    task = "segmentation"

    def __init__(
        self,
        model: SegmentationNetwork,
        obj_classes: list[ObjClass],
        input_size: tuple[int, int],
        device: torch.device,
        architecture: str,
    ) -> None:
        self.model, self.obj_classes, self.input_size, self.device = model, obj_classes, input_size, device
        if device.type == "cpu":
            from ravenml_unet.packing import keep_packed

            keep_packed(model)
        self.architecture = architecture
        self.classes = [c.title for c in obj_classes]

    @property
    def batch_size(self) -> int:
        """How many images at once are fastest: on a processor as many as it computes side by side."""
        from ravenml_unet.predicting import worker_count

        return worker_count(self.device) if self.device.type == "cpu" else 16

    def predict(
        self, images: NDArray[np.uint8], want: Literal["labels", "probabilities"] = "labels"
    ) -> NDArray[Any]:
        """Predict a batch of images.

        Args:
            images: uint8 RGB ``(N, H, W, 3)``.
            want: what to give.

        Returns:
            At the images' own size: ``labels``, class indices ``(N, H, W)`` (uint8; uint16 for more
            than 256 classes), or ``probabilities``, float32 ``(N, C, H, W)``.

        Raises:
            InputError: the images have another shape or type, or something else is wanted.
        """
        from ravenml_unet.allocator import keep_some_freed_memory
        from ravenml_unet.predicting import most_likely, probabilities

        if images.ndim != 4 or images.shape[-1] != 3 or images.dtype.name != "uint8":
            raise InputError(
                f"Images must be uint8 of shape (N, H, W, 3), not {images.dtype}, {images.shape}."
            )
        if want not in ("labels", "probabilities"):
            raise InputError(f"want: {want!r} is not known; choose labels or probabilities.")
        if self.device.type == "cpu":
            keep_some_freed_memory()
        result = probabilities(self.model, images, *self.input_size, self.device)
        return most_likely(result) if want == "labels" else result.cpu().numpy()


def accepts(folder: Path) -> bool:
    """Whether :func:`load` can use a folder without ``config.json``.

    It can use the artifact folder of a training in Supervisely's U-Net app, and a run's folder of ours.
    """
    state = Path(folder) / "info" / "ui_state.json"
    if not state.is_file() or not any(Path(folder).glob("checkpoints/*.pth")):
        return False
    content = read_json(state)
    ours = content.get("plugin") if isinstance(content, dict) else None
    return isinstance(content, dict) and (
        "selectedModel" in content or (isinstance(ours, dict) and "model" in ours)
    )


def load(model_dir: Path, device: str = "auto") -> UNetPredictor:
    """Load an unpacked ``model-state.tar``, or a folder that :func:`accepts` knows.

    Args:
        model_dir: the folder with ``config.json`` and the weights.
        device: ``auto``, ``cpu``, ``cuda`` or ``mps``.

    Raises:
        RavenError: the folder holds no model of this plugin.
    """
    from ravenml.infer.model_folder import read_model_folder

    model_dir = Path(model_dir)
    if not (model_dir / CONFIG).is_file() and accepts(model_dir):
        from ravenml_unet.loading import load_model

        return load_model(model_dir, device)
    found = read_model_folder(model_dir)
    return make_predictor(found.architecture, found.weights, found.classes, found.input_size, device)


def export(
    predictors: Sequence[UNetPredictor],
    kind: str,
    path: Path,
    *,
    dynamic: bool = False,
    half: bool = False,
    note: str = "",
) -> Callable[[NDArray[np.uint8]], NDArray[np.float32]] | None:
    """Write models as one file for other engines; see `ravenml.infer.engines.export`.

    Args:
        predictors: what :func:`load` gave; of a k-fold run's folds, the mean of their probabilities.
        kind: ``onnx`` or ``torchscript``.
        path: the file.
        dynamic: let the graph take any number of images of any size above the network's stride.
        half: with weights of 16 bits.
        note: what the core wants to find in a TorchScript, as the extra file ``ravenml``.

    Returns:
        For a TorchScript, the graph as a function; an engine of the core's runs an ONNX file.

    Raises:
        InputError: there is no such kind.
    """
    if kind not in ("onnx", "torchscript"):
        raise InputError(f"The plugin unet exports onnx and torchscript, not {kind}.")
    from ravenml_unet.graph import write_graph

    return write_graph(predictors, kind, path, dynamic, half, note)


def make_predictor(
    architecture: str, weights: Path, classes: list[ObjClass], size: tuple[int, int], device: str = "auto"
) -> UNetPredictor:
    """Make a predictor from weights and what they are.

    Args:
        architecture: as the model's file names it.
        weights: a state dict's file.
        classes: in index order.
        size: the input's width and height.
        device: ``auto``, ``cpu``, ``cuda`` or ``mps``.

    Raises:
        InputError: the weights are another network's, or cannot be read; or the network is code of somebody's
            own that the user does not trust.
    """
    import torch

    from ravenml_unet.device import choose_device
    from ravenml_unet.models.registry import check_named_by_file, create_model
    from ravenml_unet.weights import load_weights

    model = create_model(check_named_by_file(architecture, "The model"), len(classes))
    load_weights(model, weights, architecture)
    where = torch.device(choose_device(device))
    if where.type != "mps":
        model = model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return UNetPredictor(model.eval().to(where), classes, size, where, architecture)
