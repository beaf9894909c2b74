"""Smoothing of a curve: an exponential mean that starts without a bias."""

from __future__ import annotations

import numpy as np

from ravenml.dashboard.metric_column import Numbers

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
