"""Previews: what the detector finds in a few images, over time."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from ravenml.data.project import ObjClass
from ravenml.runs.run import Run
from ravenml.toolkit.async_writer import AsyncWriter
from ravenml.toolkit.previews import Previews
from ravenml_tf_bbox.data import FittedSamples, pad_image
from ravenml_tf_bbox.detecting import Detector, to_image
from ravenml_tf_bbox.pictures import make_palette, side_by_side


class Previewer(Previews[FittedSamples]):
    """Shows true and predicted boxes of a few images."""

    def __init__(self, run: Run, classes: Sequence[ObjClass], epochs: int, background: AsyncWriter) -> None:
        super().__init__(run, epochs, background)
        self.palette = make_palette([c.rgb for c in classes])

    def after_epoch(self, detector: Detector, epoch: int) -> None:
        """Draw the pictures, where it is time for them."""
        if self.is_due(epoch):
            self.draw(detector, f"epoch_{epoch:03d}", f"prediction, epoch {epoch}", epoch)

    def draw(self, detector: Detector, name: str, caption: str, epoch: float) -> None:
        """Draw every chosen image's picture; drawing and writing are done in the background."""
        for shown in self.shown:
            samples = shown.samples
            truth = samples.truth(shown.index)
            small = pad_image(samples[shown.index].image, samples.width, samples.height)
            found = to_image(detector(small[None])[0], truth.scale, truth.size)
            image = samples.samples[shown.index].image
            draw = partial(side_by_side, image, truth.boxes, found, self.palette, caption)
            self.write(shown, name, draw, epoch)
