"""Preparing what a training needs next: beside it in threads, and once where memory allows.

Threads and not processes: OpenCV and the page cache release Python's lock, nothing needs to be sent
between processes, and there is nothing to start.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Generic, Self, TypeVar

import numpy as np

from ravenml.renamed import former_names
from ravenml.toolkit.memory import memory_for_images

__getattr__ = former_names(__name__, {"Ahead": "Prefetcher", "Kept": "MemoryCache"})

Part = TypeVar("Part")
Made = TypeVar("Made")
Arrays = TypeVar("Arrays", bound=tuple[np.ndarray, ...])


class Prefetcher:
    """Prepares things ahead of their use; the number of threads changes nothing but the speed.

    Use it as a context manager, which ends its threads.
    """

    def __init__(self, workers: int) -> None:
        self.workers = workers
        self._pool = ThreadPoolExecutor(workers, thread_name_prefix="loader") if workers else None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._pool is not None:
            self._pool.shutdown(wait=True, cancel_futures=True)

    def each(self, make: Callable[[Part], Made], parts: Sequence[Part]) -> Iterator[Made]:
        """What ``make`` gives for each of the parts, in their order."""
        if self._pool is None:
            yield from map(make, parts)
            return
        waiting: deque[Future[Made]] = deque()
        try:
            for part in parts:
                waiting.append(self._pool.submit(make, part))
                if len(waiting) > self.workers + 1:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()


class MemoryCache(Generic[Arrays]):
    """Prepared samples, of which as many as fit ``memory`` bytes are prepared only once.

    Args:
        make: from a sample's number to its arrays.
        memory: by default what :func:`ravenml.toolkit.memory.memory_for_images` allows.
    """

    def __init__(self, make: Callable[[int], Arrays], memory: int | None = None) -> None:
        self._make = make
        self._free = memory_for_images() if memory is None else memory
        self._cached: dict[int, Arrays] = {}

    def __getitem__(self, index: int) -> Arrays:
        cached = self._cached.get(index)
        if cached is not None:
            return cached
        made = self._make(index)
        size = sum(array.nbytes for array in made)
        # Two threads may both take the last free bytes: the limit is exceeded by an image or two, no more.
        if size <= self._free:
            self._free -= size
            # Copies: an image that needed no resizing is a view of a file that would stay open.
            copies = [np.array(array) for array in made]
            made = type(made)(*copies) if hasattr(made, "_fields") else type(made)(copies)
            self._cached[index] = made
        return made
