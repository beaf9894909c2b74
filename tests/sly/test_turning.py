"""Images and annotations turned and scaled, masks as outlines, and outlines with fewer points."""

from __future__ import annotations

import math
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import ravenml.sly as sly
from ravenml.sly import annotation_transforms as transforms
from ravenml.sly.bitmap import MultichannelBitmap, SkeletonizeMethod
from ravenml.sly.image import RotateMode, rotate
from ravenml.sly.rotation import ImageRotator
from ravenml.sly.undrawn_geometry import deserialize_geometry

SIZES = st.tuples(st.integers(5, 60), st.integers(5, 60))


def drawn(ann: sly.Annotation) -> np.ndarray:
    """An annotation's objects, 255 each."""
    canvas = np.zeros(ann.img_size, np.uint8)
    ann.draw(canvas, 255)
    return canvas


def rectangle(*sides: int) -> sly.Label:
    """A labelled rectangle."""
    return sly.Label(sly.Rectangle(*sides), sly.ObjClass("box", sly.Rectangle))


@given(SIZES, st.sampled_from([0, 90, 180, 270, -90, 360]))
def test_quarter_turns_are_exact_for_images_and_what_is_annotated(size: tuple[int, int], angle: int) -> None:
    image = np.random.default_rng(3).integers(0, 255, (*size, 3), np.uint8)
    rotator = ImageRotator(size, angle)
    turned = rotator.rotate_img(image, use_inter_nearest=True)
    assert np.array_equal(turned, np.rot90(image, angle // 90))
    mask = np.zeros(size, np.uint8)
    mask[1:4, 2:5] = 255
    box = rectangle(1, 2, 3, 4)
    bitmap = sly.Label(sly.Bitmap(mask > 0), sly.ObjClass("mask", sly.Bitmap))
    outline = sly.Polygon([(1, 2), (1, 4), (3, 4), (3, 2)])
    polygon = sly.Label(outline, sly.ObjClass("outline", sly.Polygon))
    for label in (box, bitmap, polygon):
        ann = sly.Annotation(size, [label]).rotate(rotator)
        assert ann.img_size == turned.shape[:2]
        assert np.array_equal(drawn(ann), np.rot90(mask, angle // 90)), label.geometry.geometry_name()


@given(SIZES, st.floats(-360, 360))
def test_a_turned_image_holds_the_old_one_and_its_inner_part_has_no_black(
    size: tuple[int, int], angle: float
) -> None:
    image = np.full((*size, 3), 200, np.uint8)
    rotator = ImageRotator(size, angle)
    whole = rotate(image, angle)
    assert whole.shape[:2] == rotator.new_imsize
    corners = [rotator.transform_point(sly.Point(y, x)) for y in (0, size[0] - 1) for x in (0, size[1] - 1)]
    assert all(0 <= p.row < whole.shape[0] and 0 <= p.col < whole.shape[1] for p in corners)
    cut = rotate(image, angle, RotateMode.CROP_BLACK)
    assert cut[2:-2, 2:-2].min(initial=255) > 150
    assert rotate(image, angle, RotateMode.SAVE_ORIGINAL_SIZE).shape == image.shape


def test_the_inner_part_is_the_largest() -> None:
    image = np.full((180, 300, 3), 255, np.uint8)
    for angle in (10, 37, 45, 80):
        inside = rotate(image, angle).min(axis=2) > 128
        cut = ImageRotator((180, 300), angle).inner_crop
        best = 0
        for height in range(5, inside.shape[0], 4):  # every rectangle of the same middle
            width = 0
            middle = inside.shape[0] // 2, inside.shape[1] // 2
            rows = inside[middle[0] - height // 2 : middle[0] + height // 2 + 1].all(axis=0)
            while middle[1] + width < len(rows) and rows[middle[1] - width] and rows[middle[1] + width]:
                width += 1
            best = max(best, height * (2 * width - 1))
        assert cut.area == pytest.approx(best, rel=0.06)


def test_a_shape_is_scaled_around_the_top_left() -> None:
    ann = sly.Annotation((20, 30), [rectangle(2, 4, 8, 10)])
    mask = np.zeros((20, 30), bool)
    mask[4:8, 6:10] = True
    ann = ann.add_label(sly.Label(sly.Bitmap(mask), sly.ObjClass("mask", sly.Bitmap)))
    larger = ann.scale(1.5)
    assert larger.img_size == (30, 45)
    assert larger.labels[0].geometry == sly.Rectangle(3, 6, 12, 15)
    assert larger.labels[1].geometry.to_bbox() == sly.Rectangle(6, 9, 11, 14)
    scores = MultichannelBitmap(np.ones((4, 4, 2), np.float32), sly.Point(2, 6)).scale(0.5)
    assert scores.data.shape == (2, 2, 2) and scores.origin == sly.Point(1, 3)


def test_what_is_not_drawn_is_turned_by_its_points() -> None:
    rotator = ImageRotator((20, 30), 90)
    graph = {"geometryType": "graph", "nodes": {"nose": {"loc": [4, 2]}, "ear": {"loc": [9, 7]}}}
    turned = deserialize_geometry("graph", graph).rotate(rotator)
    assert [node["loc"] for node in turned.to_json()["nodes"].values()] == [[2, 25], [7, 20]]
    points = {"exterior": [[4, 2], [10, 6]], "interior": []}
    box = deserialize_geometry("oriented_bbox", {"points": points, "angle": 0.5}).rotate(rotator)
    assert box.to_json()["angle"] == pytest.approx(0.5 - math.pi / 2)
    assert box.to_json()["points"]["exterior"] == [[1, 20], [7, 24]]
    scores = np.arange(12, dtype=np.float32).reshape(3, 4, 1)
    moved = MultichannelBitmap(scores, sly.Point(2, 4)).rotate(rotator)
    assert np.array_equal(moved.data, np.rot90(scores)) and moved.origin == sly.Point(22, 2)


def test_a_bitmap_becomes_polygons_with_their_holes_and_the_same_pixels() -> None:
    mask = np.zeros((40, 50), bool)
    mask[5:20, 6:30] = True
    mask[9:14, 10:20] = False
    mask[25:35, 30:45] = True
    obj_class = sly.ObjClass("mask", sly.Bitmap)
    ann = sly.Annotation((40, 50), [sly.Label(sly.Bitmap(mask), obj_class), rectangle(0, 0, 1, 1)])
    outlined = transforms.find_contours(ann, {"mask": sly.ObjClass("outline", sly.Polygon)})
    polygons = [label for label in outlined.labels if label.obj_class.name == "outline"]
    assert sorted(len(label.geometry.interior) for label in polygons) == [0, 1]
    assert sum(label.area for label in polygons) == pytest.approx(mask.sum(), rel=0.15)
    with pytest.raises(RuntimeError, match="'box' is not a bitmap"):
        transforms.find_contours(ann, {"box": obj_class})


def test_outlines_of_many_points_keep_their_form_with_few() -> None:
    circle = [(20 + 15 * math.sin(a / 50), 20 + 15 * math.cos(a / 50)) for a in range(314)]
    polygon = sly.Label(sly.Polygon(circle), sly.ObjClass("round", sly.Polygon))
    line = sly.Label(sly.Polyline([(0, 0), (5, 5), (9, 9)]), sly.ObjClass("line", sly.Polyline))
    ann = sly.Annotation((40, 40), [polygon, line])
    simple = transforms.approximate_vector(ann, ["round", "line"], 1.0)
    round_one, straight = simple.labels
    assert len(round_one.geometry.exterior) < 30 < len(polygon.geometry.exterior)
    assert round_one.area == pytest.approx(polygon.area, rel=0.1)
    assert straight.geometry == sly.Polyline([(0, 0), (9, 9)])
    assert transforms.approximate_vector(ann, ["line"], 1.0).labels[0] is not round_one
    with pytest.raises(RuntimeError, match="neither a polygon nor a line"):
        transforms.approximate_vector(sly.Annotation((9, 9), [rectangle(0, 0, 1, 1)]), ["box"], 1)


def test_one_bitmap_corrects_others() -> None:
    first, second = np.zeros((2, 20, 20), bool)
    first[:10], second[5:15, 5:15] = True, True
    roof, tree = sly.ObjClass("roof", sly.Bitmap), sly.ObjClass("tree", sly.Bitmap)
    away = np.zeros((20, 20), bool)
    away[18:, 18:] = True
    labels = [sly.Label(sly.Bitmap(m), c) for m, c in ((first, roof), (second, tree), (away, tree))]
    ann = sly.Annotation((20, 20), labels)
    left = transforms.bitwise_mask(ann, "roof", ["tree", "roof"])
    assert [label.obj_class.name for label in left.labels] == ["roof", "tree"]
    assert left.labels[1].geometry.to_bbox() == sly.Rectangle(5, 5, 9, 14)
    assert len(transforms.bitwise_mask(ann, "none", ["tree"]).labels) == 3
    assert [label.obj_class for label in transforms.drop_object_by_class(ann, ["tree"]).labels] == [roof]


def test_labels_are_drawn_in_a_colour_that_comes_second() -> None:
    canvas = np.zeros((9, 9), np.uint8)
    rectangle(1, 1, 3, 3).draw(canvas, 7)
    assert canvas[2, 2] == 7
    rectangle(4, 4, 8, 8).draw_contour(canvas, 9, 1)
    assert canvas[4, 4] == 9 and canvas[6, 6] == 0
    numbers = np.zeros((9, 9, 3), np.uint8)
    ann = sly.Annotation(
        (9, 9), [rectangle(1, 1, 3, 3)] * 2, sly.TagCollection([sly.Tag(sly.TagMeta("sun"))])
    )
    ann.draw_class_idx_rgb(numbers, {"box": 5})
    assert numbers[2, 2].tolist() == [5, 5, 5]
    assert ann.stat_class_count(["box", "cat"]) == {"box": 2, "cat": 0, "total count": 2}
    assert ann.stat_img_tags(["sun"]) == {"sun": 1}
    with pytest.raises(KeyError, match="'box' is not one of cat"):
        ann.stat_class_count(["cat"])
    assert ann.clone(custom_data={"by": "me"}).to_json()["customBigData"] == {"by": "me"}


def test_collections_have_what_theirs_has() -> None:
    cat, dog = sly.ObjClass("cat", sly.Bitmap), sly.ObjClass("dog", sly.Polygon)
    both = sly.ObjClassCollection([cat, dog])
    assert both.intersection([dog]).keys() == ["dog"] and both.difference([dog]).keys() == ["cat"]
    assert both.clone([dog]).keys() == [dog.key()] and both.clone() == both
    with pytest.raises(ValueError, match="'dog' is there in both"):
        both.intersection([sly.ObjClass("dog", sly.Bitmap)])
    kind = sly.TagMeta("kind", sly.TagValueType.ONEOF_STRING, ["a"])
    more = kind.add_possible_value("b")
    assert more.possible_values == ["a", "b"] and not kind.is_valid_value("b") and more.is_valid_value("b")
    assert not kind.is_compatible(more) and kind.key() == "kind"
    with pytest.raises(ValueError, match="already"):
        more.add_possible_value("b")
    number = kind.clone(value_type=sly.TagValueType.ANY_NUMBER, color=[1, 2, 3])
    assert number.possible_values is None and number.color == [1, 2, 3]
    tags = sly.TagCollection([sly.Tag(more, "a"), sly.Tag(more, "b")])
    assert (
        tags.get_all("kind") == tags.items()
        and tags.get_all("other", [sly.Tag(more, "a")]) == tags.items()[:1]
    )
    assert tags.intersection([sly.Tag(more, "b")]).items() == tags.items()[1:]
    assert tags.items()[0].get_compact_str() == "kind:a"


@pytest.mark.parametrize("method", SkeletonizeMethod)
def test_a_thinned_bar_is_a_line_in_its_middle(method: SkeletonizeMethod) -> None:
    pytest.importorskip("skimage")
    bar = sly.Label(sly.Bitmap(np.ones((5, 30), bool), sly.Point(20, 10)), sly.ObjClass("road", sly.Bitmap))
    box = sly.Label(sly.Rectangle(0, 0, 3, 3), sly.ObjClass("box", sly.Rectangle))
    thin = transforms.skeletonize_bitmap(sly.Annotation((60, 60), [bar, box]), ["road"], method)
    rows, columns = np.nonzero(drawn(thin.clone(labels=thin.labels[:1])))
    middle = (columns > 14) & (columns < 35)
    assert set(rows[middle]) == {22} and middle.sum() == 20  # the ends may fork
    assert thin.labels[1].geometry == box.geometry
    with pytest.raises(RuntimeError, match="'box' is not a bitmap"):
        transforms.skeletonize_bitmap(thin, ["box"], method)


def test_thinning_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] == "skimage"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "skimage", None)
    with pytest.raises(ImportError, match="install it with `pip install scikit-image`"):
        sly.Bitmap(np.ones((3, 3), bool)).skeletonize(SkeletonizeMethod.THINNING)
