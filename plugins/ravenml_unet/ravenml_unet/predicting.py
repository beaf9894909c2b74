"""From an image of any size to its probabilities at that size."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn import functional as F

from ravenml_unet.preprocessing import normalised, resize_image


@torch.inference_mode()
def probabilities(
    model: nn.Module, images: NDArray[np.uint8], width: int, height: int, device: torch.device
) -> torch.Tensor:
    """Predict images of one size.

    Args:
        model: in evaluation mode; gives log-probabilities.
        images: uint8 RGB ``(N, H, W, 3)``.
        width: the network's input width; the images are resized bilinearly.
        height: its input height.
        device: where the model is.

    Returns:
        float32 ``(N, C, H, W)`` on the device, resized bilinearly back to the images' own size; at
        every pixel they add up to 1 (a single class stands for itself).
    """
    resized = np.stack([resize_image(image, width, height) for image in images])
    result = model(normalised(torch.from_numpy(resized), device)).float().exp()
    return resized_probabilities(result, images.shape[1:3])


def resized_probabilities(result: torch.Tensor, size: Sequence[int]) -> torch.Tensor:
    """Resize float32 ``(N, C, H, W)`` bilinearly to ``size`` (height, width)."""
    if tuple(result.shape[-2:]) == tuple(size):
        return result
    return F.interpolate(result, size=list(size), mode="bilinear", align_corners=False)


def likeliest(scores: torch.Tensor) -> torch.Tensor:
    """The class with the highest score at every pixel: int64 ``(N, H, W)`` of ``(N, C, H, W)``.

    The first of equals.  ``argmax`` gives the same, and takes up to thirty times as long on a processor.
    """
    return scores.max(dim=1).indices


def most_likely(result: torch.Tensor) -> NDArray[Any]:
    """The class of every pixel: ``(N, H, W)`` for probabilities ``(N, C, H, W)``.

    A single class is told from everything else at one half: 1 is the class, 0 is not.
    """
    labels = (result[:, 0] > 0.5).long() if result.shape[1] == 1 else likeliest(result)
    return labels.cpu().numpy().astype(np.uint8 if result.shape[1] <= 256 else np.uint16)
