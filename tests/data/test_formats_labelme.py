"""LabelMe's files as other programs leave them: what is certain is imported, and the rest is told."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from other_formats import imported, left_out, picture, run
from projects import encoded

from ravenml.data.editable_annotation import read_editable
from ravenml.data.geometry import Polygon, Rectangle
from ravenml.data.images import read_image
from ravenml.data.project import Project

TRIANGLE = [[10, 10], [30, 10], [30, 20]]


def write(path: Path, *shapes: dict[str, Any], **more: Any) -> Path:
    """A file of LabelMe; returns its folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    data = {
        "version": "5.0.1",
        "flags": {},
        "shapes": list(shapes) or [{"label": path.stem, "points": TRIANGLE, "shape_type": "polygon"}],
        "imagePath": f"{path.stem}.png",
        "imageData": None,
        "imageHeight": 60,
        "imageWidth": 80,
        **more,
    }
    path.write_text(json.dumps(data))
    return path.parent


def shape(kind: str, points: Any, label: object = "car", **more: Any) -> dict[str, Any]:
    return {"label": label, "points": points, "shape_type": kind, **more}


def titles(root: Path) -> dict[str, list[str]]:
    """The titles of each item's objects."""
    items = Project.open(root).items
    return {item.key: [label.title for label in read_editable(item.annotation_path).labels] for item in items}


def test_labels_sizes_and_groups_may_be_numbers_of_any_kind(tmp_path: Path) -> None:
    shapes = [shape("polygon", TRIANGLE, label, group_id=2.0) for label in (3, 3.0, "3")]
    picture(tmp_path / "src" / "a.png")
    source = write(tmp_path / "src" / "a.json", *shapes, imageHeight=60.0, imageWidth="80")
    (document,) = imported("labelme", source)
    assert [label.title for label in document.labels] == ["3", "3", "3"]
    assert document.labels[0].tags == [{"name": "group_id", "value": 2}]


def test_not_a_number_costs_its_own_object_alone(tmp_path: Path) -> None:
    nan = float("nan")
    picture(tmp_path / "src" / "a.png")
    bad = [shape("polygon", [[nan, 1], *TRIANGLE]), shape("circle", [[5, 5], [nan, 9]])]
    good = shape("polygon", TRIANGLE, group_id=nan, description=nan)
    source = write(tmp_path / "src" / "a.json", *bad, good, lineWidth=float("inf"))
    done = run("import", "labelme", source, tmp_path / "d", "--max-lost", 1)
    assert done.exit_code == 0 and "with 1 object" in done.stdout
    assert "shapes[0].points" in done.stderr and "shapes[1].points: nan is not a number" in done.stderr


@pytest.mark.parametrize(
    ("kind", "points", "expected"),
    [
        ("polygon", [10, 10, 30, 10, 30, 20], Polygon),
        ("rectangle", [10, 20, 20, 30], Rectangle(10, 20, 19, 29)),
        ("rectangle", [[10, 20], [20, 20], [20, 30], [10, 30]], Rectangle(10, 20, 19, 29)),
        ("rectangle", [[20, 10], [30, 20], [20, 30], [10, 20]], Polygon),
        ("rotation", [[20, 10], [30, 20], [20, 30], [10, 20]], Polygon),
    ],
)
def test_shapes_are_read_however_their_points_are_written(
    kind: str, points: Any, expected: object, tmp_path: Path
) -> None:
    picture(tmp_path / "src" / "a.png")
    (document,) = imported("labelme", write(tmp_path / "src" / "a.json", shape(kind, points)))
    (label,) = document.labels
    assert label.geometry == expected or type(label.geometry) is expected


def test_a_group_s_number_may_be_of_any_size(tmp_path: Path) -> None:
    picture(tmp_path / "src" / "a.png")
    source = write(tmp_path / "src" / "a.json", shape("polygon", TRIANGLE, group_id=10**400))
    (document,) = imported("labelme", source)
    assert document.labels[0].tags == [{"name": "group_id", "value": 10**400}]


def test_the_picture_in_a_file_is_written_where_there_is_no_other(tmp_path: Path) -> None:
    pixels = {name: np.full((60, 80, 3), shade, np.uint8) for name, shade in (("a", 40), ("b", 90))}
    for name, image in pixels.items():
        content = base64.b64encode(encoded(image, ".png")).decode()
        write(tmp_path / "src" / f"{name}.json", imagePath="C:\\there\\x.dcm", imageData=content)
    done = run("import", "labelme", tmp_path / "src", tmp_path / "d")
    assert done.exit_code == 0 and "an image was written from imageData" in done.stderr
    assert titles(tmp_path / "d") == {"src/x.png": ["a"], "src/x_2.png": ["b"]}
    for item, name in zip(Project.open(tmp_path / "d").items, "ab", strict=True):
        assert (read_image(item.image_path) == pixels[name]).all() and not item.image_path.is_symlink()
    again = run("import", "labelme", tmp_path / "src", tmp_path / "d")
    assert again.exit_code == 0 and "2 were there" in again.stdout


@pytest.mark.parametrize("given", ["", "no picture", "QUJD", 7, None])
def test_where_there_is_neither_an_image_nor_a_picture_the_image_is_named(
    given: object, tmp_path: Path
) -> None:
    picture(tmp_path / "src" / "b.png")
    write(tmp_path / "src" / "b.json")
    source = write(tmp_path / "src" / "a.json", imageData=given)
    done = run("import", "labelme", source, tmp_path / "d")
    (said,) = left_out(done)
    assert "a.json, imagePath: the image a.png is not below" in said


def test_files_that_were_renamed_with_their_images_keep_to_them(tmp_path: Path) -> None:
    for name in ("new", "other", "named"):
        picture(tmp_path / "src" / f"{name}.png")
    write(tmp_path / "src" / "new.json", imagePath="old.jpg")
    write(tmp_path / "src" / "other.json", imagePath="named.png")  # a copy of the file of named.png
    write(tmp_path / "src" / "named.json")
    done = run("import", "labelme", tmp_path / "src", tmp_path / "d")
    assert done.exit_code == 0 and "the latter was taken (2 times)" in done.stderr
    found = titles(tmp_path / "d")
    assert found == {"src/named.png": ["named"], "src/new.png": ["new"], "src/other.png": ["other"]}


@pytest.mark.parametrize("folder", ["", "images/"])
def test_an_image_that_no_other_file_describes_is_the_one_that_is_named(folder: str, tmp_path: Path) -> None:
    picture(tmp_path / "src" / "a.png")
    picture(tmp_path / "src" / f"{folder}frame.png")
    source = write(tmp_path / "src" / "a.json", imagePath=f"{folder}frame.png".replace("/", "\\"))
    assert run("import", "labelme", source, tmp_path / "d").exit_code == 0
    assert titles(tmp_path / "d") == {"src/frame.png": ["a"]}


def test_images_with_one_name_in_two_folders_are_told_apart(tmp_path: Path) -> None:
    for name in "ab":
        picture(tmp_path / "src" / "images" / name / "1.png")
        shapes = [shape("polygon", TRIANGLE, name)]
        write(tmp_path / "src" / "labels" / name / "1.json", *shapes)
    assert run("import", "labelme", tmp_path / "src", tmp_path / "d").exit_code == 0
    said = {
        item.image_path.resolve().parent.name: read_editable(item.annotation_path).labels[0].title
        for item in Project.open(tmp_path / "d").items
    }
    assert said == {"a": "a", "b": "b"}


def test_encodings_are_told_once_and_other_files_are_named(tmp_path: Path) -> None:
    for name in "abc":
        picture(tmp_path / "src" / f"{name}.png")
        path = tmp_path / "src" / f"{name}.json"
        write(path, shape("polygon", TRIANGLE, "Größe"))
        path.write_bytes(json.dumps(json.loads(path.read_text()), ensure_ascii=False).encode("cp1252"))
    (tmp_path / "src" / "other.json").write_text("{}")
    done = run("import", "labelme", tmp_path / "src", tmp_path / "d")
    assert Project.open(tmp_path / "d").titles == ["Größe"]
    assert done.stderr.count("read as Windows-1252") == 1 and "a.json and 2 more are not UTF-8" in done.stderr
    assert "not LabelMe's, and left alone: other.json." in done.stderr


def test_a_backslash_before_ud_is_not_half_of_a_character(tmp_path: Path) -> None:
    for name in ("a", "b"):
        picture(tmp_path / "src" / f"{name}.png")
    write(tmp_path / "src" / "a.json", imagePath="C:\\udemy\\ude00\\a.png")
    source = write(tmp_path / "src" / "b.json", shape("polygon", TRIANGLE, "\U0001f600\\ud"))
    done = run("import", "labelme", source, tmp_path / "d")
    assert done.exit_code == 0 and not done.stderr
    write(tmp_path / "src" / "b.json", shape("polygon", TRIANGLE, "\\\ud83d"), shape("polygon", TRIANGLE))
    again = run("import", "labelme", source, tmp_path / "e")
    assert 'b.json has halves of characters, cut off by another program; each is read as "?".' in again.stderr


def test_a_file_is_recognised_by_a_picture_that_comes_first(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (200, 200, 3)).astype(np.uint8)
    path = picture(tmp_path / "src" / "a.png").with_suffix(".json")
    shapes = [shape("polygon", TRIANGLE)] * 200
    write(path, *shapes, imageData=base64.b64encode(encoded(noise, ".png")).decode())
    path.write_text(json.dumps(json.loads(path.read_text()), sort_keys=True))
    assert len(imported("labelme", path.parent)[0].labels) == 200


def test_what_is_there_instead_of_labelme_s_files_is_said(tmp_path: Path) -> None:
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "a.json").write_text('{"images": [], "annotations": []}')
    done = run("import", "labelme", tmp_path / "src", tmp_path / "d")
    assert done.exit_code == 2 and "a.json begins with the fields images, annotations" in done.stderr
