"""Measuring a network on a set of images."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from ravenml.infer.metrics import segmentation_metrics
from ravenml_unet.confusion import confusion_per_image
from ravenml_unet.data import Loader, ResizedSamples
from ravenml_unet.loss import segmentation_loss
from ravenml_unet.preprocessing import normalised


@dataclass(frozen=True)
class Evaluation:
    """What was measured, at the network's input size.

    Attributes:
        loss: the mean over all pixels.
        confusion: pixels per image, shape ``(N, C, C)``, truth in rows, int64.
        titles: the ``C`` classes.
    """

    loss: float
    confusion: NDArray[np.int64]
    titles: Sequence[str]

    def metrics(self) -> dict[str, float]:
        """The loss and the scores of all images' pixels together."""
        return {"loss": self.loss, **segmentation_metrics(self.confusion.sum(axis=0), self.titles)}


def evaluate(
    model: nn.Module,
    loader: Loader,
    samples: ResizedSamples,
    batch_size: int,
    titles: Sequence[str],
    device: torch.device,
    report: Callable[[int, int], None] = lambda done, total: None,
) -> Evaluation:
    """Measure ``model`` on ``samples`` in their order, and leave it in the mode that it was in.

    Args:
        report: called with how many images are done, and how many there are.
    """
    was_training = model.training
    model.eval()
    loss = torch.zeros((), dtype=torch.float64)
    parts: list[torch.Tensor] = []
    losses: list[tuple[torch.Tensor, int]] = []
    done = 0
    try:
        with torch.inference_mode():
            for batch in loader.batches(samples, np.arange(len(samples)), batch_size):
                labels = batch.labels.to(device, non_blocking=True).long()
                output = model(normalised(batch.images, device))
                losses.append((segmentation_loss(output, labels), len(batch)))
                parts.append(confusion_per_image(labels, output.argmax(dim=1), len(titles)))
                done += len(batch)
                report(done, len(samples))
    finally:
        model.train(was_training)
    for value, count in losses:  # the device is asked for the first time here
        loss += value.double().cpu() * count
    return Evaluation(float(loss) / max(done, 1), torch.cat(parts).cpu().numpy(), titles)
