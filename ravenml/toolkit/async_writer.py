"""Work beside the training: what goes to a disk is written while the network learns on."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor

from ravenml.renamed import former_names

__getattr__ = former_names(__name__, {"Background": "AsyncWriter"})

MOST = 8  # pieces of work that may wait; each holds what it is to write


class AsyncWriter:
    """One thread that does one piece of work after the other, in the order in which they came.

    It must be given what no longer changes: copies of weights, not the weights that are being trained.  A
    piece of work that fails ends the training: :meth:`do` and :meth:`wait` raise its error, and what was to
    come after it is not done, as if the training itself had failed there.  PyTorch's operations stay out of
    it, because each thread that calls them brings threads of its own.

    Use it as a context manager: when the block ends, everything is written.
    """

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="background")
        self._waiting: deque[Future[None]] = deque()
        self._failed = False

    def __enter__(self) -> AsyncWriter:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        try:
            if kind is None:
                self.wait()
        finally:
            self._pool.shutdown(wait=True)

    def do(self, work: Callable[[], object]) -> None:
        """Have ``work`` done; returns at once, unless too much is waiting already."""
        self._finish(MOST - 1)
        self._waiting.append(self._pool.submit(self._do, work))

    def wait(self) -> None:
        """Return when everything is done."""
        self._finish(0)

    def _finish(self, may_wait: int) -> None:
        while self._waiting and (len(self._waiting) > may_wait or self._waiting[0].done()):
            self._waiting.popleft().result()

    def _do(self, work: Callable[[], object]) -> None:
        if self._failed:
            return
        try:
            work()
        except BaseException:
            self._failed = True
            raise
