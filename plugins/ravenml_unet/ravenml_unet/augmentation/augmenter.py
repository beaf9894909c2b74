"""A pipeline at work: the same step gives the same images, whatever was done before."""

from __future__ import annotations

import torch

from ravenml.toolkit.augmentation.pipeline import Pipeline
from ravenml_unet.augmentation.operations import Draw, change


class Augmenter:
    """Changes batches as a pipeline says; a pure function of the batch and a seed.

    It keeps no state and uses no global generator, so it may run on any device and in any thread.
    """

    def __init__(self, pipeline: Pipeline, background: int) -> None:
        self.pipeline, self.background = pipeline, background

    @torch.no_grad()
    def __call__(
        self, images: torch.Tensor, labels: torch.Tensor, seed: int
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Change some images, each with its labels.

        Args:
            images: float32 RGB ``(N, 3, H, W)`` in 0 … 1.
            labels: int64 ``(N, H, W)``.
            seed: what the random numbers come from.

        Returns:
            The same shapes and types; labels are among those that came in, and the background.
        """
        draw = Draw(seed, images.device)
        steps = self.pipeline.pipeline
        if self.pipeline.random_order:
            steps = [steps[index] for index in draw.order(len(steps))]
        for step in steps:
            chosen = draw.chosen(step.p, len(images))
            if len(chosen) == 0:
                continue
            if len(chosen) == len(images):
                images, labels = change(step, images, labels, self.background, draw)
                continue
            at = chosen.to(images.device, non_blocking=True)
            some, theirs = change(step, images[at], labels[at], self.background, draw)
            images = images.index_copy(0, at, some.to(images.dtype))
            labels = labels.index_copy(0, at, theirs)
        return images, labels
