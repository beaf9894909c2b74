"""Measuring a network on a set of images."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from ravenml.infer.metrics import confusion_matrix, segmentation_metrics
from ravenml_unet.confusion import confusion_per_image
from ravenml_unet.data import ImagesAndLabels, Loader, ResizedSamples
from ravenml_unet.loss import Loss, segmentation_loss
from ravenml_unet.objective import Metric
from ravenml_unet.predicting import likeliest, most_likely, resized_probabilities
from ravenml_unet.preprocessing import normalised


@dataclass(frozen=True)
class Evaluation:
    """What was measured, at the network's input size.

    Attributes:
        loss: the mean over all images.
        confusion: pixels per image, shape ``(N, C, C)``, truth in rows, int64.
        titles: the ``C`` classes.
        own: means over all images of the user's own metrics.
        original: like ``confusion``, but at the images' own sizes; None where that was not asked for.
    """

    loss: float
    confusion: NDArray[np.int64]
    titles: Sequence[str]
    own: Mapping[str, float] = field(default_factory=dict)
    original: NDArray[np.int64] | None = None

    def metrics(self) -> dict[str, float]:
        """The loss and the scores of all images' pixels together."""
        scores = segmentation_metrics(self.confusion.sum(axis=0), self.titles)
        return {"loss": self.loss, **scores, **self.own}


def evaluate(
    model: nn.Module,
    loader: Loader,
    samples: ResizedSamples,
    batch_size: int,
    titles: Sequence[str],
    device: torch.device,
    loss: Loss = segmentation_loss,
    own_metrics: Mapping[str, Metric] = {},
    report: Callable[[int, int], None] = lambda done, total: None,
    originals: ImagesAndLabels | None = None,
) -> Evaluation:
    """Measure ``model`` on ``samples`` in their order, and leave it in the mode that it was in.

    Args:
        loss: what ``Evaluation.loss`` is the mean of, over batches by their number of images.
        own_metrics: the user's own, by name; their mean is taken in the same way.
        report: called with how many images are done, and how many there are.
        originals: the same images at their own sizes, to be measured at these too: as in inference,
            probabilities are resized bilinearly, and then the likeliest class is taken.
    """
    was_training = model.training
    model.eval()
    parts: list[torch.Tensor] = []
    at_own_size: list[NDArray[np.int64]] = []
    means: dict[str, list[torch.Tensor]] = {"": [], **{name: [] for name in own_metrics}}
    counts: list[int] = []
    done = 0
    try:
        with torch.inference_mode():
            for batch in loader.batches(samples, np.arange(len(samples)), batch_size):
                labels = batch.labels.to(device, non_blocking=True).long()
                output = model(normalised(batch.images, device))
                for name, function in {"": loss, **own_metrics}.items():
                    means[name].append(function(output, labels))
                counts.append(len(batch))
                parts.append(confusion_per_image(labels, likeliest(output), len(titles)))
                if originals is not None:
                    for index, one in enumerate(output.float().exp(), start=done):
                        truth = originals[index][1]
                        predicted = most_likely(resized_probabilities(one[None], truth.shape))[0]
                        at_own_size.append(confusion_matrix(truth, predicted, len(titles)))
                done += len(batch)
                report(done, len(samples))
    finally:
        model.train(was_training)
    # The device is asked for the first time here.
    own = {
        name: sum(float(v.double().cpu()) * n for v, n in zip(values, counts, strict=True)) / max(done, 1)
        for name, values in means.items()
    }
    original = np.stack(at_own_size) if originals is not None else None
    return Evaluation(own.pop(""), torch.cat(parts).cpu().numpy(), titles, own, original)
