"""Counting true against predicted classes, on the device that predicted them."""

from __future__ import annotations

import torch


def confusion_per_image(labels: torch.Tensor, predicted: torch.Tensor, classes: int) -> torch.Tensor:
    """Count the pixels of each image by true and predicted class.

    Args:
        labels: int64 ``(N, H, W)``, the true class of every pixel.
        predicted: int64 ``(N, H, W)``.
        classes: how many classes there are.

    Returns:
        int64 ``(N, classes, classes)`` on the same device, truth in rows.
    """
    images = labels.shape[0]
    offset = torch.arange(images, device=labels.device).view(-1, 1, 1) * classes
    cell = ((labels + offset) * classes + predicted).reshape(-1)
    cells = images * classes * classes
    if cell.device.type == "cpu":
        counts = torch.bincount(cell, minlength=cells)
    else:
        # bincount waits for the device to learn how large its result is; this does not.
        counts = torch.zeros(cells, dtype=torch.int64, device=cell.device)
        counts.scatter_add_(0, cell, torch.ones_like(cell))
    return counts.view(images, classes, classes)
