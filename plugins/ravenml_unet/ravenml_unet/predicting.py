"""From an image of any size to its probabilities at that size."""

from __future__ import annotations

import functools
import os
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn import functional as F

from ravenml_unet.preprocessing import normalise, resize_image

MOST_WORKERS = 4


def worker_count(device: torch.device) -> int:
    """How many images go through a network side by side on a processor: at most 4; 1 elsewhere.

    Each has its share of PyTorch's threads.  That is faster than one image after another with all threads,
    which wait for each other after every layer.
    """
    return min(torch.get_num_threads(), MOST_WORKERS) if device.type == "cpu" else 1


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
    side_by_side = min(worker_count(device), len(images))
    if side_by_side < 2:
        return _probabilities(model, images, width, height, device)
    pool = _pool(side_by_side, torch.get_num_threads(), os.getpid())
    alone = (images[index : index + 1] for index in range(len(images)))
    parts = list(pool.map(lambda image: _probabilities(model, image, width, height, device), alone))
    return torch.cat(parts)


@functools.cache
def _pool(count: int, threads: int, process: int) -> ThreadPoolExecutor:
    """Threads that share PyTorch's ``threads`` among them; kept, as they hold memory that is used again.

    OpenMP's number of threads is each thread's own: what is set in the pool's threads is theirs alone, and
    is set back for all those to come.
    """
    pool = ThreadPoolExecutor(count, "predict", torch.set_num_threads, (max(threads // count, 1),))
    waiting = threading.Barrier(count)
    for ready in [pool.submit(waiting.wait) for _ in range(count)]:
        ready.result()  # every thread is there, and has set its number
    torch.set_num_threads(threads)
    return pool


@torch.inference_mode()
def _probabilities(
    model: nn.Module, images: NDArray[np.uint8], width: int, height: int, device: torch.device
) -> torch.Tensor:
    resized = np.stack([resize_image(image, width, height) for image in images])
    result = model(normalise(torch.from_numpy(resized), device)).float().exp_()
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
