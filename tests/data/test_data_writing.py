"""Writing projects: what was read is written again, and shapes are moved, cut and scaled to the pixel."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from ravenml.data.editable_annotation import (
    EditableAnnotation,
    Label,
    parse_editable,
    read_editable,
)
from ravenml.data.geometry import AnyGeometry, Bitmap, Geometry, Line, Point, Polygon, Rectangle
from ravenml.data.geometry_json import geometry_json, parse_geometry
from ravenml.data.masks import draw
from ravenml.data.meta import ObjClass, TagMeta
from ravenml.data.project import Project
from ravenml.data.transforms import as_bitmap, bounds, crop, fliplr, outlines, scale, translate
from ravenml.data.writing import ProjectWriter, extended_meta, meta_json, place_image, read_meta_json
from ravenml.errors import InputError

SIZE = (40, 50)


def drawn(*shapes: AnyGeometry, size: tuple[int, int] = SIZE) -> np.ndarray:
    mask = np.zeros(size, np.uint8)
    for shape in shapes:
        assert not isinstance(shape, Line | Point)
        draw(mask, shape, 1)
    return mask


def within(size: tuple[int, int], least: int = 0) -> st.SearchStrategy[tuple[int, int]]:
    return st.tuples(st.integers(least, size[1] - 1), st.integers(least, size[0] - 1))


@st.composite
def bitmaps(drawing: Any) -> Bitmap:
    x, y = drawing(within(SIZE))
    sides = st.tuples(st.integers(1, SIZE[0] - y), st.integers(1, SIZE[1] - x))
    return Bitmap((x, y), drawing(hnp.arrays(bool, sides)))


@st.composite
def rectangles(drawing: Any) -> Rectangle:
    (x1, y1), (x2, y2) = drawing(within(SIZE)), drawing(within(SIZE))
    return Rectangle(min(x1, x2), min(y1, y2), max(x1, x2), max(y1, y2))


rings = st.lists(within(SIZE), min_size=3, max_size=8).map(lambda points: np.array(points, np.int32))
polygons = st.builds(Polygon, rings, st.lists(rings, max_size=2).map(tuple))
lines = st.builds(Line, st.lists(within(SIZE), min_size=2, max_size=6).map(lambda p: np.array(p, np.int32)))
points = within(SIZE).map(lambda place: Point(*place))
shapes: st.SearchStrategy[Geometry] = st.one_of(bitmaps(), rectangles(), polygons)
anything: st.SearchStrategy[AnyGeometry] = st.one_of(bitmaps(), rectangles(), polygons, lines, points)


@given(anything)
def test_what_is_written_into_json_is_read_as_the_same_shape(shape: AnyGeometry) -> None:
    again = parse_geometry(json.loads(json.dumps(geometry_json(shape))))
    assert type(again) is type(shape) and again is not None and bounds(again) == bounds(shape)
    if isinstance(shape, Bitmap | Polygon | Rectangle):
        assert (drawn(again) == drawn(shape)).all()


@given(shapes, rectangles())
def test_drawing_what_was_cut_is_cutting_what_was_drawn(shape: Geometry, window: Rectangle) -> None:
    outside = np.ones(SIZE, bool)
    outside[window.top : window.bottom + 1, window.left : window.right + 1] = False
    expected = drawn(shape)
    expected[outside] = 0
    assert (drawn(*crop(shape, window)) == expected).all()


@given(shapes, st.integers(0, 20), st.integers(0, 20))
def test_drawing_what_was_moved_is_moving_what_was_drawn(shape: Geometry, dx: int, dy: int) -> None:
    large = (SIZE[0] + 20, SIZE[1] + 20)
    expected = np.roll(drawn(shape, size=large), (dy, dx), (0, 1))
    assert (drawn(translate(shape, dx, dy), size=large) == expected).all()
    back = translate(translate(shape, dx, dy), -dx, -dy)
    assert (drawn(back) == drawn(shape)).all()


@given(st.one_of(bitmaps(), rectangles()), st.integers(1, 90), st.integers(1, 90))
def test_drawing_what_was_scaled_is_scaling_what_was_drawn(shape: Geometry, height: int, width: int) -> None:
    rows = ((np.arange(height) + 0.5) * SIZE[0] / height).astype(int)
    columns = ((np.arange(width) + 0.5) * SIZE[1] / width).astype(int)
    expected = drawn(shape)[rows][:, columns]
    assert (drawn(*scale(shape, SIZE, (height, width)), size=(height, width)) == expected).all()


@given(rings.map(lambda ring: Polygon(cv2.convexHull(ring).reshape(-1, 2))), st.integers(2, 4))
def test_a_scaled_polygon_covers_what_it_should_but_for_its_edge(polygon: Polygon, factor: int) -> None:
    size = (SIZE[0] * factor, SIZE[1] * factor)
    (scaled,) = scale(polygon, SIZE, size)
    got, before = drawn(scaled, size=size), drawn(polygon)
    near = np.ones((2 * factor + 1, 2 * factor + 1), np.uint8)
    wanted = np.kron(before, np.ones((factor, factor), np.uint8))
    assert (got <= cv2.dilate(wanted, near)).all()
    assert (got >= cv2.erode(wanted, near, borderType=cv2.BORDER_CONSTANT, borderValue=0)).all()


@given(st.one_of(bitmaps(), rectangles()))
def test_drawing_what_was_mirrored_is_mirroring_what_was_drawn(shape: Geometry) -> None:
    assert (drawn(fliplr(shape, SIZE[1])) == drawn(shape)[:, ::-1]).all()


@given(anything)
def test_mirroring_twice_changes_nothing(shape: AnyGeometry) -> None:
    twice = fliplr(fliplr(shape, SIZE[1]), SIZE[1])
    assert geometry_json(twice) == geometry_json(shape)


@given(hnp.arrays(bool, st.tuples(st.integers(1, 20), st.integers(1, 20))))
def test_a_mask_s_outlines_draw_the_mask(mask: np.ndarray) -> None:
    assert (drawn(*outlines(mask), size=mask.shape) == mask).all()  # type: ignore[arg-type]


@pytest.mark.parametrize("density", [0.5, 0.7, 0.85])
def test_outlines_draw_masks_whose_holes_touch_by_their_corners(density: float) -> None:
    random = np.random.default_rng(0)
    for _ in range(300):
        mask = random.random((12, 15)) < density
        assert (drawn(*outlines(mask), size=mask.shape) == mask).all()  # type: ignore[arg-type]
    ring = 1 - np.pad(np.array([[0, 1, 0], [1, 0, 1], [0, 1, 0]], np.uint8), 1)  # four holes around a pixel
    assert (drawn(*outlines(ring), size=(5, 5)) == ring).all()


@given(shapes)
def test_any_shape_becomes_a_bitmap_of_its_pixels(shape: Geometry) -> None:
    bitmap = as_bitmap(shape, SIZE)
    assert (drawn(*([bitmap] if bitmap else [])) == drawn(shape)).all()


def test_a_line_is_cut_into_the_pieces_inside() -> None:
    line = Line(np.array([[0, 5], [20, 5], [20, 30], [0, 30]], np.int32))
    pieces = [one.points.tolist() for one in crop(line, Rectangle(10, 0, 15, 40)) if isinstance(one, Line)]
    assert pieces == [[[10, 5], [15, 5]], [[15, 30], [10, 30]]]
    assert crop(Point(3, 3), Rectangle(4, 0, 9, 9)) == [] and crop(line, Rectangle(30, 0, 40, 40)) == []


ODD: dict[str, Any] = {
    "description": "seen at dusk",
    "imageId": 77,
    "size": {"height": 40, "width": 50},
    "tags": [{"name": "dusk", "value": None, "labelerLogin": "ada"}, "old"],
    "customBigData": {"a": [1, 2]},
    "objects": [
        {
            "id": 5,
            "classId": 9,
            "classTitle": "way",
            "geometryType": "line",
            "points": {"exterior": [[1.5, 2.25], [30, 30]], "interior": []},
            "labelerLogin": "ada",
            "tags": [{"name": "sure", "value": 0.75}],
        },
        {"classTitle": "box", "geometryType": "cuboid", "faces": [1, 2], "tags": []},
        {"classTitle": "dot", "geometryType": "point", "points": {"exterior": [[4, 5]], "interior": []}},
    ],
}


def odd(**change: Any) -> EditableAnnotation:
    return parse_editable(json.dumps({**ODD, **change}).encode(), Path("a.json"))


def test_fields_and_kinds_that_are_not_known_here_are_written_as_they_were_read() -> None:
    written = odd().to_json()
    assert written["objects"][0] == ODD["objects"][0] and written["objects"][1] == ODD["objects"][1]
    assert {name: written[name] for name in ("description", "imageId", "customBigData", "size")} == {
        name: ODD[name] for name in ("description", "imageId", "customBigData", "size")
    }
    assert written["tags"] == [ODD["tags"][0], {"name": "old"}]


def test_shapes_are_looked_at_only_when_they_are_asked_for() -> None:
    line, cuboid, dot = odd().labels
    assert isinstance(line.geometry, Line) and line.geometry.points.tolist() == [[1, 2], [30, 30]]
    assert cuboid.geometry is None and dot.geometry == Point(4, 5)
    broken = odd(objects=[{"classTitle": "x", "geometryType": "polygon", "points": {}}]).labels[0]
    with pytest.raises(InputError, match=r"a\.json, objects\[0\]\.points\.exterior"):
        _ = broken.geometry


def test_a_changed_object_keeps_its_other_fields() -> None:
    line = odd().labels[0]
    renamed = line.changed(title="path", geometry=Rectangle(1, 2, 3, 4), tags=[{"name": "new"}])
    assert renamed.title == "path" and renamed.kind == "rectangle" and "classId" not in renamed.entry
    assert renamed.entry["labelerLogin"] == "ada" and renamed.tags == [{"name": "new"}]
    assert renamed.geometry == Rectangle(1, 2, 3, 4) and line.title == "way"


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"size": None}, "size"),
        ({"objects": 3}, "objects"),
        ({"tags": [3]}, "tags"),
        ({"objects": [{}]}, "objects[0]"),
    ],
)
def test_what_is_broken_in_an_annotation_is_named(change: dict[str, Any], field: str) -> None:
    with pytest.raises(InputError) as caught:
        odd(**change)
    assert f"a.json, {field}" in str(caught.value)


def test_a_class_that_the_project_lacks_is_named() -> None:
    with pytest.raises(InputError, match=r'objects\[0\]\.classTitle: the class "way" is not in meta'):
        parse_editable(json.dumps(ODD).encode(), Path("a.json"), {"box": "any"})


def test_a_written_project_opens_and_draws_the_same(tmp_path: Path) -> None:
    writer = ProjectWriter(tmp_path / "project")
    writer.write_meta(meta_json([ObjClass("thing", "any", "#112233")], [TagMeta("sure", "any_number")]))
    image = np.random.default_rng(0).integers(0, 256, (40, 50, 3), np.uint8)
    mask = np.random.default_rng(1).random((9, 7)) > 0.5
    things = [
        Bitmap((3, 4), mask),
        Rectangle(30, 2, 45, 9),
        Polygon(np.array([[20, 20], [40, 22], [30, 38]])),
    ]
    labels = tuple(Label.make("thing", shape, [{"name": "sure", "value": 0.5}]) for shape in things)
    writer.add("first", "a.png", image, EditableAnnotation((40, 50), labels, ({"name": "sure", "value": 1},)))
    writer.add("first/second", "a.png", image, EditableAnnotation((40, 50)))
    project = Project.open(tmp_path / "project")
    assert [item.key for item in project.items] == ["first/a.png", "first/second/a.png"]
    annotation = project.annotation(project.items[0])
    assert (drawn(*(one.geometry for one in annotation.objects)) == drawn(*things)).all()
    assert [tag.value_type for tag in project.tags] == ["any_number"]
    again = read_editable(project.items[0].annotation_path, {"thing": "any"})
    assert again.labels[0].tags == [{"name": "sure", "value": 0.5}]


def test_an_image_is_copied_or_linked_and_never_changed(tmp_path: Path) -> None:
    source = tmp_path / "a.bin"
    source.write_bytes(b"pixels" * 1000)
    place_image(source, tmp_path / "out" / "copy.bin")
    place_image(source, tmp_path / "out" / "link.bin", link=True)
    copy, link = tmp_path / "out" / "copy.bin", tmp_path / "out" / "link.bin"
    assert copy.read_bytes() == link.read_bytes() == source.read_bytes()
    assert copy.stat().st_ino != source.stat().st_ino and source.stat().st_nlink == 1
    assert link.is_symlink() and sorted(path.name for path in copy.parent.iterdir()) == [
        "copy.bin",
        "link.bin",
    ]


def test_more_classes_are_added_and_the_old_fields_stay() -> None:
    meta = {
        "classes": [{"title": "a", "shape": "polygon", "color": "#000000", "hotkey": "1"}],
        "projectType": "images",
    }
    more = extended_meta(
        meta, [ObjClass("a_net", "bitmap", "#FF0000")], [TagMeta("confidence", "any_number")]
    )
    assert [one["title"] for one in more["classes"]] == ["a", "a_net"] and more["classes"][0]["hotkey"] == "1"
    assert extended_meta(more, [ObjClass("a_net", "bitmap", "#00FF00")]) == more
    with pytest.raises(InputError, match='a class "a" of the shape polygon'):
        extended_meta(more, [ObjClass("a", "bitmap", "#FF0000")])
    assert (
        extended_meta(more, [ObjClass("a", "bitmap", "#FF0000")], replaced=["a"])["classes"][0]["shape"]
        == "bitmap"
    )
    with pytest.raises(InputError, match='a tag "confidence"'):
        extended_meta(more, [], [TagMeta("confidence", "none")])


def test_tags_of_older_projects_are_written_in_today_s_form(tmp_path: Path) -> None:
    old = {"classes": [], "tags_images": ["train"], "tags_objects": [{"name": "sure", "color": "#123456"}]}
    (tmp_path / "meta.json").write_text(json.dumps(old))
    meta = read_meta_json(tmp_path / "meta.json")
    assert [tag["name"] for tag in meta["tags"]] == ["train", "sure"] and "tags_images" not in meta


def test_a_bitmap_s_bounds_are_those_of_its_set_pixels() -> None:
    mask = np.zeros((10, 10), bool)
    assert bounds(Bitmap((5, 5), mask)) == Rectangle(5, 5, 14, 14)  # there are none
    mask[2:4, 6] = True
    wide = Bitmap((5, 5), mask)
    assert bounds(wide) == Rectangle(11, 7, 11, 8)
    (cut,) = crop(wide, Rectangle(0, 0, 11, 11))  # so that its picture does not reach out of the window
    assert isinstance(cut, Bitmap) and cut.mask.shape == (7, 7) and bounds(cut) == bounds(wide)
    (larger,) = scale(wide, (20, 20), (40, 40))
    assert bounds(larger) == Rectangle(22, 14, 23, 17)
