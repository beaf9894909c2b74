"""From an image's bytes to an answer's: decoded and encoded in a few threads, the network run in one.

Requests that arrive together go through the network together.  The network's thread never waits for more of
them where none is on its way: an idle server answers at once, and under load the batches fill by themselves.
"""

from __future__ import annotations

import os
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import CancelledError, Future, InvalidStateError, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ravenml.data.editable_annotation import EditableAnnotation
from ravenml.errors import RavenError
from ravenml.infer.modes.areas import FullImage
from ravenml.infer.modes.base import Mode
from ravenml.infer.modes.interface import ModeResult
from ravenml.serve.loaded_model import ServedModel
from ravenml.serve.predict_params import PredictParams
from ravenml.serve.responses import above_threshold, encode

_AT_ONCE = 2**22  # pixels of whole images that go through a network together; more would need much memory


class TooLate(RavenError):
    """A request's deadline has passed."""


class Stopped(RavenError):
    """The engine takes no more work."""


@dataclass
class Work:
    """One image on its way.

    Attributes:
        read: gives the image, uint8 RGB; called in a thread.
        ask: what is asked for.
        mode: the inference mode for it.
        document: what is known about the image, where the request says it.
        deadline: on `time.monotonic`'s clock.
        answer: the answer's bytes.
        spent: seconds for each part of the way.
    """

    read: Callable[[], tuple[NDArray[np.uint8], EditableAnnotation]]
    params: PredictParams
    mode: Mode
    deadline: float
    answer: Future[bytes] = field(default_factory=Future)
    spent: dict[str, float] = field(default_factory=dict)
    image: NDArray[np.uint8] = field(default_factory=lambda: np.empty((0, 0, 3), np.uint8))
    document: EditableAnnotation = field(default_factory=lambda: EditableAnnotation((0, 0)))
    since: float = field(default_factory=time.monotonic)

    def fail(self, error: BaseException) -> None:
        """Answer with an error."""
        with suppress(InvalidStateError):
            self.answer.set_exception(error)

    def is_over(self) -> bool:
        """Whether nobody waits for it any more; whoever does is told."""
        if not self.answer.done() and time.monotonic() > self.deadline:
            self.fail(TooLate("The deadline has passed."))
        return self.answer.done()

    def check_deadline(self) -> None:
        """Between the parts of one image, which may be many.

        Raises:
            TooLate: nobody waits for it any more.
        """
        if self.is_over():
            raise TooLate("The request has ended.")

    def lap(self, part: str) -> None:
        """Note how long a part of the way has taken."""
        now = time.monotonic()
        self.spent[part] = now - self.since
        self.since = now


class Engine:
    """The threads that answer.

    Args:
        served: the model.
        max_batch: how many images go through the network together; by default as the model says.
        max_wait: how many seconds the network waits for images that are still being decoded.
        threads: how many threads decode and encode.
        observe: called with each batch's size and seconds.
    """

    def __init__(
        self,
        served: ServedModel,
        max_batch: int | None = None,
        max_wait: float = 0.005,
        threads: int | None = None,
        observe: Callable[[int, float], None] | None = None,
    ) -> None:
        self.served, self.max_wait = served, max_wait
        self.max_batch = max_batch or served.network.batch_size
        self._observe = observe or (lambda size, seconds: None)
        self._waiting: deque[Work] = deque()
        self._coming = 0  # images that are being decoded
        self._changed = threading.Condition()
        self._stopping = False
        self._pool = ThreadPoolExecutor(threads or min(os.cpu_count() or 1, 8), "decode-encode")
        self._thread = threading.Thread(target=self._run, name="network", daemon=True)
        self._thread.start()

    @property
    def alive(self) -> bool:
        """Whether the network's thread lives."""
        return self._thread.is_alive()

    def submit(self, work: Work) -> Future[bytes]:
        """Begin with an image.

        Raises:
            Stopped: the engine was stopped.
        """
        with self._changed:
            if self._stopping:
                raise Stopped("The server is stopping.")
            self._coming += 1
        self._pool.submit(self._read, work)
        return work.answer

    def stop(self) -> None:
        """Finish what was begun, and end the threads."""
        with self._changed:
            self._stopping = True
            self._changed.notify_all()
        self._thread.join()
        self._pool.shutdown()

    def _read(self, work: Work) -> None:
        work.lap("pool")
        try:
            if not work.is_over():
                work.image, work.document = work.read()
        except BaseException as error:
            work.fail(error)
        work.lap("decode")
        with self._changed:
            self._coming -= 1
            if not work.answer.done():
                self._waiting.append(work)
            self._changed.notify_all()

    def _run(self) -> None:
        while batch := self._next():
            for work in batch:
                work.lap("queue")
            try:
                self._infer([work for work in batch if not work.is_over()])
            except Exception as error:  # the thread must live on
                for work in batch:
                    work.fail(error)

    def _next(self) -> list[Work]:
        """The images that go through the network next; none once the engine is stopped and done."""
        with self._changed:
            while not self._waiting:
                if self._stopping and not self._coming:
                    return []
                self._changed.wait()
            end = time.monotonic() + self.max_wait
            while self._coming and len(self._waiting) < self.max_batch:
                left = end - time.monotonic()
                if left <= 0 or not self._changed.wait(left):
                    break
            first = self._waiting.popleft()
            batch = [first]
            if not isinstance(first.mode, FullImage):
                return batch  # the other modes run the network on the parts of one image
            pixels = _pixels(first)
            for work in list(self._waiting):
                if len(batch) >= self.max_batch or pixels + _pixels(work) > _AT_ONCE:
                    break
                if work.params.key == first.params.key and work.image.shape == first.image.shape:
                    batch.append(work)
                    pixels += _pixels(work)
                    self._waiting.remove(work)
            return batch

    def _infer(self, batch: list[Work]) -> None:
        if not batch:
            return
        began = time.monotonic()
        try:
            finished = self._outcomes(batch)
        except BaseException as error:
            if len(batch) == 1:
                batch[0].fail(error)
                return
            for work in batch:  # find out whose fault it is
                self._infer([work])
            return
        self._observe(len(batch), time.monotonic() - began)
        for work, outcome in zip(batch, finished, strict=True):
            work.lap("network")
            self._pool.submit(self._finish, work, outcome)

    def _outcomes(self, batch: Sequence[Work]) -> list[Callable[[], ModeResult]]:
        """What gives each image's outcome; objects are made of a network's numbers in the pool."""
        mode, network = batch[0].mode, self.served.network
        network.before = batch[0].check_deadline if len(batch) == 1 else lambda: None
        if not isinstance(mode, FullImage):
            outcome = mode.annotate(batch[0].image, batch[0].document)
            return [lambda: outcome]
        probable = mode.config.save_probabilities
        results = network.run(np.stack([work.image for work in batch]), probable)

        def outcome_of(work: Work, numbers: Any) -> ModeResult:
            return mode.outcome(network.prediction(numbers, work.document.size, probable), work.document)

        return [
            (lambda work=work, numbers=numbers: outcome_of(work, numbers))  # type: ignore[misc]
            for work, numbers in zip(batch, results, strict=True)
        ]

    def _finish(self, work: Work, outcome_of: Callable[[], ModeResult]) -> None:
        try:
            if work.is_over():
                return
            outcome = outcome_of()
            if work.params.threshold is not None:
                outcome = above_threshold(outcome, work.params.threshold, work.mode)
            content = encode(work.params.answer, work.image, outcome, self.served.numbered_classes(work.mode))
            work.lap("encode")
            with suppress(InvalidStateError, CancelledError):
                work.answer.set_result(content)
        except BaseException as error:
            work.fail(error)
        finally:
            work.image = np.empty((0, 0, 3), np.uint8)


def _pixels(work: Work) -> int:
    height, width = work.image.shape[:2]
    return int(height * width)
