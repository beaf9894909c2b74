"""Text on images: at the right corner, cut off at the border, and tags beside what they belong to."""

from __future__ import annotations

import numpy as np
import pytest

import ravenml.sly as sly
from ravenml.sly.text import CornerAnchorMode, draw_text, draw_text_sequence, get_font, get_readable_font_size


def box_of(changed: np.ndarray) -> tuple[int, int, int, int]:
    """The rows and columns that are not as they were (grey): top, left, bottom, right."""
    rows, columns = np.nonzero((changed != 90).any(axis=2))
    return int(rows.min()), int(columns.min()), int(rows.max()), int(columns.max())


def grey(height: int = 60, width: int = 120) -> np.ndarray:
    return np.full((height, width, 3), 90, np.uint8)


def test_the_corner_that_is_named_lies_at_the_anchor() -> None:
    height, width = draw_text(grey(), "kiwi", (30, 60))
    assert 6 <= height <= 20 and 12 <= width <= 40
    for corner, top, left in (
        (CornerAnchorMode.TOP_LEFT, 30, 60),
        (CornerAnchorMode.TOP_RIGHT, 30, 60 - width),
        (CornerAnchorMode.BOTTOM_LEFT, 30 - height, 60),
        (CornerAnchorMode.BOTTOM_RIGHT, 30 - height, 60 - width),
    ):
        image = grey()
        assert draw_text(image, "kiwi", (30, 60), corner) == (height, width)
        assert box_of(image) == (top, left, top + height, left + width + 1), corner


def test_the_text_is_black_and_the_image_is_brighter_behind_it() -> None:
    image, bare = grey(), grey()
    draw_text(image, "kiwi", (10, 10))
    draw_text(bare, "kiwi", (10, 10), fill_background=False)
    assert image[10, 10].tolist() == [173] * 3 and image.min() < 40  # half of 255 and 90
    assert bare.max() == 90 and bare.min() < 40


def test_what_reaches_out_of_the_image_is_cut_off() -> None:
    image = grey()
    for place in ((-5, -5), (55, 110), (-500, 10), (10, 500)):
        draw_text(image, "kiwi", place)
    top, left, bottom, right = box_of(image)
    assert (top, left, bottom, right) == (0, 0, 59, 119)


def test_texts_stand_side_by_side() -> None:
    image = grey()
    draw_text_sequence(image, ["a", "b"], (20, 10), col_space=15)
    columns = np.nonzero((image != 90).any(axis=(0, 2)))[0]
    assert columns[0] == 10 and (np.diff(columns) > 1).sum() == 1 and np.diff(columns).max() > 10


@pytest.mark.parametrize("image", [np.zeros((9, 9), np.uint8), np.zeros((9, 9, 3), bool)])
def test_an_image_of_another_kind_is_refused(image: np.ndarray) -> None:
    with pytest.raises(ValueError, match="RGB image of uint8"):
        draw_text(image, "kiwi", (0, 0))


def test_the_font_grows_with_the_image_and_one_that_is_not_there_is_named() -> None:
    assert [get_readable_font_size(size) for size in ((50, 50), (512, 512), (2000, 1000))] == [6, 14, 41]
    large = draw_text(grey(200, 300), "kiwi", (50, 50), font=get_font(font_size=40))
    assert large > draw_text(grey(), "kiwi", (0, 0))
    with pytest.raises(ValueError, match=r"no-such-font\.ttf"):
        get_font("no-such-font.ttf")


def test_tags_are_drawn_above_their_object_and_in_the_corner_of_the_image() -> None:
    meta = sly.TagMeta("ripe", sly.TagValueType.ANY_NUMBER)
    kiwi = sly.ObjClass("kiwi", sly.Rectangle, [90, 90, 90])
    label = sly.Label(sly.Rectangle(40, 60, 50, 80), kiwi, [sly.Tag(meta, 3)])
    for draw in ("draw", "draw_contour"):
        above, both, none = grey(), grey(), grey()
        annotation = sly.Annotation((60, 120), [label], [sly.Tag(meta, 7)])
        getattr(annotation, draw)(none)
        assert (none == 90).all()
        getattr(annotation.clone(img_tags=[]), draw)(above, draw_tags=True)
        top, left, bottom, _ = box_of(above)
        assert 25 < top < bottom == 40 and left == 60
        getattr(annotation, draw)(both, draw_tags=True)
        assert box_of(both)[:2] == (0, 0) and box_of(both)[2] == 40


def test_an_object_whose_place_is_not_known_does_not_stop_the_others() -> None:
    meta = sly.ProjectMeta.from_json(
        {"classes": [{"title": "cell", "shape": "hexagon", "color": "#5A5A5A"}], "tags": [{"name": "ripe"}]}
    )
    cell = {"classTitle": "cell", "geometryType": "hexagon", "sides": 6, "tags": [{"name": "ripe"}]}
    known = {**cell, "vertices": {"a": {"loc": [60, 40]}, "b": {"loc": [80, 50]}}}
    annotation = sly.Annotation.from_json(
        {"size": {"height": 60, "width": 120}, "objects": [cell, known], "tags": []}, meta
    )
    image = grey()
    annotation.draw(image, draw_tags=True)
    assert box_of(image)[1:3] == (60, 40)
