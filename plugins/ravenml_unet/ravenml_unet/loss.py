"""What the training minimises."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional as F

from ravenml.data.problems import suggestion
from ravenml.errors import InputError

Loss = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]  # of log-probabilities and labels, as below

EPS = 1e-15  # the published one


def segmentation_loss(
    log_probabilities: torch.Tensor,
    labels: torch.Tensor,
    jaccard_weight: float = 0.0,
    class_weights: torch.Tensor | None = None,
) -> torch.Tensor:
    """``(1-w)·NLL - w·Σ_class log(soft Jaccard)`` over one batch: a scalar.

    The loss of Iglovikov and Shvets' TernausNet for several classes, as Supervisely's U-Net app computes
    it.  With ``w`` = 0 it is the mean negative log-likelihood over all pixels.

    Args:
        log_probabilities: float32 ``(N, classes, H, W)``.
        labels: int64 ``(N, H, W)`` with values in ``0 … classes - 1``.
        jaccard_weight: ``w``, in 0…1.
        class_weights: float32 ``(classes,)``, how much each class's pixels count in the NLL.
    """
    loss = F.nll_loss(log_probabilities, labels, weight=class_weights)
    if not jaccard_weight:
        return loss
    probabilities = log_probabilities.exp()
    truth = torch.zeros_like(probabilities).scatter_(1, labels.unsqueeze(1), 1.0)
    intersection = (probabilities * truth).sum(dim=(0, 2, 3))
    union = (probabilities + truth).sum(dim=(0, 2, 3)) - intersection
    jaccard = torch.log((intersection + EPS) / (union + EPS)).sum()
    return (1 - jaccard_weight) * loss - jaccard_weight * jaccard


def read_weights(weights: Mapping[str, float], titles: Sequence[str]) -> torch.Tensor:
    """The weight of every class, float32 ``(classes,)``; classes that are not named weigh 1.

    Raises:
        InputError: a class is unknown, or nothing would weigh anything.
    """
    for title in weights:
        if title not in titles:
            raise InputError(
                f"class_weights: there is no class {title!r}; {suggestion(title, list(titles))}."
            )
    values = [weights.get(title, 1.0) for title in titles]
    if not any(values):
        raise InputError("class_weights: all classes weigh 0, so there is nothing to learn.")
    return torch.tensor(values, dtype=torch.float32)


def balanced_weights(pixels: NDArray[np.int64]) -> torch.Tensor:
    """Weights by median frequency balancing, float32 ``(classes,)``; a class without a pixel weighs 1.

    Eigen and Fergus, "Predicting Depth, Surface Normals and Semantic Labels" (2015): the median of the
    classes' frequencies, divided by each class's own.

    Args:
        pixels: how many pixels each class has in the training images, int64 ``(classes,)``.
    """
    present = pixels > 0
    weights = np.ones(len(pixels), dtype=np.float32)
    weights[present] = np.median(pixels[present]) / pixels[present]
    return torch.from_numpy(weights)
