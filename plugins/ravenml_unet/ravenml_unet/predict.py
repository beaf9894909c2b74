"""A trained model as ravenML's inference uses it.  torch is imported when a model is loaded."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from ravenml.errors import InputError
from ravenml.store.model_state import read_config

if TYPE_CHECKING:
    import numpy as np
    import torch
    from numpy.typing import NDArray

    from ravenml_unet.models.network import SegmentationNetwork


class UNetPredictor:
    """A trained U-Net.

    Attributes:
        task: ``segmentation``.
        classes: ``{"title", "shape", "color"}`` in index order.
        input_size: the network's ``(width, height)``; images of any size are resized to it and back.
    """

    task = "segmentation"

    def __init__(
        self,
        model: SegmentationNetwork,
        classes: list[dict[str, str]],
        input_size: tuple[int, int],
        device: torch.device,
    ) -> None:
        self._model, self.classes, self.input_size, self._device = model, classes, input_size, device

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
        from ravenml_unet.inference import most_likely, probabilities

        if images.ndim != 4 or images.shape[-1] != 3 or images.dtype.name != "uint8":
            raise InputError(
                f"Images must be uint8 of shape (N, H, W, 3), not {images.dtype}, {images.shape}."
            )
        if want not in ("labels", "probabilities"):
            raise InputError(f"want: {want!r} is not known; choose labels or probabilities.")
        result = probabilities(self._model, images, *self.input_size, self._device)
        return most_likely(result) if want == "labels" else result.cpu().numpy()


def load(model_dir: Path, device: str = "auto") -> UNetPredictor:
    """Load an unpacked ``model-state.tar``.

    Args:
        model_dir: the folder with ``config.json`` and the weights.
        device: ``auto``, ``cpu``, ``cuda`` or ``mps``.

    Raises:
        RavenError: the folder holds no model of this plugin.
    """
    import torch

    from ravenml_unet.device import choose_device
    from ravenml_unet.models.registry import create_model
    from ravenml_unet.weights import load_weights

    model_dir = Path(model_dir)
    config = read_config(model_dir)
    try:
        settings, classes = config["settings"], list(config["out_classes"])
        size = int(settings["input_size"]["width"]), int(settings["input_size"]["height"])
        architecture, weights = settings["architecture"], model_dir / settings["weights"]
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f"{model_dir}: config.json describes no U-Net: {error!r} is missing.") from None
    model = create_model(architecture, len(classes))
    load_weights(model, weights, architecture)
    where = torch.device(choose_device(device))
    if where.type != "mps":
        model = model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return UNetPredictor(model.eval().to(where), classes, size, where)
