"""From annotations to masks: each shape, to the pixel."""

from __future__ import annotations

import binascii
import zlib
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from projects import bitmap_of, box_of, polygon_of, real_data, write_project

from ravenml.data.annotation import Annotation, Object
from ravenml.data.bitmap import bitmap_size, decode_bitmap, decode_png, encode_bitmap, trim
from ravenml.data.decoding import decode
from ravenml.data.geometry import Bitmap, Polygon, Rectangle
from ravenml.data.image_header import PNG_SIGNATURE
from ravenml.data.masks import draw_mask
from ravenml.data.problems import DataProblem
from ravenml.data.project import Project

MakeOne = Callable[..., Project]
SQUARE = [[10, 10], [30, 10], [30, 30], [10, 30]]
HOLE = [[15, 15], [25, 15], [25, 25], [15, 25]]


def mask_of(project: Project) -> np.ndarray:
    return decode(project, project.items[0])[1]


def test_a_bitmap_is_drawn_at_its_origin_with_x_before_y(one: MakeOne) -> None:
    mask = mask_of(one(bitmap_of("blob", (5, 2), np.ones((3, 4)))))
    assert mask.shape == (40, 48) and mask.dtype == np.uint8
    assert (mask[2:5, 5:9] == 1).all() and mask.sum() == 12


def test_a_bitmap_paints_only_its_set_pixels(one: MakeOne) -> None:
    under, over = box_of("box", 0, 0, 47, 39), bitmap_of("blob", (0, 0), np.eye(40, 48))
    mask = mask_of(one(under, over))
    assert (np.diag(mask[:, :40]) == 1).all() and (mask == 3).sum() == 40 * 48 - 40


def test_a_rectangle_includes_both_corners(one: MakeOne) -> None:
    mask = mask_of(one(box_of("box", 3, 4, 6, 4)))
    assert np.argwhere(mask == 3).tolist() == [[4, 3], [4, 4], [4, 5], [4, 6]]


def test_a_rectangle_may_name_its_corners_in_any_order(one: MakeOne) -> None:
    assert (mask_of(one(box_of("box", 6, 9, 3, 4))) == 3).sum() == 4 * 6


def test_a_polygon_with_a_hole_leaves_the_hole_as_background(one: MakeOne) -> None:
    mask = mask_of(one(polygon_of("ring", SQUARE, [HOLE])))
    assert mask[20, 20] == 0 and mask[12, 12] == 2 and mask[10, 10] == 2
    assert (mask == 2).sum() == 21 * 21 - 11 * 11


def test_what_was_drawn_before_shows_through_a_hole(one: MakeOne) -> None:
    mask = mask_of(one(box_of("box", 0, 0, 47, 39), polygon_of("ring", SQUARE, [HOLE])))
    assert mask[20, 20] == 3 and mask[12, 12] == 2


def test_later_objects_lie_on_top_of_earlier_ones(one: MakeOne) -> None:
    first, second = box_of("box", 0, 0, 20, 20), polygon_of("ring", SQUARE)
    assert mask_of(one(first, second))[15, 15] == 2
    assert mask_of(one(second, first))[15, 15] == 3


def test_fractions_of_pixels_are_rounded_down(one: MakeOne) -> None:
    mask = mask_of(one(polygon_of("ring", [[1.9, 1.9], [4.9, 1.9], [4.9, 3.2], [1.9, 3.2]])))
    assert np.argwhere(mask).min(axis=0).tolist() == [1, 1] and np.argwhere(mask).max(axis=0).tolist() == [
        3,
        4,
    ]


def test_polygons_and_rectangles_may_reach_outside_and_are_cut_off(one: MakeOne) -> None:
    mask = mask_of(
        one(box_of("box", -5, 30, 3, 99), polygon_of("ring", [[40, -9], [90, -9], [90, 9], [40, 9]]))
    )
    assert (mask[30:, :4] == 3).all() and (mask[:10, 40:] == 2).all() and mask[20, 20] == 0


def test_a_rectangle_wholly_outside_draws_nothing(one: MakeOne) -> None:
    assert not mask_of(one(box_of("box", -9, -9, -2, -2), box_of("box", 60, 60, 70, 70))).any()


@pytest.mark.parametrize(
    "kind", ["point", "line", "polyline", "cuboid", "graph", "any_geometry", "alpha_mask"]
)
def test_shapes_that_cannot_become_masks_are_counted_and_left_out(one: MakeOne, kind: str) -> None:
    odd = {
        "classTitle": "odd",
        "geometryType": kind,
        "tags": [],
        "points": {"exterior": [[1, 1]], "interior": []},
    }
    project = one(odd, odd, box_of("box", 1, 1, 2, 2), shapes={"odd": kind, "box": "rectangle"})
    annotation = project.annotation(project.items[0])
    assert annotation.left_out == Counter({kind: 2}) and len(annotation.objects) == 1


def test_an_object_without_a_type_takes_its_class_s_shape(one: MakeOne) -> None:
    box = box_of("box", 1, 1, 2, 2)
    del box["geometryType"]
    project = one(box)
    assert project.annotation(project.items[0]).objects[0].geometry == Rectangle(1, 1, 2, 2)


def test_image_tags_and_object_tags_are_read_as_objects_and_as_bare_names(one: MakeOne) -> None:
    box = box_of("box", 1, 1, 2, 2) | {"tags": ["old", {"name": "large", "value": 3}]}
    project = one(box, tags=["train"])
    annotation = project.annotation(project.items[0])
    assert annotation.tags == {"train"} and annotation.objects[0].tags == {"old", "large"}
    assert project.tags_of(project.items[0]) == {"train"}


def test_more_than_255_classes_make_a_16_bit_mask(one: MakeOne) -> None:
    shapes = {f"c{number}": "any" for number in range(300)}
    eye = np.eye(5)
    mask = mask_of(one(box_of("c299", 0, 0, 9, 9), bitmap_of("c256", (0, 0), eye), shapes=shapes))
    assert mask.dtype == np.uint16 and mask[3, 3] == 257 and mask[9, 9] == 300


def png(pixels: np.ndarray) -> bytes:
    return bytes(cv2.imencode(".png", pixels)[1])


def test_png_kinds_of_bitmaps_mean_the_same() -> None:
    mask = np.eye(9, 11) > 0
    grey = mask.astype(np.uint8) * 255
    alpha = np.dstack([np.zeros((9, 11, 3), np.uint8), grey])  # black, and seen by its alpha alone
    for pixels in (grey, np.dstack([grey] * 3), alpha, grey.astype(np.uint16) * 257):
        assert (decode_png(png(pixels)) == mask).all()
    one_bit = bytes(cv2.imencode(".png", grey, [cv2.IMWRITE_PNG_BILEVEL, 1])[1])
    assert (decode_png(one_bit) == mask).all()


def test_palette_pngs_with_other_colours_are_read_by_their_transparency() -> None:
    mask = np.eye(9, 11) > 0
    rows = np.zeros((9, 3), np.uint8)
    rows[:, 1:] = np.packbits(mask, axis=1)

    def chunk(kind: bytes, content: bytes) -> bytes:
        return (
            len(content).to_bytes(4, "big") + kind + content + zlib.crc32(kind + content).to_bytes(4, "big")
        )

    head = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", b"\0\0\0\x0b\0\0\0\x09\x01\x03\0\0\0")
    tail = chunk(b"tRNS", b"\0\xff") + chunk(b"IDAT", zlib.compress(rows.tobytes())) + chunk(b"IEND", b"")
    assert (decode_png(head + chunk(b"PLTE", b"\x07\x07\x07\0\0\0") + tail) == mask).all()


def alpha_of(file: np.ndarray) -> np.ndarray:
    """Where a PNG is not transparent, by OpenCV alone."""
    pixels = cv2.imdecode(file, cv2.IMREAD_UNCHANGED)
    assert pixels is not None
    return np.not_equal(pixels[:, :, 3], 0)


masks = hnp.arrays(bool, hnp.array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=40))


@given(masks)
def test_a_bitmap_survives_encoding_and_decoding(mask: np.ndarray) -> None:
    decoded = decode_bitmap(encode_bitmap(mask))
    assert decoded.dtype == bool and (decoded == mask).all()


@given(masks)
def test_what_is_written_reads_the_same_through_opencv_alone(mask: np.ndarray) -> None:
    import base64

    file = np.frombuffer(zlib.decompress(base64.b64decode(encode_bitmap(mask))), np.uint8)
    assert (alpha_of(file) == mask).all()


@given(masks.filter(lambda mask: bool(mask.any())))
def test_trimming_keeps_every_set_pixel_and_no_empty_edge(mask: np.ndarray) -> None:
    (x, y), part = trim(mask)
    again = np.zeros_like(mask)
    again[y : y + part.shape[0], x : x + part.shape[1]] = part
    assert (again == mask).all()
    assert part[0].any() and part[-1].any() and part[:, 0].any() and part[:, -1].any()


coordinate = st.integers(-60, 100)
point = st.tuples(coordinate, coordinate)
ring = st.lists(point, min_size=3, max_size=8).map(lambda points: np.array(points, np.int32))
size = st.tuples(st.integers(1, 50), st.integers(1, 50))


def like_the_sdk(size: tuple[int, int], polygon: Polygon) -> np.ndarray:
    """What Supervisely's SDK does: a mask of the full size, outline in, holes out."""
    full = np.zeros(size, np.uint8)
    cv2.fillPoly(full, [polygon.exterior], 1)
    if polygon.interior:
        cv2.fillPoly(full, list(polygon.interior), 0)
    return full.astype(bool)


@given(size, ring, st.lists(ring, max_size=2), st.booleans())
def test_polygons_are_drawn_as_the_sdk_draws_them(
    size: tuple[int, int], exterior: np.ndarray, holes: list[np.ndarray], wide: bool
) -> None:
    polygon = Polygon(exterior, tuple(holes))
    titles = ["other", "this"] + [f"more {number}" for number in range(300 if wide else 0)]
    under = Object("other", frozenset(), Rectangle(0, 0, size[1] - 1, size[0] - 1))
    mask = draw_mask(Annotation(size, frozenset(), [under, Object("this", frozenset(), polygon)]), titles)
    assert (mask == np.where(like_the_sdk(size, polygon), 2, 1)).all()


@given(size, coordinate, coordinate, coordinate, coordinate)
def test_rectangles_stay_inside_and_agree_with_opencv(
    size: tuple[int, int], x1: int, y1: int, x2: int, y2: int
) -> None:
    left, right, top, bottom = min(x1, x2), max(x1, x2), min(y1, y2), max(y1, y2)
    mask = draw_mask(
        Annotation(size, frozenset(), [Object("a", frozenset(), Rectangle(left, top, right, bottom))]), ["a"]
    )
    expected = np.zeros(size, np.uint8)
    cv2.rectangle(expected, (left, top), (right, bottom), 1, cv2.FILLED)
    assert (mask == expected).all()


@given(masks, st.integers(0, 9), st.integers(0, 9), st.booleans())
def test_bitmaps_are_drawn_inside_their_bounds(mask: np.ndarray, x: int, y: int, wide: bool) -> None:
    height, width = mask.shape
    titles = ["a"] + [f"more {number}" for number in range(300 if wide else 0)]
    annotation = Annotation(
        (height + 12, width + 12), frozenset(), [Object("a", frozenset(), Bitmap((x, y), mask))]
    )
    drawn = draw_mask(annotation, titles)
    assert (drawn[y : y + height, x : x + width] == mask).all() and drawn.sum() == mask.sum()


def test_a_title_that_is_not_asked_for_leaves_background_even_on_top() -> None:
    things = [Object(title, frozenset(), Rectangle(0, 0, 3, 3)) for title in ("a", "b")]
    assert not draw_mask(Annotation((4, 4), frozenset(), things), ["a"]).any()


def faulty(project: Project) -> str:
    with pytest.raises(DataProblem) as caught:
        decode(project, project.items[0])
    return str(caught.value)


def broken(data: Any) -> dict[str, Any]:
    entry = bitmap_of("blob", (0, 0), np.ones((3, 3)))
    entry["bitmap"]["data"] = data
    return entry


@pytest.mark.parametrize(
    ("data", "word"),
    [
        ("!!!", "base64"),
        ("aGVsbG8=", "zlib"),
        ("eJzLSM3JyQcABiwCFQ==", "PNG"),
        (7, "missing"),
        (None, "missing"),
    ],
)
def test_broken_bitmap_data_is_named_with_file_and_object(one: MakeOne, data: Any, word: str) -> None:
    message = faulty(one(box_of("box", 1, 1, 2, 2), broken(data)))
    assert "ds/ann/a.png.json, objects[1].bitmap.data" in message and word in message


def test_a_cut_off_png_in_a_bitmap_is_an_error(one: MakeOne) -> None:
    import base64

    whole = zlib.decompress(base64.b64decode(encode_bitmap(np.random.default_rng(0).random((30, 30)) > 0.5)))
    cut = base64.b64encode(zlib.compress(whole[:-30])).decode()
    assert "PNG" in faulty(one(broken(cut)))
    damaged = bytearray(whole)
    damaged[90] ^= 0xFF
    assert "PNG" in faulty(one(broken(base64.b64encode(zlib.compress(bytes(damaged))).decode())))


@pytest.mark.parametrize("origin", [None, [1], [1, "2"], [1e9, 0], [None, 1]])
def test_a_broken_origin_of_a_bitmap_is_named(one: MakeOne, origin: Any) -> None:
    entry = bitmap_of("blob", (0, 0), np.ones((3, 3)))
    entry["bitmap"]["origin"] = origin
    assert "objects[0].bitmap.origin: is " in faulty(one(entry))


@pytest.mark.parametrize("origin", [(-1, 0), (0, -1), (46, 0), (0, 38)])
def test_a_bitmap_that_reaches_outside_names_file_and_object(one: MakeOne, origin: tuple[int, int]) -> None:
    message = faulty(one(bitmap_of("blob", origin, np.ones((3, 3)))))
    assert "a.png.json, objects[0].bitmap: reaches outside the image" in message and "48×40" in message


def test_a_bitmap_may_touch_the_image_s_last_pixel(one: MakeOne) -> None:
    assert mask_of(one(bitmap_of("blob", (45, 37), np.ones((3, 3)))))[39, 47] == 1


def test_an_unknown_class_is_named_with_the_nearest_known(one: MakeOne) -> None:
    message = faulty(one(box_of("bax", 1, 1, 2, 2)))
    assert 'objects[0].classTitle: the class "bax" is not in meta.json' in message and '"box"?' in message


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"points": {"exterior": [[1, 1], [2, 2]], "interior": []}}, "objects[0].points.exterior"),
        ({"points": {"exterior": [[1, 1], [2, 2], "x"], "interior": []}}, "objects[0].points.exterior"),
        ({"points": {"exterior": [[1, 1], [2, 2], [3, None]], "interior": []}}, "objects[0].points.exterior"),
        ({"points": {"exterior": SQUARE, "interior": [[[1, 1]]]}}, "objects[0].points.interior[0]"),
        ({"points": {"exterior": SQUARE, "interior": 5}}, "objects[0].points.interior"),
        ({"points": {"exterior": [[0, 0], [1e9, 0], [0, 9]], "interior": []}}, "objects[0].points.exterior"),
        ({"points": None}, "objects[0].points"),
        ({"classTitle": None}, "objects[0].classTitle"),
        ({"tags": "x"}, "objects[0].tags"),
    ],
)
def test_broken_fields_of_an_object_are_named(one: MakeOne, change: dict[str, Any], field: str) -> None:
    assert f"a.png.json, {field}: " in faulty(one(polygon_of("ring", SQUARE) | change))


def test_an_annotation_of_another_size_than_the_image_says_both_sizes(one: MakeOne) -> None:
    message = faulty(one(size=(41, 48)))
    assert "a.png.json, size: says 48×41" in message and "a.png is 48×40" in message


@pytest.mark.parametrize(
    ("content", "word"),
    [
        ("{", "line 1"),
        ("[]", "no JSON object"),
        ('{"objects": []}', "size: is missing"),
        ('{"size": {"height": 0, "width": 3}}', "size: "),
        ('{"size": {"height": true, "width": true}}', "size: "),
        ('{"size": {"height": 40, "width": 48}, "objects": 3}', "objects: is not a list"),
        ('{"size": {"height": 40, "width": 48}, "tags": [3]}', "tags: is not a list of tags"),
        ('{"size": {"height": 40, "width": 48}, "objects": [3]}', "objects[0].classTitle: is missing"),
    ],
)
def test_broken_annotation_files_are_named(one: MakeOne, content: str, word: str) -> None:
    project = one()
    project.items[0].annotation_path.write_text(content)
    assert word in faulty(project) and "a.png.json" in faulty(project)


def test_a_fault_survives_pickling_as_data_loaders_need() -> None:
    import pickle

    problem = DataProblem(Path("a.json"), "size", "is missing", "add it")
    again = pickle.loads(pickle.dumps(problem))  # noqa: S301 - its own
    assert str(again) == str(problem) == "a.json, size: is missing; add it." and again.field == "size"


@pytest.mark.parametrize("data", ["painted", "camvid_small"])
def test_bitmaps_agree_with_opencv_alone(data: str, tmp_path: Path) -> None:
    import base64
    import json

    project = Project.open(write_project(tmp_path) if data == "painted" else real_data(data))
    compared = 0
    for item in project.items[::5]:
        annotation = project.annotation(item)
        raw = json.loads(item.annotation_path.read_text())["objects"]
        for thing, entry in zip(annotation.objects, raw, strict=True):
            if "bitmap" not in entry:
                continue
            compared += 1
            file = np.frombuffer(zlib.decompress(base64.b64decode(entry["bitmap"]["data"])), np.uint8)
            assert isinstance(thing.geometry, Bitmap)
            assert (thing.geometry.mask == alpha_of(file)).all()
    assert compared > 1


def test_a_bitmap_that_unpacks_without_end_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ravenml.data.bitmap._LARGEST", 5000)
    packed = binascii.b2a_base64(zlib.compress(PNG_SIGNATURE + bytes(10_000)), newline=False)
    with pytest.raises(ValueError, match="unpacks to more than a mask has"):
        decode_bitmap(packed)


def test_a_bitmap_s_size_is_known_before_it_is_decoded() -> None:
    data = encode_bitmap(np.ones((3, 700), bool))
    assert bitmap_size(data) == (3, 700) and bitmap_size(binascii.a2b_base64(data).hex()) is None
    png = zlib.decompress(binascii.a2b_base64(data))
    assert bitmap_size(binascii.b2a_base64(png, newline=False)) == (3, 700)
