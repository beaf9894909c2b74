"""`raven data import via`: the VGG Image Annotator's JSON, versions 1 and 2."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import numpy as np
import pytest
from other_formats import SQUARE, imported, left_out, picture, region, run, write_via
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


def test_a_list_of_images_is_read(tmp_path: Path) -> None:
    source = write_via(tmp_path / "src", [{**SQUARE, "region_attributes": {"class": 3}}])
    entries = list(json.loads((source / "via.json").read_text()).values())
    (source / "via.json").write_text(json.dumps([*entries, 7]))
    done = run("import", "via", source, tmp_path / "d", "--max-lost", 1)
    (item,) = Project.open(tmp_path / "d").items
    assert [label.title for label in read_editable(item.annotation_path).labels] == ["3"]
    assert "via.json, [1]: is not an object with a filename and regions" in done.stderr


CSV = """filename,file_size,file_attributes,region_count,region_id,region_shape_attributes,region_attributes
a.png,1,"{""weather"":""rain""}",2,0,"{""name"":""rect"",""x"":3,""y"":4,""width"":10,""height"":6}","{""class"":""car""}"
a.png,1,"{""weather"":""rain""}",2,1,"{""name"":""point"",""cx"":7,""cy"":8}","{""class"":""bus""}"
b.png,1,{},0,0,{},{}
"""


@pytest.mark.parametrize(("old", "new"), [("", ""), (",", ";"), ("\n", "\r\n")])
def test_a_csv_is_read(old: str, new: str, tmp_path: Path) -> None:
    for name in "ab":
        picture(tmp_path / "src" / f"{name}.png")
    text = CSV.replace(old, new) if old == "\n" else CSV
    if old == ",":  # between cells alone
        made = io.StringIO()
        csv.writer(made, delimiter=";").writerows(csv.reader(io.StringIO(CSV)))
        text = made.getvalue()
    (tmp_path / "src" / "via.csv").write_text(text)
    done = run("import", tmp_path / "src", tmp_path / "d")
    assert done.exit_code == 0 and "is read as via" in done.stderr
    documents = [read_editable(item.annotation_path) for item in Project.open(tmp_path / "d").items]
    assert [label.title for label in documents[0].labels] == ["car", "bus"] and not documents[1].labels
    assert documents[0].labels[0].geometry == Rectangle(3, 4, 12, 9)
    assert documents[0].tags == ({"name": "weather", "value": "rain"},)


def test_a_csv_with_bad_cells_names_their_regions(tmp_path: Path) -> None:
    picture(tmp_path / "src" / "a.png")
    (tmp_path / "src" / "via.csv").write_text(CSV.replace('"{""name"":""rect""', '"{""name"":rect'))
    done = run("import", "via", tmp_path / "src", tmp_path / "d", "--max-lost", 1)
    assert "a.png.regions[0].shape_attributes: is not an object" in done.stderr
    assert "the image b.png is not below" in done.stderr and "with 1 object" in done.stdout
    (tmp_path / "src" / "via.csv").write_text("filename,size\na.png,1\n")
    done = run("import", "via", tmp_path / "src" / "via.csv", tmp_path / "e")
    assert done.exit_code == 2 and "has no columns filename and region_shape_attributes" in done.stderr


def test_its_export_as_coco_is_read_too(tmp_path: Path) -> None:
    picture(tmp_path / "src" / "a.png")
    annotation = {"id": "1", "image_id": "0", "category_id": 1, "bbox": [1, 1, 5, 5], "iscrowd": 0}
    data = {
        "info": {"description": "VGG Image Annotator"},
        "images": [{"id": 0, "width": 80, "height": 60, "file_name": "a.png"}],
        "annotations": [{**annotation, "segmentation": [1, 1, 9, 1, 9, 9]}],
        "categories": [{"supercategory": "class", "id": 1, "name": "car"}],
    }
    (tmp_path / "src" / "via.json").write_text(json.dumps(data))
    done = run("import", "via", tmp_path / "src", tmp_path / "d")
    assert done.exit_code == 0 and "with 1 object of 1 class" in done.stdout
    assert "is COCO's JSON, as VIA exports it too, and read as such" in done.stderr


def test_not_a_number_costs_its_own_region_alone(tmp_path: Path) -> None:
    nan = float("nan")
    regions = [region("rect", {"class": "car"}, x=nan, y=4, width=5, height=6)]
    regions += [{**SQUARE, "region_attributes": {"class": "car", "depth": nan, "size": 10**400}}]
    source = write_via(tmp_path / "src", regions, size=nan, file_attributes={"temperature": nan})
    done = run("import", "via", source, tmp_path / "d")
    (item,) = Project.open(tmp_path / "d").items
    document = read_editable(item.annotation_path)
    assert [label.title for label in document.labels] == ["car"]
    assert not document.tags and document.labels[0].tags == [{"name": "size", "value": 10**400}]
    assert "regions[0].shape_attributes.x: nan is not a number" in done.stderr


def test_what_is_there_instead_is_said(tmp_path: Path) -> None:
    picture(tmp_path / "src" / "a.png")
    done = run("import", "via", tmp_path / "src", tmp_path / "d")
    assert done.exit_code == 2 and "there are files 1 with .png" in done.stderr
    (tmp_path / "src" / "x.json").write_text("{}")
    done = run("import", "via", write_via(tmp_path / "src", [SQUARE]), tmp_path / "e")
    assert done.exit_code == 0 and "not VIA's, and left alone: x.json" in done.stderr
