"""Smoothing of a curve, and thinning it for a screen: peaks are kept at any number of points."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ravenml.dashboard.metric_column import Numbers

LIMIT = 2000  # points of one curve that a browser is given
_OUTSIDE = 200  # points on either side of a visible range: enough to find one's way


def downsample(y: Numbers, limit: int = LIMIT) -> NDArray[np.intp]:
    """The indices of the points to draw, ascending, at most ``limit`` of them.

    First and last point, and the finite minimum and maximum of every range, are among them; so is,
    of a range without a finite value, a point that keeps the gap.

    Args:
        y: ``(N,)``; NaN and infinities count as gaps.
        limit: at least 4.
    """
    count = len(y)
    if count <= limit:
        return np.arange(count)
    ranges = (limit - 2) // 2
    length = -(-count // ranges)
    padded = np.full(ranges * length, np.nan)
    padded[:count] = np.where(np.isfinite(y), y, np.nan)
    table = padded.reshape(ranges, length)
    gaps = np.isnan(table)
    begins = np.arange(ranges) * length
    lowest = np.where(gaps, np.inf, table).argmin(axis=1) + begins
    highest = np.where(gaps, -np.inf, table).argmax(axis=1) + begins
    chosen = np.concatenate(([0], lowest, highest, [count - 1]))
    return np.unique(chosen[chosen < count])


def downsample_visible(
    x: Numbers, y: Numbers, begin: float, end: float, limit: int = LIMIT
) -> NDArray[np.intp]:
    """Like :func:`envelope`, in full detail between ``begin`` and ``end``, and coarsely beside it.

    The neighbours of the visible points are among them, so that lines go on to the edge.

    Args:
        x: ascending.
        y: a value for each.
        begin, end: the visible range, in units of ``x``.
    """
    first = max(0, int(np.searchsorted(x, begin, "left")) - 1)
    last = min(len(x), int(np.searchsorted(x, end, "right")) + 1)
    before = downsample(y[:first], _OUTSIDE)
    within = downsample(y[first:last], limit) + first
    behind = downsample(y[last:], _OUTSIDE) + last
    return np.concatenate((before, within, behind))


_BLOCK = 256  # points that one product of matrices smooths


def smooth(y: Numbers, weight: float) -> Numbers:
    """The exponential moving mean of ``y``, divided by what its weights add up to (as TensorBoard's is).

    Args:
        y: ``(N,)``; what is not finite stays as it is, and does not count.
        weight: of what was, 0 (nothing changes) up to, but less than, 1.
    """
    if not 0 <= weight < 1:
        raise ValueError(f"a weight is at least 0 and less than 1, not {weight}")
    if weight == 0:
        return y
    result = y.copy()
    known = np.isfinite(y)
    values = y[known]
    if not len(values):
        return result
    powers = weight ** np.arange(_BLOCK + 1)
    steps = np.arange(_BLOCK)
    # Of each point of a block, what the points up to it weigh.  All powers are of whole, positive exponents.
    influence = np.tril(powers[np.maximum(steps[:, None] - steps, 0)]) * (1 - weight)
    mean = np.empty_like(values)
    carried = 0.0
    for begin in range(0, len(values), _BLOCK):
        part = values[begin : begin + _BLOCK]
        size = len(part)
        mean[begin : begin + size] = influence[:size, :size] @ part + carried * powers[1 : size + 1]
        carried = mean[begin + size - 1]
    result[known] = mean / (1 - weight ** np.arange(1, len(values) + 1))
    return result
