"""One metric of one run as two growing arrays of numbers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.float64]
T = TypeVar("T", np.float64, np.int64)

_NO_STEP = np.iinfo(np.int64).min  # of a point whose event names no step: no resuming drops it
_FIRST = 64  # points that a new column has room for


@dataclass(frozen=True)
class Points:
    """A metric's points at one moment; the arrays never change.

    Attributes:
        unit: what ``x`` counts: ``epoch`` or ``step``.
        x, y: float64 ``(N,)``; ``y`` may hold NaN and infinities.
        version: differs between any two states of one metric.
    """

    unit: str
    x: Numbers
    y: Numbers
    version: int = 0

    def __len__(self) -> int:
        return len(self.x)


def mean(several: Sequence[Points]) -> Points:
    """The mean of several curves of one metric, at the moments at which all of them have a value."""
    shared = several[0].x
    for one in several[1:]:
        shared = np.intersect1d(shared, one.x)
    shared = np.unique(shared)
    total = np.zeros(len(shared))
    for one in several:
        # Of a moment with several values the last one counts.
        total += one.y[np.searchsorted(one.x, shared, "right") - 1]
    return Points(several[0].unit, shared, total / len(several), sum(one.version for one in several))


@dataclass
class MetricColumn:
    """A metric that is being read.  Beside ``x`` and ``y`` it knows of each point the step and the attempt
    that reported it, so that a resumed training can take points back.
    """

    unit: str
    size: int = 0
    version: int = 0
    _values: Numbers = field(default_factory=lambda: np.empty((2, _FIRST)))
    _origin: NDArray[np.int64] = field(default_factory=lambda: np.empty((2, _FIRST), np.int64))

    def append(self, x: float, y: float, step: int | None, attempt: int) -> None:
        """Add a point."""
        if self.size == self._values.shape[1]:
            self._values = _doubled(self._values)
            self._origin = _doubled(self._origin)
        self._values[:, self.size] = x, y
        self._origin[:, self.size] = _NO_STEP if step is None else step, attempt
        self.size += 1
        self.version += 1

    def discard_after(self, step: int, attempt: int) -> None:
        """Take back what attempts other than ``attempt`` reported of later steps."""
        steps, attempts = self._origin[:, : self.size]
        kept = (steps <= step) | (attempts == attempt)
        if not kept.all():  # fresh arrays: whoever was given points keeps what he was given
            self._values = np.ascontiguousarray(self._values[:, : self.size][:, kept])
            self._origin = np.ascontiguousarray(self._origin[:, : self.size][:, kept])
            self.size = int(kept.sum())
            self.version += 1

    def points(self) -> Points:
        """What there is now.  Later points go behind it, or into other arrays."""
        x, y = self._values[:, : self.size]
        return Points(self.unit, x, y, self.version)

    @property
    def memory(self) -> int:
        """Bytes of its arrays."""
        return self._values.nbytes + self._origin.nbytes

    def as_arrays(self) -> tuple[Numbers, NDArray[np.int64]]:
        """All of it: float64 ``(2, N)`` of x and y, int64 ``(2, N)`` of step and attempt."""
        return self._values[:, : self.size], self._origin[:, : self.size]

    @classmethod
    def from_arrays(cls, unit: str, values: Numbers, origin: NDArray[np.int64]) -> MetricColumn:
        """The column that :meth:`as_arrays` described."""
        size = values.shape[1]
        return cls(unit, size, size, np.array(values), np.array(origin))


def _doubled(array: NDArray[T]) -> NDArray[T]:
    larger = np.empty((2, max(_FIRST, 2 * array.shape[1])), array.dtype)
    larger[:, : array.shape[1]] = array
    return larger
