"""What the training minimises."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional as F

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
