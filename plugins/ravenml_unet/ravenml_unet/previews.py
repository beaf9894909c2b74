"""Pictures of predictions: image, truth and prediction side by side."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from ravenml.data.project import ObjClass
from ravenml.runs.run import Run
from ravenml.toolkit.async_writer import AsyncWriter
from ravenml.toolkit.previews import Previews, stack_panels
from ravenml_unet.data import ImagesAndLabels
from ravenml_unet.predicting import most_likely, probabilities


class Previewer(Previews[ImagesAndLabels]):
    """Shows what the network makes of a few images, over time."""

    def __init__(
        self,
        run: Run,
        classes: Sequence[ObjClass],
        width: int,
        height: int,
        epochs: int,
        device: torch.device,
        background: AsyncWriter,
    ) -> None:
        super().__init__(run, epochs, background)
        self.width, self.height, self.device = width, height, device
        self.palette = np.array([c.rgb for c in classes], dtype=np.uint8)
        self.background = next((i for i, c in enumerate(classes) if c.title == "__bg__"), -1)

    def after_epoch(self, model: nn.Module, epoch: int) -> None:
        """Draw the pictures, where it is time for them."""
        if self.is_due(epoch):
            self.draw(model, f"epoch_{epoch:03d}", f"prediction, epoch {epoch}", epoch)

    def draw(self, model: nn.Module, name: str, caption: str, epoch: float) -> None:
        """Draw every chosen image's picture; the network is left in the mode that it was in.

        The network predicts now; drawing and writing are done in the background.
        """
        was_training = model.training
        model.eval()
        try:
            for shown in self.shown:
                image, truth = shown.samples[shown.index]
                predicted = self.predict(model, image)
                draw = partial(side_by_side, image, truth, predicted, self.palette, self.background, caption)
                self.write(shown, name, draw, epoch)
        finally:
            model.train(was_training)

    def predict(self, model: nn.Module, image: NDArray[np.uint8]) -> NDArray[Any]:
        """The classes of uint8 RGB ``(H, W, 3)``, at its own size; ``model`` is in evaluation mode."""
        return most_likely(probabilities(model, image[None], self.width, self.height, self.device))[0]


def side_by_side(
    image: NDArray[np.uint8],
    truth: NDArray[Any],
    predicted: NDArray[Any],
    palette: NDArray[np.uint8],
    background: int,
    caption: str,
) -> NDArray[np.uint8]:
    """Put image, truth and prediction next to each other, each under its name.

    Args:
        image: uint8 RGB ``(H, W, 3)``.
        truth: class indices ``(H, W)``.
        predicted: class indices ``(H, W)``.
        palette: uint8 RGB per class, ``(C, 3)``.
        background: the class that shows the image itself, only darker; -1 for none.
        caption: what stands above the prediction.

    Returns:
        uint8 RGB.
    """
    panels = [image, *(colour_labels(image, labels, palette, background) for labels in (truth, predicted))]
    return stack_panels(panels, ("image", "truth", caption))


def colour_labels(
    image: NDArray[np.uint8], labels: NDArray[Any], palette: NDArray[np.uint8], background: int
) -> NDArray[np.uint8]:
    """Lay the classes' colours over a darkened grey image: uint8 RGB ``(H, W, 3)``."""
    grey = image.mean(axis=2, keepdims=True, dtype=np.float32)
    colour = palette[labels].astype(np.float32)
    mixed = 0.3 * grey + 0.7 * colour
    mixed = np.where((labels == background)[..., None], 0.45 * grey, mixed)
    result: NDArray[np.uint8] = mixed.round().clip(0, 255).astype(np.uint8)
    return result
