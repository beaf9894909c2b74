"""Batches of resized images and masks, prepared by threads.

Threads and not processes: OpenCV and the page cache release Python's lock, nothing needs to be sent
between processes, and there is nothing to start.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from ravenml_unet.memory import memory_for_images
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


def divided(order: NDArray[np.int64], size: int) -> list[NDArray[np.int64]]:
    """Parts of up to ``size`` indices in the given order; the last one may be smaller."""
    return [order[start : start + size] for start in range(0, len(order), size)]


class ResizedSamples:
    """Samples at the network's input size; as many as fit ``memory`` bytes are resized only once.

    ``memory`` is by default what :func:`ravenml_unet.memory.memory_for_images` allows.
    """

    def __init__(self, samples: ImagesAndLabels, width: int, height: int, memory: int | None = None) -> None:
        self.samples, self.width, self.height = samples, width, height
        self._free = memory_for_images() if memory is None else memory
        self._kept: dict[int, tuple[NDArray[np.uint8], NDArray[Any]]] = {}

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, index: int) -> tuple[NDArray[np.uint8], NDArray[Any]]:
        kept = self._kept.get(index)
        if kept is not None:
            return kept
        image, labels = self.samples[index]
        if labels.dtype == np.uint16:  # more than 256 classes; torch hardly knows this type
            labels = labels.astype(np.int32)
        resized = resize_image(image, self.width, self.height), resize_labels(labels, self.width, self.height)
        size = resized[0].nbytes + resized[1].nbytes
        # Two threads may both take the last room: the limit is exceeded by an image or two, no more.
        if size <= self._free:
            self._free -= size
            # A copy: an image that needed no resizing is a view of a file that would stay open.
            resized = np.array(resized[0]), np.array(resized[1])
            self._kept[index] = resized
        return resized

    def batch(self, indices: Indices) -> Batch:
        """The samples at ``indices``, in that order."""
        pairs = [self[int(index)] for index in indices]
        images = np.stack([image for image, _ in pairs])
        labels = np.stack([label for _, label in pairs])
        return Batch(torch.from_numpy(images), torch.from_numpy(labels))


class Loader:
    """Prepares batches ahead of their use; the number of threads changes nothing but the speed.

    Use it as a context manager, which ends its threads.
    """

    def __init__(self, workers: int, pin_memory: bool = False) -> None:
        self.workers = workers
        self.pin_memory = pin_memory
        self._pool = ThreadPoolExecutor(workers, thread_name_prefix="loader") if workers else None

    def __enter__(self) -> Loader:
        return self

    def __exit__(self, *_: object) -> None:
        if self._pool is not None:
            self._pool.shutdown(wait=True, cancel_futures=True)

    def batches(self, samples: ResizedSamples, parts: Sequence[Indices]) -> Iterator[Batch]:
        """A batch of the samples at each part's indices, in the given order."""
        if self._pool is None:
            for part in parts:
                yield self._prepare(samples, part)
            return
        waiting: deque[Future[Batch]] = deque()
        try:
            for part in parts:
                waiting.append(self._pool.submit(self._prepare, samples, part))
                if len(waiting) > self.workers + 1:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()

    def _prepare(self, samples: ResizedSamples, indices: Indices) -> Batch:
        batch = samples.batch(indices)
        if self.pin_memory:
            return Batch(batch.images.pin_memory(), batch.labels.pin_memory())
        return batch
