"""Batches of resized images and masks, prepared by threads."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from ravenml.toolkit.prefetch import MemoryCache, Prefetcher
from ravenml_unet.preprocessing import resize_image, resize_labels

Indices = Sequence[int] | NDArray[Any]


class ImagesAndLabels(Protocol):
    """What ``ravenml.data.samples.Samples`` offers."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> tuple[NDArray[np.uint8], NDArray[Any]]: ...


@dataclass(frozen=True, slots=True)
class Batch:
    """Some samples side by side: uint8 RGB ``(N, H, W, 3)`` and integer class indices ``(N, H, W)``."""

    images: torch.Tensor
    labels: torch.Tensor

    def __len__(self) -> int:
        return self.images.shape[0]


def split_batches(order: NDArray[np.int64], size: int) -> list[NDArray[np.int64]]:
    """Parts of up to ``size`` indices in the given order; the last one may be smaller."""
    return [order[start : start + size] for start in range(0, len(order), size)]


class ResizedSamples:
    """Samples at the network's input size; as many as fit ``memory`` bytes are resized only once.

    ``memory`` is by default what :func:`ravenml.toolkit.memory.memory_for_images` allows.
    """

    def __init__(self, samples: ImagesAndLabels, width: int, height: int, memory: int | None = None) -> None:
        self.samples, self.width, self.height = samples, width, height
        self._kept = MemoryCache(self._resized, memory)

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, index: int) -> tuple[NDArray[np.uint8], NDArray[Any]]:
        return self._kept[index]

    def _resized(self, index: int) -> tuple[NDArray[np.uint8], NDArray[Any]]:
        image, labels = self.samples[index]
        if labels.dtype == np.uint16:  # more than 256 classes; torch hardly knows this type
            labels = labels.astype(np.int32)
        return resize_image(image, self.width, self.height), resize_labels(labels, self.width, self.height)

    def batch(self, indices: Indices) -> Batch:
        """The samples at ``indices``, in that order."""
        pairs = [self[int(index)] for index in indices]
        images = np.stack([image for image, _ in pairs])
        labels = np.stack([label for _, label in pairs])
        return Batch(torch.from_numpy(images), torch.from_numpy(labels))


class Loader(Prefetcher):
    """Prepares batches ahead of their use; the number of threads changes nothing but the speed."""

    def __init__(self, workers: int, pin_memory: bool = False) -> None:
        super().__init__(workers)
        self.pin_memory = pin_memory

    def batches(self, samples: ResizedSamples, parts: Sequence[Indices]) -> Iterator[Batch]:
        """A batch of the samples at each part's indices, in the given order."""
        return self.each(partial(self._prepare, samples), parts)

    def _prepare(self, samples: ResizedSamples, indices: Indices) -> Batch:
        batch = samples.batch(indices)
        if self.pin_memory:
            return Batch(batch.images.pin_memory(), batch.labels.pin_memory())
        return batch
