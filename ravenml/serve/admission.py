"""How much may be inside a server at once."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from ravenml.errors import RavenError
from ravenml.infer.modes.base import Mode
from ravenml.infer.modes.configs import SlidingWindowConfig
from ravenml.serve.uploads import MAX_BYTES, MAX_PIXELS, Refused

WINDOWS = 100_000  # of one image


@dataclass(frozen=True)
class Limits:
    """What a server takes on.

    Attributes:
        queue: how many images may be inside at once, from when their request has arrived to its answer.
        deadline: seconds within which a request is answered.
        max_bytes: of an image's file.
        max_pixels: of an image.
    """

    queue: int = 64
    deadline: float = 30.0
    max_bytes: int = MAX_BYTES
    max_pixels: int = MAX_PIXELS

    def cap_wait(self, seconds: int) -> int:
        """When to come again at the latest: by the deadline, whatever is inside now has left."""
        return min(seconds, 60, int(self.deadline))

    @property
    def pixels_inside(self) -> int:
        """How many decoded pixels may wait at once: as many as four of the largest images have."""
        return 4 * self.max_pixels

    @property
    def bytes_inside(self) -> int:
        """How many bytes of requests may arrive or wait at once: as four of the largest files."""
        return 4 * self.max_bytes


class QueueFull(RavenError):
    """No room: come again after ``seconds``."""

    def __init__(self, seconds: int) -> None:
        super().__init__(f"The server is busy; try again in {seconds} s.")
        self.seconds = seconds


def check_windows(mode: Mode, size: tuple[int, int], limits: Limits) -> None:
    """Refuse sliding windows that would take much room: very large ones, and very many.

    Args:
        mode: the mode that was asked for.
        size: the image's (height, width).
        limits: the server's.

    Raises:
        Refused: the windows are too large or too many.
    """
    config = mode.config
    if not isinstance(config, SlidingWindowConfig):
        return
    window, overlap = config.window, config.min_overlap
    high, wide = max(size[0], window.height), max(size[1], window.width)
    if high * wide > limits.max_pixels:
        raise Refused(f"window: {window.width}×{window.height} is too large; ask for a smaller one.", 413)
    down = -(-(high - window.height) // (window.height - overlap.y)) + 1
    across = -(-(wide - window.width) // (window.width - overlap.x)) + 1
    if down * across > WINDOWS:
        raise Refused(
            f"window: {window.width}×{window.height} makes {down * across} windows of this image, and at "
            f"most {WINDOWS} are accepted; ask for larger ones, or for less overlap.",
            413,
        )


class AdmissionControl:
    """Counts what is inside; used by the event loop alone."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.images = self.pixels = self.bytes = 0
        self._speed = 0.0  # images a second, a moving mean
        self._last = 0.0

    @contextmanager
    def reserve_images(self, count: int) -> Iterator[None]:
        """Room for so many images while the block runs.

        Raises:
            QueueFull: there is none.
        """
        if self.images + count > self.limits.queue:
            raise QueueFull(self.estimate_wait())
        self.images += count
        try:
            yield
        finally:
            self.images -= count

    @contextmanager
    def reserve_pixels(self, count: int) -> Iterator[None]:
        """The same for decoded pixels."""
        if self.pixels and self.pixels + count > self.limits.pixels_inside:
            raise QueueFull(self.estimate_wait())
        self.pixels += count
        try:
            yield
        finally:
            self.pixels -= count

    @contextmanager
    def reserve_bytes(self) -> Iterator[Callable[[int], None]]:
        """Room for a request's bytes while the block runs; what it gives is called with those that came.

        Raises:
            QueueFull: from what it gives: these have no room.
        """
        held = 0

        def add(count: int) -> None:
            nonlocal held
            if self.bytes > held and self.bytes + count > self.limits.bytes_inside:
                raise QueueFull(self.estimate_wait())
            held += count
            self.bytes += count

        try:
            yield add
        finally:
            self.bytes -= held

    def record_answers(self, count: int) -> None:
        """So many images were answered just now."""
        now = time.monotonic()
        since, self._last = now - self._last, now
        speed = count / max(since, 1e-3)
        share = min(since / 5.0, 1.0)  # the last five seconds count
        self._speed += share * (speed - self._speed)

    def estimate_wait(self) -> int:
        """In how many whole seconds what is inside will be answered: at most 60, and the deadline."""
        wait = math.ceil(self.images / self._speed) if self._speed > 0 else 1
        return self.limits.cap_wait(max(wait, 1))
