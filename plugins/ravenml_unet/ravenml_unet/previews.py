"""Pictures of predictions: image, truth and prediction side by side."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from ravenml.data.project import Item, ObjClass
from ravenml.files import write_json
from ravenml.runs.run import Run
from ravenml_unet.background import Background
from ravenml_unet.data import ImagesAndLabels
from ravenml_unet.predicting import most_likely, probabilities

MOMENTS = 10  # at most so many times in a training
WIDEST, NARROWEST = 512, 160  # pixels of a panel: images beyond are shown smaller or larger
CAPTION_HEIGHT = 22
GAP = 4


@dataclass(frozen=True)
class Shown:
    """One image whose predictions are shown."""

    kind: str  # train or val
    item: Item
    index: int
    samples: ImagesAndLabels

    @property
    def name(self) -> str:
        """A name for its pictures' folder that is safe on every file system."""
        safe = re.sub(r"[^A-Za-z0-9._-]+", "_", f"{self.item.dataset}_{self.item.name.rpartition('.')[0]}")
        return f"{self.kind}/{safe}"


class Previewer:
    """Shows what the network makes of a few images, over time.

    Pictures are ``previews/<train or val>/<image>/epoch_<number>.png`` and ``…/final.png``.
    """

    def __init__(
        self,
        run: Run,
        classes: Sequence[ObjClass],
        width: int,
        height: int,
        epochs: int,
        device: torch.device,
        background: Background,
    ) -> None:
        self.run, self.width, self.height, self.device = run, width, height, device
        self.beside = background
        self.palette = np.array([c.rgb for c in classes], dtype=np.uint8)
        self.background = next((i for i, c in enumerate(classes) if c.title == "__bg__"), -1)
        self.every = math.ceil(epochs / MOMENTS)
        self.shown: list[Shown] = []

    def show(self, kind: str, items: Sequence[Item], samples: ImagesAndLabels, count: int) -> None:
        """Choose ``count`` images, evenly spread, and record them in ``info/<kind>_vis_items.json``."""
        count = min(count, len(items))
        chosen = [index * len(items) // count for index in range(count)]
        self.shown += [Shown(kind, items[index], index, samples) for index in chosen]
        listed = [{"dataset_name": items[i].dataset, "item_name": items[i].name} for i in chosen]
        write_json(self.run.path / "info" / f"{kind}_vis_items.json", listed)

    def after_epoch(self, model: nn.Module, epoch: int) -> None:
        """Draw the pictures, where it is time for them."""
        if epoch % self.every == 0:
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
                self.beside.do(
                    partial(self._write, f"{shown.name}/{name}", image, truth, predicted, caption, epoch)
                )
        finally:
            model.train(was_training)

    def _write(
        self,
        name: str,
        image: NDArray[np.uint8],
        truth: NDArray[Any],
        predicted: NDArray[Any],
        caption: str,
        epoch: float,
    ) -> None:
        picture = side_by_side(image, truth, predicted, self.palette, self.background, caption)
        self.run.image(name, picture, epoch=epoch)

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
    width = image.shape[1]
    scale = WIDEST / width if width > WIDEST else max(1, math.ceil(NARROWEST / width))
    size = (max(1, round(image.shape[1] * scale)), max(1, round(image.shape[0] * scale)))
    panels = [
        image,
        coloured(image, truth, palette, background),
        coloured(image, predicted, palette, background),
    ]
    columns = []
    for panel, text in zip(panels, ("image", "truth", caption), strict=True):
        head = np.full((CAPTION_HEIGHT, size[0], 3), 255, dtype=np.uint8)
        cv2.putText(head, text, (4, 15), cv2.FONT_HERSHEY_SIMPLEX, 0.42, (40, 40, 40), 1, cv2.LINE_AA)
        # A whole multiple of a small image keeps its pixels sharp.
        how = cv2.INTER_AREA if scale < 1 else cv2.INTER_NEAREST
        columns.append(np.vstack([head, panel if scale == 1 else cv2.resize(panel, size, interpolation=how)]))
    gap = np.full((columns[0].shape[0], GAP, 3), 255, dtype=np.uint8)
    return np.hstack([columns[0], gap, columns[1], gap, columns[2]])


def coloured(
    image: NDArray[np.uint8], labels: NDArray[Any], palette: NDArray[np.uint8], background: int
) -> NDArray[np.uint8]:
    """Lay the classes' colours over a darkened grey image: uint8 RGB ``(H, W, 3)``."""
    grey = image.mean(axis=2, keepdims=True, dtype=np.float32)
    colour = palette[labels].astype(np.float32)
    mixed = 0.3 * grey + 0.7 * colour
    mixed = np.where((labels == background)[..., None], 0.45 * grey, mixed)
    result: NDArray[np.uint8] = mixed.round().clip(0, 255).astype(np.uint8)
    return result
