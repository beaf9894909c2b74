"""Scores of boxes, and which objects were taken for which."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from ravenml.infer.metrics import with_undefined
from ravenml.train.scores import Scores
from ravenml_tf_bbox.confusion import match_boxes
from ravenml_tf_bbox.metrics import FIRST, DetectionScores, coco_evaluation, coco_metrics

TITLES = ("car", "sign")
TRUTH = np.array([[0, 0, 40, 40, 0], [50, 50, 150, 150, 1]], np.float32)


def said(*boxes: tuple[float, ...]) -> np.ndarray:
    return np.array(boxes, np.float32).reshape(-1, 6)


RIGHT = said((0, 0, 40, 40, 0.9, 0), (50, 50, 150, 150, 0.8, 1))


def scores(truths: list[np.ndarray], found: list[np.ndarray]) -> dict[str, float]:
    return coco_metrics(coco_evaluation(truths, found, TITLES), TITLES)


def test_what_is_found_exactly_scores_one_in_every_size_that_there_is() -> None:
    found = scores([TRUTH], [RIGHT])
    names = ("ap", "ap50", "ap75", "ap_medium", "ap_large", "ar100", "ap/car", "ap50/sign", "ar100/car")
    assert {name: found[name] for name in names} == pytest.approx(dict.fromkeys(names, 1.0))
    assert "ap_small" not in found  # there is nothing small


def test_an_overlap_counts_up_to_where_it_reaches() -> None:
    moved = said((4, 0, 44, 40, 0.9, 0), (50, 50, 150, 150, 0.8, 1))  # the car by a tenth: IoU 36 / 44
    found = scores([TRUTH], [moved])
    assert found["ap/car"] == pytest.approx(0.7)  # thresholds 0.5, 0.55 … 0.8 of ten
    assert [found["ap50/car"], found["ap/sign"]] == pytest.approx([1.0, 1.0])


@pytest.mark.parametrize("found", [[said(), said()], [said((0, 0, 40, 40, 0.9, 1)), said()]])
def test_nothing_and_the_wrong_class_score_zero(found: list[np.ndarray]) -> None:
    assert scores([TRUTH, TRUTH], found)["ap"] == 0


@pytest.mark.parametrize("count", [0, 1])
def test_what_is_found_where_nothing_is_has_no_score(count: int) -> None:
    nothing, found = np.zeros((0, 5)), np.array([[1, 1, 9, 9, 0.9, 0]] * count).reshape(-1, 6)
    scores = coco_metrics(coco_evaluation([nothing], [found], ["car"]), ["car"])
    assert not scores and all(np.isnan(value) for value in with_undefined(scores, FIRST).values())


def test_images_without_objects_are_measured_too() -> None:
    nothing = np.zeros((0, 5), np.float32)
    alone = scores([TRUTH], [RIGHT])
    with_false = scores([TRUTH, nothing], [RIGHT, said((0, 0, 9, 9, 0.99, 0))])
    assert with_false["ap/sign"] == alone["ap/sign"] and with_false["ap/car"] < alone["ap/car"]
    assert not scores([nothing], [said()])


def test_the_out_of_fold_score_is_that_of_all_images_at_once(tmp_path: Path) -> None:
    reduce = DetectionScores(TITLES)
    wrong = said((0, 0, 20, 40, 0.95, 0))
    first = Scores(["a"], {}, reduce, {"truths": [TRUTH], "detections": [RIGHT]})
    second = Scores(["b", "c"], {}, reduce, {"truths": [TRUTH, TRUTH[:0]], "detections": [wrong, said()]})
    for name, part in (("one", first), ("two", second)):
        part.save(tmp_path / f"{name}.npz")
    both = Scores.together([Scores.load(tmp_path / "one.npz"), Scores.load(tmp_path / "two.npz")])
    expected = scores([TRUTH, TRUTH, TRUTH[:0]], [RIGHT, wrong, said()])
    assert both.values() == pytest.approx(expected)
    assert both.values()["ap"] != pytest.approx((first.values()["ap"] + second.values()["ap"]) / 2)


def test_each_object_is_given_to_one_box_and_the_rest_are_wrong_or_missed() -> None:
    found = said(
        (0, 0, 40, 40, 0.9, 1),  # a sign where the car is
        (1, 0, 41, 40, 0.8, 0),  # the car, which is taken already
        (300, 300, 320, 320, 0.7, 0),  # nothing
        (50, 50, 150, 150, 0.3, 1),  # not sure enough
    )
    one = match_boxes(TRUTH, found, 2)
    assert one.confusion.tolist() == [[0, 1, 0], [0, 0, 1], [2, 0, 0]]
    assert (one.hits, one.missed, one.wrong) == (0, 2, 3)
    assert match_boxes(TRUTH, RIGHT, 2)[1:] == (2, 0, 0)
    assert match_boxes(TRUTH, said(), 2)[1:] == (0, 2, 0) and match_boxes(TRUTH[:0], RIGHT, 2)[1:] == (
        0,
        0,
        2,
    )
