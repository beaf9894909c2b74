"""Shapes that are not drawn keep all that is said of them, and follow their image by their points."""

from __future__ import annotations

import base64
import json
import math
import zlib
from typing import Any

import cv2
import numpy as np
import pytest

import ravenml.sly as sly
from ravenml.sly.undrawn_geometry import AlphaMask, OtherGeometry

SIZE = (60, 80)


def alpha(share: np.ndarray) -> str:
    image = np.dstack([np.zeros((*share.shape, 3), np.uint8), share.astype(np.uint8)])
    return base64.b64encode(zlib.compress(cv2.imencode(".png", image)[1].tobytes())).decode()


SHARE = np.zeros((6, 9), np.uint8)
SHARE[1:, 2:] = 200
SHARE[0, 0] = 7
SHAPES: dict[str, dict[str, Any]] = {
    "cuboid": {"points": [[10, 20], [30, 20], [30, 40], [10, 40], [14, 16]], "faces": [[0, 1, 2, 3]]},
    "graph": {"nodes": {"a": {"loc": [10, 20], "disabled": True}, "b": {"loc": [30, 40]}}, "edges": []},
    "cuboid_2d": {"vertices": {"x": {"loc": [10, 20], "label": "x"}, "y": {"loc": [30, 40]}}},
    "oriented_bbox": {"points": {"exterior": [[10, 20], [30, 40]], "interior": []}, "angle": 0.5},
    "alpha_mask": {"bitmap": {"origin": [10, 20], "data": alpha(SHARE)}},
}
BOXES = {
    "cuboid": (16, 10, 40, 30),
    "graph": (20, 10, 40, 30),
    "cuboid_2d": (20, 10, 40, 30),
    "alpha_mask": (20, 10, 25, 18),
}
META = sly.ProjectMeta(
    [
        *(sly.ObjClass(name, sly.AnyGeometry) for name in (*SHAPES, "blob")),
        sly.ObjClass("box", sly.Rectangle),
    ],
    [sly.TagMeta("seen")],
)


def entry(name: str, **fields: Any) -> dict[str, Any]:
    """An object of a shape, as annotations hold it."""
    about = {
        "id": 7,
        "classTitle": name,
        "geometryType": name,
        "tags": [],
        "description": "",
        "labelerLogin": "me",
    }
    return {**about, **SHAPES.get(name, {}), **fields}


def read(*entries: dict[str, Any]) -> sly.Annotation:
    size = {"height": SIZE[0], "width": SIZE[1]}
    return sly.Annotation.from_json({"size": size, "tags": [], "objects": list(entries)}, META)


@pytest.mark.parametrize("name", SHAPES)
def test_a_shape_that_is_not_drawn_is_written_as_it_was_read(name: str) -> None:
    assert read(entry(name)).to_json()["objects"] == [entry(name)]


@pytest.mark.parametrize("name", SHAPES)
def test_its_object_can_be_tagged_and_get_another_class(name: str) -> None:
    (label,) = read(entry(name)).labels
    renamed = label.add_tag(sly.Tag(META.tag_metas.get("seen"))).clone(  # type: ignore[arg-type]
        obj_class=sly.ObjClass("other", sly.AnyGeometry)
    )
    made = renamed.to_json()
    assert made["classTitle"] == "other" and [tag["name"] for tag in made["tags"]] == ["seen"]
    assert (
        SHAPES[name].items() <= made.items() and made["geometryType"] == name and made["labelerLogin"] == "me"
    )


@pytest.mark.parametrize("name", BOXES)
def test_it_lies_where_its_points_lie_and_moves_with_them(name: str) -> None:
    (label,) = read(entry(name)).labels
    geometry, box = label.geometry, sly.Rectangle(*BOXES[name])
    assert geometry.to_bbox() == box
    assert geometry.translate(3, -4).to_bbox() == box.translate(3, -4)
    assert geometry.fliplr(SIZE).to_bbox() == box.fliplr(SIZE)
    assert geometry.flipud(SIZE).to_bbox() == box.flipud(SIZE)
    assert geometry.fliplr(SIZE).fliplr(SIZE).to_json() == geometry.to_json() or name == "alpha_mask"
    twice = geometry.resize(SIZE, (120, 160)).to_bbox()
    assert abs(twice.center.row - 2 * box.center.row) <= 1 and abs(twice.center.col - 2 * box.center.col) <= 1
    assert geometry.crop(sly.Rectangle(0, 0, 22, 12)) and not geometry.crop(sly.Rectangle(0, 50, 59, 79))


def test_areas_follow_from_the_points() -> None:
    areas = {name: read(entry(name)).labels[0].area for name in SHAPES}
    assert areas == {
        "cuboid": pytest.approx(20 * 20 + 20 * 4 / 2),
        "graph": 0,
        "cuboid_2d": 0,
        "oriented_bbox": 21 * 21,
        "alpha_mask": 5 * 7 + 1,
    }


def corners(geometry: Any) -> np.ndarray:
    """Where an oriented box's corners lie, as x and y."""
    (left, top), (right, bottom) = geometry.fields["points"]["exterior"]
    middle = np.array(((left + right) / 2, (top + bottom) / 2))
    angle = geometry.fields.get("angle", 0)
    turn = np.array(((math.cos(angle), -math.sin(angle)), (math.sin(angle), math.cos(angle))))
    return np.array(
        [turn @ (np.array((x, y)) - middle) + middle for x in (left, right) for y in (top, bottom)]
    )


def test_an_oriented_box_turns_the_other_way_in_a_mirror_and_keeps_its_angle_when_scaled() -> None:
    wide = {"exterior": [[10, 20], [50, 31]], "interior": []}
    (label,) = read(entry("oriented_bbox", points=wide)).labels
    geometry = label.geometry
    mirrored = corners(geometry.fliplr(SIZE)) * (-1, 1) + (SIZE[1] - 1, 0)
    expected = corners(geometry)
    assert np.allclose(sorted(mirrored.tolist()), sorted(expected.tolist()), atol=1e-6)
    scaled = corners(geometry.resize(SIZE, (120, 160)))
    assert np.allclose(sorted(scaled.tolist()), sorted((expected * 2 + 0.5).tolist()), atol=1.5)
    box = geometry.to_bbox()
    low, high = expected.min(axis=0), expected.max(axis=0)
    assert np.allclose((box.left, box.top, box.right, box.bottom), (*low, *high), atol=0.51)


def test_an_alpha_mask_is_cut_mirrored_and_scaled() -> None:
    (label,) = read(entry("alpha_mask")).labels
    mask = label.geometry
    assert isinstance(mask, AlphaMask) and np.array_equal(mask.data, SHARE)
    (part,) = mask.crop(sly.Rectangle(0, 12, 21, 79))
    assert part.to_json()["bitmap"]["origin"] == [12, 20] and np.array_equal(part.data, SHARE[:2, 2:])
    assert not mask.crop(sly.Rectangle(20, 11, 20, 18)), "nothing is set there"
    assert np.array_equal(mask.fliplr(SIZE).data, SHARE[:, ::-1])
    assert mask.resize(SIZE, (120, 160)).data.shape == (12, 18)


def test_one_such_object_does_not_keep_an_annotation_from_being_changed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    said: list[str] = []
    monkeypatch.setattr(sly.logger, "handle", lambda record: said.append(record.getMessage()))
    points = {"exterior": [[10, 20], [30, 40]], "interior": []}
    box = entry("box", geometryType="rectangle", points=points)
    blob = entry("blob", curve="M 1 2")
    ann = read(*(entry(name) for name in SHAPES), blob, box)
    assert len(ann.labels) == 7 and not said
    for changed in (
        ann.resize((30, 40)),
        ann.fliplr(),
        ann.flipud(),
        ann.relative_crop(sly.Rectangle(10, 5, 59, 79)),
    ):
        assert [label.obj_class.name for label in changed.labels] == [*SHAPES, "box"]
        json.dumps(changed.to_json())
    assert set(said) == {
        "Where an object of the shape blob lies is not known here. It is left out of the changed annotation."
    }
    assert ann.add_label(ann.labels[0]).to_json()["objects"][5]["curve"] == "M 1 2", "as long as it stays"


@pytest.mark.parametrize(
    "fields",
    [
        {"points": "x"}, {"points": [[1, "a"]]}, {"points": {"exterior": [[1, math.inf]]}}, {"nodes": [None]},
        {"nodes": {"a": {"loc": [1]}}}, {"points": [[1, 2, 3]]}, {},
    ],
)  # fmt: skip
def test_points_that_cannot_be_read_are_as_good_as_none(fields: dict[str, Any]) -> None:
    geometry = OtherGeometry("blob", fields)
    assert geometry.crop(sly.Rectangle(0, 0, 1, 1)) == [geometry] and geometry.area == 0
    with pytest.raises(NotImplementedError, match="blob"):
        geometry.translate(1, 1)


@pytest.mark.parametrize("bitmap", [
        None, {}, {"data": 3}, {"data": "x", "origin": [0, 0]},
        {"data": alpha(SHARE)}, {"data": alpha(SHARE), "origin": 3},
        {"data": base64.b64encode(zlib.compress(b"")).decode(), "origin": [0, 0]},
    ],
)  # fmt: skip
def test_an_alpha_mask_that_cannot_be_read_is_named(bitmap: Any) -> None:
    with pytest.raises(sly.InvalidJson, match=r"objects\[0\]\.bitmap"):
        read(entry("alpha_mask", bitmap=bitmap))


def test_nothing_vanishes_when_it_is_scaled_down() -> None:
    for shape in (sly.Rectangle(7, 9, 7, 9), sly.Bitmap(np.ones((1, 1), bool), sly.Point(7, 9))):
        small = shape.resize(SIZE, (6, 8))
        assert type(small) is type(shape) and small.to_bbox() == sly.Rectangle(0, 0, 0, 0)


def test_a_polygon_that_is_cut_keeps_few_points() -> None:
    star = sly.Polygon([(5, 40), (25, 50), (55, 75), (30, 30), (55, 5), (25, 20)])
    (cut,) = star.crop(sly.Rectangle(0, 0, 59, 49))
    assert len(cut.exterior) <= 20, "an outline along its pixels has about a hundred"


def test_who_made_an_object_is_written() -> None:
    mask = sly.Bitmap(np.ones((2, 2), bool), labeler_login="me", created_at="2019-01-01T00:00:00.000Z")
    made = sly.Label(mask, sly.ObjClass("a", sly.Bitmap)).to_json()
    assert made["labelerLogin"] == "me" and made["createdAt"] == "2019-01-01T00:00:00.000Z"
    with pytest.raises(TypeError, match="colour"):
        sly.Point(1, 2, colour="red")
    assert sly.Bitmap(sly.Point(3, 4), np.ones((1, 1), bool)).origin == sly.Point(3, 4), (
        "as ravenML 2.0 had it"
    )


def test_scores_of_pixels_are_written_read_and_follow_their_image() -> None:
    scores = np.random.default_rng(3).random((*SIZE, 1)).astype(np.float32)
    known = sly.ObjClass("blob", sly.Bitmap, [1, 2, 3])
    from ravenml.sly.annotation import PixelwiseScoresLabel

    ann = sly.Annotation(SIZE).add_pixelwise_score_label(
        PixelwiseScoresLabel(sly.MultichannelBitmap(scores), known)
    )
    written = json.loads(json.dumps(ann.to_json()))
    assert set(written["customBigData"]) == {"probabilityLabels", "probabilityClasses"}
    again = sly.Annotation.from_json(written, sly.ProjectMeta())
    (label,) = again.pixelwise_scores_labels
    assert np.array_equal(label.geometry.data, scores) and label.obj_class.color == [1, 2, 3]  # type: ignore[attr-defined]
    assert again.to_json() == ann.to_json()
    (label,) = again.fliplr().pixelwise_scores_labels
    assert np.array_equal(label.geometry.data, scores[:, ::-1])  # type: ignore[attr-defined]
    (label,) = again.relative_crop(sly.Rectangle(10, 20, 29, 39)).resize((40, 40)).pixelwise_scores_labels
    expected = np.kron(scores[10:30, 20:40, 0], np.ones((2, 2)))[:, :, None]
    assert np.allclose(label.geometry.data, expected)  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    "scores", [3, [3], [{}], [{"classTitle": "a", "multichannelBitmap": {"origin": 3}}]], ids=str
)
def test_scores_that_cannot_be_read_are_named(scores: Any) -> None:
    classes = [{"title": "a", "shape": "multichannelBitmap"}]
    custom = {"probabilityLabels": scores, "probabilityClasses": classes}
    size = {"height": SIZE[0], "width": SIZE[1]}
    with pytest.raises(sly.InvalidJson, match=r"customBigData\.probabilityLabels"):
        sly.Annotation.from_json({"size": size, "objects": [], "customBigData": custom}, META)
