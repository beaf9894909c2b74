"""Thinning and smoothing: what is drawn looks like all of it."""

from __future__ import annotations

import math
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from ravenml.dashboard.downsample import LIMIT, downsample, downsample_visible, smooth

curves = arrays(np.float64, st.integers(0, 400), elements=st.floats(width=64))
limits = st.integers(4, 60)


@given(curves, limits)
def test_order_is_kept_and_the_limit_holds(y: np.ndarray, limit: int) -> None:
    chosen = downsample(y, limit)
    assert len(chosen) <= max(limit, 0)
    assert (np.diff(chosen) > 0).all()
    assert all(0 <= index < len(y) for index in chosen)


@given(curves, limits)
def test_extremes_and_ends_are_kept(y: np.ndarray, limit: int) -> None:
    kept = y[downsample(y, limit)]
    finite = y[np.isfinite(y)]
    if len(finite):
        assert kept[np.isfinite(kept)].min() == finite.min()
        assert kept[np.isfinite(kept)].max() == finite.max()
    if len(y):
        assert np.array_equal(kept[[0, -1]], y[[0, -1]], equal_nan=True)


def test_a_single_peak_among_100_000_points_is_drawn() -> None:
    y = np.zeros(100_000)
    y[70_123] = 9.0
    assert 70_123 in downsample(y)


def test_a_long_gap_stays_a_gap() -> None:
    y = np.sin(np.arange(50_000) / 1000)
    y[20_000:30_000] = np.nan
    chosen = downsample(y)
    within = chosen[(chosen >= 20_000) & (chosen < 30_000)]
    assert len(within) > 10
    assert np.isnan(y[within]).all()


def test_what_is_not_finite_throughout_is_gap_throughout() -> None:
    chosen = downsample(np.full(10_000, np.inf))
    assert len(chosen) <= LIMIT
    assert len(chosen) > 0


@given(curves, st.floats(-10, 410), st.floats(-10, 410), limits)
def test_the_visible_range_is_drawn_in_full_where_it_fits(
    y: np.ndarray, one: float, other: float, limit: int
) -> None:
    x = np.arange(len(y), dtype=np.float64)
    begin, end = min(one, other), max(one, other)
    chosen = downsample_visible(x, y, begin, end, limit)
    assert (np.diff(chosen) > 0).all()
    inside = np.flatnonzero((x >= begin) & (x <= end))
    if len(inside) + 2 <= limit:
        assert set(inside) <= set(chosen)


def test_zooming_into_100_000_points_shows_each_of_the_few_in_sight() -> None:
    x = np.arange(100_000, dtype=np.float64)
    chosen = downsample_visible(x, np.sin(x), 40_000, 41_000)
    assert set(range(40_000, 41_001)) <= set(chosen)
    assert len(chosen) < LIMIT + 400


def test_thinning_100_000_points_takes_milliseconds() -> None:
    y = np.random.default_rng(0).normal(size=100_000)
    taken = []
    for _ in range(5):
        begin = time.process_time()
        downsample(y)
        taken.append(time.process_time() - begin)
    assert min(taken) < 0.05


def reference(values: list[float], weight: float) -> list[float]:
    """The debiased mean as one would write it down."""
    result, last, count = [], 0.0, 0
    for value in values:
        if math.isfinite(value):
            last = last * weight + (1 - weight) * value
            count += 1
            result.append(last / (1 - weight**count))
        else:
            result.append(value)
    return result


@settings(max_examples=60)
@given(
    st.lists(st.floats(-1e6, 1e6) | st.sampled_from([math.nan, math.inf, -math.inf]), max_size=600),
    st.sampled_from([0.0, 0.3, 0.9, 0.99, 0.999]),
)
def test_smoothing_is_the_debiased_exponential_mean(values: list[float], weight: float) -> None:
    y = np.array(values, dtype=np.float64)
    np.testing.assert_allclose(smooth(y, weight), reference(values, weight), rtol=1e-9, atol=1e-6)


def test_a_constant_stays_what_it_is_from_the_first_point_on() -> None:
    np.testing.assert_allclose(smooth(np.full(1000, 3.0), 0.99), 3.0)


@pytest.mark.parametrize("weight", [-0.1, 1.0, 2.0])
def test_a_weight_that_forgets_nothing_is_refused(weight: float) -> None:
    with pytest.raises(ValueError, match="less than 1"):
        smooth(np.zeros(3), weight)
