"""What the network is to say, and what is made of what it says."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from ravenml_tf_bbox.detecting import Choice, select_boxes, suppress, to_image
from ravenml_tf_bbox.framework import tensorflow
from ravenml_tf_bbox.models import ARCHITECTURES, create_model
from ravenml_tf_bbox.targets import Anchors, detection_loss

SURE = 8.0  # a logit


@pytest.fixture(scope="module")
def anchors() -> Anchors:
    tensorflow()
    return Anchors("RetinaNetSmall", 128, 96, 2.0, [0.5, 1.0, 2.0])


def encoded(anchors: Anchors, boxes: list[Any], classes: list[Any]) -> tuple[np.ndarray, np.ndarray]:
    deltas, kinds = anchors.encode(np.array(boxes, np.float32), np.array(classes, np.float32))
    return deltas.numpy(), kinds.numpy()


def test_objects_come_back_as_they_were_encoded(anchors: Anchors) -> None:
    boxes = [[[10, 8, 30, 40], [60, 20, 120, 90]]]
    deltas, kinds = encoded(anchors, boxes, [[2, 0]])
    decoded = anchors.decode(deltas).numpy()[0]
    for box, kind in zip(boxes[0], (2, 0), strict=True):
        its = decoded[kinds[0] == kind]
        assert len(its) and np.abs(its - box).max() < 1e-3


def test_even_an_object_that_no_anchor_fits_gets_one(anchors: Anchors) -> None:
    _, kinds = encoded(anchors, [[[51, 43, 54, 45]]], [[1]])
    assert (kinds == 1).sum() >= 1


def test_what_fills_up_a_batch_changes_nothing(anchors: Anchors) -> None:
    alone = encoded(anchors, [[[10, 8, 30, 40]]], [[2]])
    filled = encoded(anchors, [[[10, 8, 30, 40], [-1] * 4], [[-1] * 4] * 2], [[2, -1], [-1, -1]])
    assert np.array_equal(filled[0][0], alone[0][0]) and np.array_equal(filled[1][0], alone[1][0])
    assert (filled[1][1] == -1).all()


def test_the_loss_is_small_where_the_network_is_right_and_large_where_it_is_wrong(anchors: Anchors) -> None:
    deltas, kinds = encoded(anchors, [[[10, 8, 30, 40]]], [[1]])
    logits = np.full((1, len(anchors.boxes), 3), -SURE, np.float32)
    logits[0, kinds[0] == 1, 1] = SURE
    right = detection_loss({"boxes": deltas, "classes": logits}, deltas, kinds)
    wrong = detection_loss({"boxes": deltas + 1, "classes": -logits}, deltas, kinds)
    assert float(right["loss"]) < 1e-3 < 1 < float(wrong["class_loss"])
    assert float(right["box_loss"]) == 0 and float(wrong["box_loss"]) > 1


def said(anchors: Anchors, scores: dict[tuple[int, int], float], classes: int = 2) -> dict[str, Any]:
    """What a network says that gives these anchors these logits, and leaves their boxes as they are."""
    logits = np.full((1, len(anchors.boxes), classes), -20, np.float32)
    for (anchor, kind), value in scores.items():
        logits[0, anchor, kind] = value
    return {"boxes": np.zeros((1, len(anchors.boxes), 4), np.float32), "classes": logits}


def test_of_boxes_that_overlap_the_likeliest_of_each_class_is_left(anchors: Anchors) -> None:
    middle = int(np.abs(anchors.boxes.numpy().mean(axis=1) - 60).argmin())
    boxes = anchors.boxes.numpy()
    overlapping = next(n for n in range(len(boxes)) if n != middle and iou(boxes[n], boxes[middle]) > 0.6)
    found, counts = select_boxes(
        said(anchors, {(middle, 0): 3, (overlapping, 0): 2, (overlapping, 1): 1}), anchors, Choice()
    )
    assert int(counts[0]) == 2
    assert found.numpy()[0, :2, 5].tolist() == [0, 1]
    assert found.numpy()[0, :2, 4] == pytest.approx([1 / (1 + np.exp(-3)), 1 / (1 + np.exp(-1))])


def iou(a: np.ndarray, b: np.ndarray) -> float:
    shared = np.clip(np.minimum(a[2:], b[2:]) - np.maximum(a[:2], b[:2]), 0, None).prod()
    return float(shared / ((a[2:] - a[:2]).prod() + (b[2:] - b[:2]).prod() - shared))


def test_what_is_hardly_likely_is_left_out_and_never_more_are_given_than_wanted(anchors: Anchors) -> None:
    everything = said(anchors, {(number, 0): 1.0 for number in range(0, len(anchors.boxes), 7)})
    _, counts = select_boxes(everything, anchors, Choice(most=5))
    assert counts.numpy().tolist() == [5]
    _, counts = select_boxes(said(anchors, {(0, 0): -4.0}), anchors, Choice(score=0.05))
    assert counts.numpy().tolist() == [0]


def test_boxes_in_the_padding_are_none_and_others_end_at_the_image() -> None:
    found = np.array([[10, 10, 40, 30, 0.9, 0], [10, 26, 40, 40, 0.8, 0]], np.float32)
    image = to_image(found, 0.5, (50, 100))  # 100×50 pixels, shown as 50×25
    assert image.tolist() == [[20, 20, 80, 50, pytest.approx(0.9), 0]]


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_networks_say_something_of_every_anchor_and_have_the_parameters_that_they_are_listed_with(
    name: str,
) -> None:
    tensorflow()
    its = Anchors(name, 96, 64, 4.0, [0.5, 1.0, 2.0])
    model = create_model(name, 2, its.per_cell, 96, 64)
    assert model.count_params() == ARCHITECTURES[name].parameters
    said = model(np.zeros((1, 64, 96, 3), np.float32))
    assert said["boxes"].shape == (1, len(its.boxes), 4)
    assert said["classes"].shape == (1, len(its.boxes), 2)
    names = [variable.path for variable in model.weights]
    assert len(set(names)) == len(names)


def test_what_is_thinner_than_a_pixel_is_no_box(anchors: Anchors) -> None:
    """Boxes beside the image have no area once they are cut to it; TFLite would repeat one for ever."""
    places = np.array([[0, 8, 0, 30], [5, 5, 5.5, 40], [5, 5, 25, 25]], np.float32)
    rows, count = suppress(places, np.array([[0.9], [0.8], [0.7]], np.float32), anchors, Choice(most=2))
    assert count == 1 and rows.numpy()[0].tolist() == pytest.approx([5, 5, 25, 25, 0.7, 0])
