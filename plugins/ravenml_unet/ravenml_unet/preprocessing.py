"""What is done to an image before a network sees it, in training and in inference alike."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

MEAN = (0.485, 0.456, 0.406)  # of ImageNet's RGB images, in 0…1
STD = (0.229, 0.224, 0.225)


def resize_image(image: NDArray[np.uint8], width: int, height: int) -> NDArray[np.uint8]:
    """Resize uint8 RGB ``(H, W, 3)`` bilinearly."""
    if image.shape[:2] == (height, width):
        return image
    resized: Any = cv2.resize(image, (width, height), interpolation=cv2.INTER_LINEAR)
    return resized


def resize_labels(labels: NDArray[Any], width: int, height: int) -> NDArray[Any]:
    """Resize class indices ``(H, W)``, each taken from the nearest pixel.

    OpenCV's plain ``INTER_NEAREST`` is half a pixel off from its bilinear images; the exact one is not.
    """
    if labels.shape == (height, width):
        return labels
    resized: Any = cv2.resize(labels, (width, height), interpolation=cv2.INTER_NEAREST_EXACT)
    return resized


def unit_range(images: torch.Tensor, device: torch.device | str) -> torch.Tensor:
    """Bring uint8 RGB ``(N, H, W, 3)`` to the device as float32 ``(N, 3, H, W)`` in 0 … 1."""
    return images.to(device, non_blocking=True).permute(0, 3, 1, 2).float().div_(255)


def standardise(x: torch.Tensor) -> torch.Tensor:
    """Take ImageNet's mean and deviation out of float32 ``(N, 3, H, W)`` in 0 … 1; channels last."""
    mean, std = _mean_and_std(1, x.device)
    return x.sub(mean).div_(std).contiguous(memory_format=torch.channels_last)


def normalise(images: torch.Tensor, device: torch.device | str) -> torch.Tensor:
    """Bring uint8 RGB ``(N, H, W, 3)`` to the device and make it what the networks expect.

    The bytes travel, not the floats, and the result's memory stays as the image's is: channels last.

    Returns:
        float32 ``(N, 3, H, W)``, each channel with ImageNet's mean and deviation taken out.
    """
    x = images.to(device, non_blocking=True).permute(0, 3, 1, 2).float()
    mean, std = _mean_and_std(255, x.device)
    return x.sub_(mean).div_(std)


@lru_cache(maxsize=8)
@torch.inference_mode(False)  # made in a validation, they must do in training
def _mean_and_std(scale: int, device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
    """ImageNet's, times ``scale``: ``(1, 3, 1, 1)``.  Kept, because making them is waiting for the device."""
    mean, std = (torch.tensor(values).mul_(scale).view(1, 3, 1, 1).to(device) for values in (MEAN, STD))
    return mean, std
