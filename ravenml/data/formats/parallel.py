"""Work side by side whose results come in order, while little more is held than is under way."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Given = TypeVar("Given")
Made = TypeVar("Made")
_AHEAD = 4  # tasks per thread that wait


def in_order(function: Callable[[Given], Made], given: Iterable[Given]) -> Iterator[Made]:
    """``map`` with threads: the tasks mostly wait for the disk, or work outside of Python's lock."""
    threads = min(2 * (os.cpu_count() or 1), 16)
    waiting: deque[Future[Made]] = deque()
    pool = ThreadPoolExecutor(threads, thread_name_prefix="formats")
    try:
        for one in given:
            waiting.append(pool.submit(function, one))
            if len(waiting) >= _AHEAD * threads:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
