"""What the training minimises."""

from __future__ import annotations

import torch
from torch.nn import functional as F


def segmentation_loss(log_probabilities: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """The mean negative log-likelihood over all pixels: a scalar.

    Args:
        log_probabilities: float32 ``(N, classes, H, W)``.
        labels: int64 ``(N, H, W)`` with values in ``0 … classes - 1``.
    """
    return F.nll_loss(log_probabilities, labels)
