"""Scores of a segmentation from one confusion matrix."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from ravenml.infer.metrics import MEANS, confusion_matrix, segmentation_metrics, with_undefined

TITLES = ["__bg__", "a", "b"]


def test_a_worked_example() -> None:
    confusion = np.array([[6, 2, 0], [1, 3, 0], [0, 0, 0]])
    scores = segmentation_metrics(confusion, TITLES)
    assert scores["iou/__bg__"] == pytest.approx(6 / 9)
    assert scores["iou/a"] == pytest.approx(3 / 6)
    assert scores["dice/a"] == pytest.approx(6 / 9)
    assert scores["miou"] == pytest.approx((6 / 9 + 3 / 6) / 2)
    assert scores["miou_fg"] == pytest.approx(3 / 6)
    assert scores["pixel_accuracy"] == pytest.approx(9 / 12)


def test_a_class_in_neither_truth_nor_prediction_is_left_out_of_the_mean() -> None:
    scores = segmentation_metrics(np.array([[6, 2, 0], [1, 3, 0], [0, 0, 0]]), TITLES)
    assert "iou/b" not in scores
    predicted_only = segmentation_metrics(np.array([[6, 2, 1], [1, 3, 0], [0, 0, 0]]), TITLES)
    assert predicted_only["iou/b"] == 0.0


def test_no_pixels_have_no_scores() -> None:
    assert segmentation_metrics(np.zeros((3, 3), dtype=int), TITLES) == {}


@given(
    arrays(np.uint8, (5, 7), elements=st.integers(0, 2)), arrays(np.uint8, (5, 7), elements=st.integers(0, 2))
)
def test_the_confusion_matrix_counts_every_pixel_where_it_belongs(
    truth: np.ndarray, prediction: np.ndarray
) -> None:
    counts = confusion_matrix(truth, prediction, 3)
    assert counts.sum() == truth.size
    for t in range(3):
        for p in range(3):
            assert counts[t, p] == ((truth == t) & (prediction == p)).sum()


@given(arrays(np.uint8, (5, 7), elements=st.integers(0, 2)))
def test_a_perfect_prediction_scores_one(truth: np.ndarray) -> None:
    scores = segmentation_metrics(confusion_matrix(truth, truth, 3), TITLES)
    assert all(value == 1.0 for value in scores.values())
    assert (set(MEANS) <= scores.keys()) == bool(truth.any())


def test_images_without_objects_have_no_mean() -> None:
    empty = np.diag([40, 0, 0])
    assert segmentation_metrics(empty, TITLES).keys() == {"pixel_accuracy", "iou/__bg__", "dice/__bg__"}
    wrong = segmentation_metrics(np.array([[30, 10, 0], [0, 0, 0], [0, 0, 0]]), TITLES)
    assert not wrong.keys() & {*MEANS}, "else the epoch that finds most would be the best of such images"
    assert wrong["pixel_accuracy"] == 0.75 and wrong["iou/a"] == 0.0
    without_background = segmentation_metrics(np.diag([40, 0, 0]), ["sky", "a", "b"])
    assert without_background["miou"] == 1.0


def test_what_is_not_defined_is_not_a_number_where_it_is_shown() -> None:
    shown = with_undefined({"loss": 0.5, "miou": 0.25}, MEANS)
    assert shown["miou"] == 0.25 and {n for n, v in shown.items() if math.isnan(v)} == {*MEANS} - {"miou"}
