"""`raven data import via`: the VGG Image Annotator's JSON, versions 1 and 2."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from other_formats import SQUARE, imported, left_out, region, run, write_via
from projects import real_data

from ravenml.data.editable_annotation import read_editable
from ravenml.data.geometry import Line, Point, Polygon, Rectangle
from ravenml.data.inspection import inspect_project
from ravenml.data.masks import draw
from ravenml.data.project import Project


def test_the_droplets_become_two_datasets_with_tags(tmp_path: Path) -> None:
    source = real_data("droplets_via")
    done = run("import", "via", source, tmp_path / "d")
    assert done.exit_code == 0, done.output
    said = inspect_project(tmp_path / "d")
    assert said.datasets == {"train": 9, "val": 3} and said.image_tags == {"train": 9, "val": 3}
    assert [(title, count.objects) for title, count in said.classes.items()] == [("object", 218)]
    assert not said.problems
    assert '218 regions have no attributes, and become objects of the class "object"' in done.stderr
    assert "raven train --dataset" in done.stdout and "Imported 12 images with 218 objects" in done.stdout
    project = Project.open(tmp_path / "d")
    assert all(item.image_path.is_symlink() for item in project.items)


def test_every_shape_of_both_versions_is_read(tmp_path: Path) -> None:
    regions = [
        SQUARE,
        region("polyline", all_points_x=[0, 5], all_points_y=[1, 9]),
        region("rect", x=3, y=4, width=10, height=6),
        region("circle", cx=40, cy=30, r=10),
        region("ellipse", cx=40, cy=30, rx=12, ry=5, theta=0.5),
        region("point", cx=7, cy=8),
    ]
    as_list = write_via(tmp_path / "two" / "src", regions)
    as_dict = write_via(tmp_path / "one" / "src", {str(n): one for n, one in enumerate(regions)})
    for source in (as_list, as_dict):
        (document,) = imported("via", source)
        shapes = [label.geometry for label in document.labels]
        kinds = [Polygon, Line, Rectangle, Polygon, Polygon, Point]
        assert [type(shape) for shape in shapes] == kinds
        assert shapes[2] == Rectangle(3, 4, 12, 9) and shapes[5] == Point(7, 8)
        mask = np.zeros((60, 80), np.uint8)
        assert isinstance(shapes[3], Polygon)
        draw(mask, shapes[3], 1)
        assert mask.sum() == pytest.approx(np.pi * 10.5**2, rel=0.05)  # its border is drawn too


def test_a_project_that_version_2_saved_is_read(tmp_path: Path) -> None:
    source = write_via(tmp_path / "src", [SQUARE])
    images = json.loads((source / "via.json").read_text())
    (source / "via.json").write_text(json.dumps({"_via_settings": {}, "_via_img_metadata": images}))
    (document,) = imported("via", source)
    assert len(document.labels) == 1


def test_an_attribute_is_the_class_and_the_others_are_tags(tmp_path: Path) -> None:
    attributes = {"kind": "car", "colour": "red", "state": {"old": True, "new": False}}
    source = write_via(tmp_path / "src", [{**SQUARE, "region_attributes": attributes}])
    done = run("import", "via", source, tmp_path / "x")
    assert done.exit_code == 2 and "--class-attribute" in done.output and "colour, kind, state" in done.output
    (document,) = imported("via", source, "--class-attribute", "kind")
    assert document.labels[0].title == "car"
    assert document.labels[0].tags == [{"name": "colour", "value": "red"}, {"name": "old"}]
    done = run("import", "via", source, tmp_path / "y", "--class-attribute", "knd")
    assert done.exit_code == 2 and "no region" in done.output.lower()


def test_regions_without_attributes_get_the_class_that_is_named(tmp_path: Path) -> None:
    source = write_via(tmp_path / "src", [SQUARE])
    (document,) = imported("via", source, "--class", "drop")
    assert document.labels[0].title == "drop"


def test_file_attributes_become_tags_of_the_image(tmp_path: Path) -> None:
    tagged = {"caption": "", "weather": "rain", "tags": {"night": True}}
    (document,) = imported("via", write_via(tmp_path / "src", [SQUARE], file_attributes=tagged))
    assert document.tags == ({"name": "weather", "value": "rain"}, {"name": "night"})


def test_bad_regions_are_named_one_by_one_and_left_out(tmp_path: Path) -> None:
    regions = [
        SQUARE,
        region("polygon", all_points_x=[1, 2], all_points_y=[1, 2]),
        region("polygon", all_points_x=[1, 2, 3], all_points_y=[1, 2, 3]),
        region("rect", x=3, y=4, width=0, height=6),
        region("rect", x=300, y=4, width=5, height=6),
        region("rect", x="left", y=4, width=5, height=6),
        region("cuboid"),
        {"region_attributes": {}},
    ]
    source = write_via(tmp_path / "src", regions)
    done = run("import", "via", source, tmp_path / "d", "--max-lost", 1)
    assert done.exit_code == 0
    said = left_out(done)
    assert len(said) == 7 and all("via.json, a.png" in line for line in said), done.stderr
    problems = (
        "has 2 of at least 3 points",
        "the polygon has no area",
        "the box has no area",
        "'left' is not a number",
        "'cuboid' is not a shape of VIA",
        "is missing",
        "lies outside of the image",
    )
    assert all(any(problem in line for line in said) for problem in problems), done.stderr
    assert "7 bad records were left out" in done.stderr
    done = run("import", "via", source, tmp_path / "strict", "--strict")
    assert done.exit_code == 2 and not (tmp_path / "strict" / "meta.json").exists()


def test_a_box_that_reaches_out_is_cut_and_counted(tmp_path: Path) -> None:
    source = write_via(tmp_path / "src", [region("rect", x=-5, y=50, width=20, height=30)])
    done = run("import", "via", source, tmp_path / "d")
    assert "1 object reached out of its image" in done.stderr
    (item,) = Project.open(tmp_path / "d").items
    assert read_editable(item.annotation_path).labels[0].geometry == Rectangle(0, 50, 14, 59)
