"""Boxes from rectangles, polygons and bitmaps."""

from __future__ import annotations

import numpy as np

from ravenml.data.annotation import Annotation, Object
from ravenml.data.boxes import BoxSamples, boxes_of
from ravenml.data.geometry import Bitmap, Geometry, Polygon, Rectangle
from ravenml.data.masks import draw_mask
from ravenml.data.project import Project

SHAPES: list[Geometry] = [
    Rectangle(2, 3, 4, 9),
    Polygon(np.array([(10, 2), (14, 6), (9, 8)], np.int32)),
    Bitmap((5, 6), np.ones((3, 2), bool)),
]


def annotated(*shapes: Geometry, title: str = "thing", size: tuple[int, int] = (12, 20)) -> Annotation:
    return Annotation(size, frozenset(), [Object(title, frozenset(), shape) for shape in shapes])


def test_a_box_holds_just_the_pixels_that_are_drawn() -> None:
    boxes, classes = boxes_of(annotated(*SHAPES), {"thing": 4})
    assert classes.tolist() == [4, 4, 4]
    for box, shape in zip(boxes, SHAPES, strict=True):
        rows, columns = np.nonzero(draw_mask(annotated(shape), ["thing"]))
        edges = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
        assert box.tolist() == edges


def test_boxes_end_at_the_image_and_what_lies_outside_is_none() -> None:
    outside = Rectangle(30, 2, 40, 8)
    boxes, classes = boxes_of(annotated(Rectangle(-5, -5, 3, 40), outside), {"thing": 0})
    assert boxes.tolist() == [[0, 0, 4, 12]] and classes.tolist() == [0]
    assert boxes.dtype == np.float32 and classes.dtype == np.int64


def test_objects_of_other_classes_are_left_out() -> None:
    boxes, classes = boxes_of(annotated(*SHAPES, title="other"), {"thing": 0})
    assert boxes.shape == (0, 4) and classes.shape == (0,)


def test_samples_give_image_and_boxes_and_an_annotation_without_its_image(small: Project) -> None:
    samples = BoxSamples(small, small.items, small.titles, cache=None)
    image, boxes, classes = samples[0]
    assert image.dtype == np.uint8 and image.shape[:2] == samples.annotation(0).size
    assert len(samples) == len(small.items) and len(boxes) == len(classes) > 0
    cached = BoxSamples(small, small.items, small.titles)
    assert np.array_equal(cached[0].image, image) and np.array_equal(cached[0].boxes, boxes)


def test_titles_decide_the_numbers(small: Project) -> None:
    turned = BoxSamples(small, small.items, [*reversed(small.titles)], cache=None)
    straight = BoxSamples(small, small.items, small.titles, cache=None)
    last = len(small.titles) - 1
    assert (turned[0].classes == last - straight[0].classes).all()


def test_a_bitmap_counts_where_pixels_are_set_and_not_where_its_picture_ends() -> None:
    mask = np.zeros((12, 20), bool)
    empty = Bitmap((0, 0), mask.copy())
    mask[3:5, 7:11] = True
    boxes, classes = boxes_of(annotated(Bitmap((0, 0), mask), empty), {"thing": 0})
    assert boxes.tolist() == [[7, 3, 11, 5]] and classes.tolist() == [0]
