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
from ravenml_unet.data import ImagesAndLabels, Loader, ResizedSamples, split_batches
from ravenml_unet.loss import Loss, segmentation_loss
from ravenml_unet.objective import Metric
from ravenml_unet.parallel import Team
from ravenml_unet.predicting import likeliest, most_likely, resized_probabilities
from ravenml_unet.preprocessing import normalise

SUMS = {"mps": torch.float32}  # which has no float64


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
    report: Callable[[int, int], object] = lambda done, total: None,
    originals: ImagesAndLabels | None = None,
    team: Team | None = None,
) -> Evaluation:
    """Measure ``model`` on ``samples`` in their order, and leave it in the mode that it was in.

    Args:
        loss: what ``Evaluation.loss`` is the mean of, over batches by their number of images.
        own_metrics: the user's own, by name; their mean is taken in the same way.
        report: called with how many images are done, and how many there are.
        originals: the same images at their own sizes, to be measured at these too: as in inference,
            probabilities are resized bilinearly, and then the likeliest class is taken.
        team: the processes that share the images among them; each learns the whole result.
    """
    was_training = model.training
    model.eval()
    count, classes = len(samples), len(titles)
    # There is room for all results before the first batch: small pieces of memory that stay, taken between
    # large ones that are given back, would leave holes in which no batch's tensors fit any more.
    confusion = torch.zeros((count, classes, classes), dtype=torch.int64, device=device)
    original = np.zeros((count, classes, classes), np.int64) if originals is not None else None
    functions = {"": loss, **own_metrics}
    sums = torch.zeros(len(functions), dtype=SUMS.get(device.type, torch.float64), device=device)
    mine = np.arange(count) if team is None else team.part(np.arange(count))
    done = 0
    try:
        with torch.inference_mode():
            parts = split_batches(mine, batch_size)
            for indices, batch in zip(parts, loader.batches(samples, parts), strict=True):
                labels = batch.labels.to(device, non_blocking=True).long()
                output = model(normalise(batch.images, device))
                for number, function in enumerate(functions.values()):
                    sums[number] += function(output, labels).to(sums) * len(batch)
                counted = confusion_per_image(labels, likeliest(output), classes)
                confusion[torch.from_numpy(indices)] = counted
                if original is not None and originals is not None:
                    for index, one in zip(indices.tolist(), output.float().exp(), strict=True):
                        truth = originals[index][1]
                        predicted = most_likely(resized_probabilities(one[None], truth.shape))[0]
                        original[index] = confusion_matrix(truth, predicted, classes)
                done += len(batch)
                report(done, len(mine))
    finally:
        model.train(was_training)
    if team is not None:
        team.add([confusion, sums])
        if original is not None:
            everywhere = torch.from_numpy(original).to(device)
            team.add([everywhere])
            original = everywhere.cpu().numpy()
    # The device is asked for the first time here.
    own = dict(zip(functions, (sums.cpu() / max(count, 1)).tolist(), strict=True))
    return Evaluation(own.pop(""), confusion.cpu().numpy(), titles, own, original)
