"""Pictures of predictions over time: which images, when, and how panels are put side by side."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

from ravenml.common.io import write_json
from ravenml.data.project import Item
from ravenml.renamed import former_names
from ravenml.runs import layout
from ravenml.runs.run import Run
from ravenml.toolkit.async_writer import AsyncWriter

__getattr__ = former_names(__name__, {"Shown": "PreviewImage", "beside_each_other": "stack_panels"})

MOMENTS = 10  # at most so many times in a training
WIDEST, NARROWEST = 512, 160  # pixels of a panel: images beyond are shown smaller or larger
CAPTION_HEIGHT = 22
GAP = 4

Draw = Callable[[], NDArray[np.uint8]]

Samples = TypeVar("Samples")


@dataclass(frozen=True)
class PreviewImage(Generic[Samples]):
    """One image whose predictions are shown; ``samples[index]`` is the image and its truth."""

    kind: str  # train or val
    item: Item
    index: int
    samples: Samples

    @property
    def name(self) -> str:
        """A name for its pictures' folder that is safe on every file system."""
        safe = re.sub(r"[^A-Za-z0-9._-]+", "_", f"{self.item.dataset}_{self.item.name.rpartition('.')[0]}")
        return f"{self.kind}/{safe}"


class Previews(Generic[Samples]):
    """Shows what the network makes of a few images, over time.

    Pictures are ``previews/<train or val>/<image>/epoch_<number>.png`` and ``…/final.png``.
    """

    def __init__(self, run: Run, epochs: int, background: AsyncWriter) -> None:
        self.run, self.writer = run, background
        self.every = math.ceil(epochs / MOMENTS)
        self.shown: list[PreviewImage[Samples]] = []

    def show(self, kind: str, items: Sequence[Item], samples: Samples, count: int) -> None:
        """Choose ``count`` images, evenly spread, and record them in ``info/<kind>_vis_items.json``."""
        count = min(count, len(items))
        chosen = [index * len(items) // count for index in range(count)]
        self.shown += [PreviewImage(kind, items[index], index, samples) for index in chosen]
        listed = [{"dataset_name": items[i].dataset, "item_name": items[i].name} for i in chosen]
        write_json(self.run.path / layout.INFO / f"{kind}_vis_items.json", listed)

    def is_due(self, epoch: int) -> bool:
        """Whether it is time for pictures after this epoch."""
        return epoch % self.every == 0

    def write(self, shown: PreviewImage[Samples], name: str, draw: Draw, epoch: float) -> None:
        """Draw and write a picture in the background; what the network says must be there already."""
        self.writer.do(lambda: self.run.image(f"{shown.name}/{name}", draw(), epoch=epoch))


def stack_panels(panels: Sequence[NDArray[np.uint8]], captions: Sequence[str]) -> NDArray[np.uint8]:
    """Put pictures of one size next to each other, each under its caption.

    Args:
        panels: uint8 RGB ``(H, W, 3)``; large ones are shown smaller, small ones larger.

    Returns:
        uint8 RGB.
    """
    scale = panel_scale(panels[0].shape[1])
    size = (max(1, round(panels[0].shape[1] * scale)), max(1, round(panels[0].shape[0] * scale)))
    columns: list[NDArray[np.uint8]] = []
    for panel, text in zip(panels, captions, strict=True):
        head = np.full((CAPTION_HEIGHT, size[0], 3), 255, dtype=np.uint8)
        cv2.putText(head, text, (4, 15), cv2.FONT_HERSHEY_SIMPLEX, 0.42, (40, 40, 40), 1, cv2.LINE_AA)
        # A whole multiple of a small image keeps its pixels sharp.
        how = cv2.INTER_AREA if scale < 1 else cv2.INTER_NEAREST
        column = np.vstack([head, panel if scale == 1 else cv2.resize(panel, size, interpolation=how)])
        columns += [column, np.full((column.shape[0], GAP, 3), 255, dtype=np.uint8)]
    return np.hstack(columns[:-1])


def panel_scale(width: int) -> float:
    """How much larger a panel is shown than an image of this width."""
    return WIDEST / width if width > WIDEST else max(1, math.ceil(NARROWEST / width))
