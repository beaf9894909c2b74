"""COCO files as other programs write them: what is certain in them is imported, and the rest is told."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from other_formats import annotation, imported, left_out, picture, run, write_coco

from ravenml.data.editable_annotation import read_editable
from ravenml.data.geometry import Bitmap, Polygon, Rectangle
from ravenml.data.project import Project

RING = [10, 10, 30, 10, 30, 20]
BOX = Rectangle(10, 20, 39, 24)  # what `annotation` has as its bbox


def edit(source: Path, **changes: Any) -> Path:
    """Change fields of the first image, annotation and category."""
    path = source / "annotations" / "instances_train.json"
    data = json.loads(path.read_text())
    for name, fields in changes.items():
        data[name][0].update(fields)
    path.write_text(json.dumps(data))
    return source


@pytest.mark.parametrize(
    ("images", "annotations", "categories"),
    [
        ({}, {"image_id": "1"}, {}),
        ({"id": "1"}, {}, {}),
        ({"id": "0001"}, {"image_id": 1.0}, {}),
        ({"id": "x"}, {"image_id": "x"}, {}),
        ({}, {"category_id": "7"}, {}),
        ({}, {"category_id": 7.0}, {}),
        ({}, {}, {"id": "7"}),
    ],
)
def test_ids_are_the_same_as_text_and_as_numbers(
    images: dict[str, Any], annotations: dict[str, Any], categories: dict[str, Any], tmp_path: Path
) -> None:
    source = write_coco(tmp_path / "src", [annotation()])
    edit(source, images=images, annotations=annotations, categories=categories)
    (document,) = imported("coco", source)
    assert [label.title for label in document.labels] == ["car"]


def test_ids_that_are_two_things_as_they_stand_stay_two(tmp_path: Path) -> None:
    categories = [{"id": 7, "name": "car"}, {"id": "7", "name": "bus"}, {"id": "07", "name": "van"}]
    said = [annotation(n, category_id=category) for n, category in enumerate([7, "7", "07", "007"])]
    source = write_coco(tmp_path / "src", said, categories=categories)
    done = run("import", "coco", source, tmp_path / "d")
    (item,) = Project.open(tmp_path / "d").items
    assert [label.title for label in read_editable(item.annotation_path).labels] == ["car", "bus", "van"]
    assert "annotations[3].category_id: '007' is not a category" in done.stderr


@pytest.mark.parametrize("name", [3, 3.0, "3"])
def test_a_category_may_be_named_by_a_number(name: object, tmp_path: Path) -> None:
    source = write_coco(tmp_path / "src", [annotation()], categories=[{"id": 7, "name": name}])
    (document,) = imported("coco", source)
    assert document.labels[0].title == "3"


def test_annotations_that_share_an_id_are_all_kept(tmp_path: Path) -> None:
    source = write_coco(tmp_path / "src", [annotation(1), annotation(1, bbox=[1, 2, 3, 4]), annotation(2)])
    done = run("import", "coco", source, tmp_path / "d")
    assert done.exit_code == 0 and "with 3 objects" in done.stdout and not left_out(done)
    assert "2 annotations share their ids with others; all are kept" in done.stderr


def test_an_image_that_is_listed_twice_is_one(tmp_path: Path) -> None:
    image = {"id": 1, "file_name": "a.png", "height": 60, "width": 80}
    source = write_coco(tmp_path / "src", [annotation()], images=[image, image])
    done = run("import", "coco", source, tmp_path / "d")
    assert done.exit_code == 0 and "1 image with 1 object" in done.stdout and not left_out(done)
    assert "images that are listed more than once are taken once" in done.stderr


@pytest.mark.parametrize(
    ("segmentation", "shape"),
    [
        (RING, Polygon),
        ([RING], Polygon),
        ([[[10, 10], [30, 10], [30, 20]]], Polygon),
        ([[10, 10], [30, 10], [30, 20]], Polygon),
        ([{"size": [60.0, "80"], "counts": [4, 4796]}], Bitmap),
        ([[], RING], Polygon),
        ([RING, [40, 10, 50, 10, 50, 20]], Bitmap),
        ([], BOX),
        ([[]], BOX),
        ({}, BOX),
        (None, BOX),
        ("", BOX),
    ],
)
def test_a_segmentation_is_read_however_it_is_nested(
    segmentation: object, shape: object, tmp_path: Path
) -> None:
    source = write_coco(tmp_path / "src", [annotation(segmentation=segmentation)])
    done = run("import", "coco", source, tmp_path / "d")
    assert done.exit_code == 0 and "Note" not in done.stderr
    (item,) = Project.open(tmp_path / "d").items
    (label,) = read_editable(item.annotation_path).labels
    assert label.geometry == shape or type(label.geometry) is shape


@pytest.mark.parametrize(
    "segmentation",
    [[[10, 20, 30, 5]], [10, 20, 30, 5], [[10, 20, 40, 20, 10, 20]], [[5, 5]], [[1, 1, 5, 5], [2, 2]]],
)
def test_a_segmentation_that_encloses_nothing_leaves_the_box(segmentation: object, tmp_path: Path) -> None:
    objects = [annotation(1, segmentation=segmentation), annotation(2, segmentation=segmentation)]
    done = run("import", "coco", write_coco(tmp_path / "src", objects), tmp_path / "d")
    (item,) = Project.open(tmp_path / "d").items
    assert [label.geometry for label in read_editable(item.annotation_path).labels] == [BOX, BOX]
    assert "encloses nothing was replaced by its object's box (2 times)" in done.stderr


@pytest.mark.parametrize("bad", [[1, 1, 5, 5], [1, 2, 3], [float("nan"), 1, 2, 2, 5, 9], ["x"] * 6, 5, None])
def test_a_bad_part_of_an_outline_leaves_the_good_ones(bad: object, tmp_path: Path) -> None:
    source = write_coco(tmp_path / "src", [annotation(segmentation=[RING, bad])])
    done = run("import", "coco", source, tmp_path / "d")
    (item,) = Project.open(tmp_path / "d").items
    (label,) = read_editable(item.annotation_path).labels
    assert isinstance(label.geometry, Polygon) and not left_out(done)
    assert "a part of an outline that is not a polygon was left out" in done.stderr


def test_not_a_number_costs_the_object_that_has_it_in_a_field_that_is_used(tmp_path: Path) -> None:
    nan, infinity = float("nan"), float("inf")
    objects = [
        annotation(1, area=nan, score=infinity, attributes={"depth": nan, "old": True}, iscrowd=nan),
        annotation(2, bbox=[nan, 1, 5, 5]),
        annotation(3, bbox=[1, 1, infinity, 5]),
        annotation(4, segmentation=[[nan, 1, 5, 5, 9, 9]]),
        annotation(5),
    ]
    source = edit(write_coco(tmp_path / "src", objects, info={"version": nan}), images={"gps": infinity})
    done = run("import", "coco", source, tmp_path / "d", "--max-lost", 1)
    assert done.exit_code == 0
    (item,) = Project.open(tmp_path / "d").items
    first, second = read_editable(item.annotation_path).labels
    assert (first.geometry, second.geometry) == (BOX, BOX) and first.tags == [{"name": "old"}]
    for said in (
        "annotations[1].bbox: nan is not a number",
        "annotations[2].bbox: inf is not a number",
        "annotations[3].segmentation[0]: has a coordinate that is not a number",
    ):
        assert said in done.stderr, said


@pytest.mark.parametrize(
    ("iscrowd", "tags"),
    [(0.0, []), ("0", []), (None, []), (1.0, ["crowd"]), ("1", ["crowd"]), (True, ["crowd"])],
)
def test_iscrowd_is_read_as_a_number_or_as_text(iscrowd: object, tags: list[str], tmp_path: Path) -> None:
    (document,) = imported("coco", write_coco(tmp_path / "src", [annotation(iscrowd=iscrowd)]))
    assert [tag["name"] for tag in document.labels[0].tags] == tags


def test_the_size_of_an_image_may_be_fractions_or_text(tmp_path: Path) -> None:
    source = write_coco(tmp_path / "src", [annotation()])
    edit(source, images={"height": 60.0, "width": "80"})
    assert imported("coco", source)[0].size == (60, 80)
    wrong = edit(source, images={"height": 61.0, "width": "80"})
    assert "is 80×61, but it is 80×60" in run("import", "coco", wrong, tmp_path / "d").stderr


@pytest.mark.parametrize(
    ("name", "encoding", "said"),
    [
        ("Straße", "utf-8-sig", ""),
        ("Straße", "utf-16", "is read as UTF-16"),
        ("Straße", "utf-16-be", "is read as UTF-16-BE"),
        ("Größe", "cp1252", "read as Windows-1252 (Western European)"),
        ("汽车和行人", "gbk", "read as GB 18030 (Chinese)"),
    ],
)
def test_the_encoding_of_a_file_is_found_and_told(
    name: str, encoding: str, said: str, tmp_path: Path
) -> None:
    source = write_coco(tmp_path / "src", [annotation()])
    path = source / "annotations" / "instances_train.json"
    data = json.loads(path.read_text())
    data["categories"][0]["name"] = name
    path.write_bytes(json.dumps(data, ensure_ascii=False).encode(encoding))
    for where in (source, path):
        done = run("import", "coco", where, tmp_path / f"d{where.suffix}")
        assert done.exit_code == 0 and said in done.stderr and ("Note" in done.stderr) == bool(said)
        assert Project.open(tmp_path / f"d{where.suffix}").titles == [name]


def test_bytes_that_are_damaged_do_not_garble_the_others(tmp_path: Path) -> None:
    source = write_coco(tmp_path / "src", [annotation()], info="größer als früher")
    path = source / "annotations" / "instances_train.json"
    content = json.dumps(json.loads(path.read_text()), ensure_ascii=False)
    path.write_bytes(content.encode().replace(b"car", b"stra\xc3\xdfe \xc3\xbc"))
    done = run("import", "coco", source, tmp_path / "d")
    assert Project.open(tmp_path / "d").titles == ["stra\ufffd\ufffde ü"]
    assert 'has bytes that are not UTF-8; each is read as "\ufffd"' in done.stderr


def test_half_a_character_in_a_name_is_told(tmp_path: Path) -> None:
    categories = [{"id": 7, "name": "car \ud83d"}, {"id": 8, "name": "why? \U0001f600"}]
    done = run(
        "import", "coco", write_coco(tmp_path / "src", [annotation()], categories=categories), tmp_path / "d"
    )
    assert Project.open(tmp_path / "d").titles == ["car ?", "why? \U0001f600"]
    assert "names of categories have halves of characters" in done.stderr


def test_keypoints_are_announced_as_left_out(tmp_path: Path) -> None:
    said = [annotation(1, keypoints=[9, 9, 2], num_keypoints=1), annotation(2, keypoints=[])]
    done = run("import", "coco", write_coco(tmp_path / "src", said), tmp_path / "d")
    assert "with 2 objects" in done.stdout
    assert "keypoints are not imported (in 1 of its annotations)" in done.stderr


def test_other_files_of_coco_are_named_as_what_they_are(tmp_path: Path) -> None:
    panoptic = {"image_id": 1, "file_name": "a.png", "segments_info": [{"id": 1, "category_id": 7}]}
    source = write_coco(tmp_path / "one", [panoptic])
    done = run("import", "coco", source, tmp_path / "d")
    assert done.exit_code == 2 and "is COCO's file of panoptic segments, which are not read" in done.stderr
    results = tmp_path / "results.json"
    results.write_text(json.dumps([annotation(score=0.5)]))
    done = run("import", "coco", results, tmp_path / "d")
    assert done.exit_code == 2 and "is a list, as COCO's results are" in done.stderr
    (source / "annotations" / "boxes.json").write_text(
        (write_coco(tmp_path / "two", [annotation()]) / "annotations" / "instances_train.json").read_text()
    )
    done = run("import", "coco", source, tmp_path / "d")
    assert done.exit_code == 0 and "with 1 object" in done.stdout
    assert (
        "instances_train.json, which is COCO's file of panoptic segments, which are not read, are"
        in done.stderr
    )


def test_what_is_there_instead_of_a_coco_file_is_said(tmp_path: Path) -> None:
    picture(tmp_path / "src" / "a.png")
    done = run("import", "coco", tmp_path / "src", tmp_path / "d")
    assert done.exit_code == 2 and "there are files 1 with .png" in done.stderr
    (tmp_path / "src" / "a.json").write_text('{"version": "5", "shapes": []}')
    done = run("import", "coco", tmp_path / "src", tmp_path / "d")
    assert done.exit_code == 2 and "a.json begins with the fields version, shapes" in done.stderr


def test_roboflow_s_supercategory_is_not_a_class(tmp_path: Path) -> None:
    categories = [
        {"id": 0, "name": "vehicles", "supercategory": "none"},
        {"id": 7, "name": "car", "supercategory": "vehicles"},
        {"id": 8, "name": "person", "supercategory": "person"},
    ]
    source = write_coco(tmp_path / "src", [annotation()], categories=categories)
    done = run("import", "coco", source, tmp_path / "d")
    assert Project.open(tmp_path / "d").titles == ["car", "person"]
    assert 'the category "vehicles" only groups others' in done.stderr
    used = write_coco(tmp_path / "used", [annotation(), annotation(2, category_id=0)], categories=categories)
    assert {label.title for label in imported("coco", used)[0].labels} == {"car", "vehicles"}


def test_files_over_the_same_images_give_one_item_with_the_objects_of_both(tmp_path: Path) -> None:
    source = write_coco(tmp_path / "src", [annotation()])
    boxes = source / "annotations" / "instances_train.json"
    data = json.loads(boxes.read_text())
    data["annotations"] = [annotation(segmentation=[RING])]
    (source / "annotations" / "masks.json").write_text(json.dumps(data))
    done = run("import", "coco", source, tmp_path / "d")
    (item,) = Project.open(tmp_path / "d").items
    kinds = [label.kind for label in read_editable(item.annotation_path).labels]
    assert sorted(kinds) == ["polygon", "rectangle"] and "is named twice" in done.stderr


def test_an_image_is_found_by_the_address_alone(tmp_path: Path) -> None:
    source = write_coco(tmp_path / "src", [annotation()])
    edit(source, images={"file_name": None, "coco_url": "http://images.example.org/train2017/a.png"})
    assert len(imported("coco", source)[0].labels) == 1


def test_a_file_that_goes_on_or_has_a_list_twice_is_refused(tmp_path: Path) -> None:
    source = write_coco(tmp_path / "src", [annotation()])
    path = source / "annotations" / "instances_train.json"
    content = path.read_text()
    for text, said in (
        (content + content, "goes on after its end"),
        (content.replace('"categories"', '"annotations": [], "categories"'), "annotations: is there twice"),
    ):
        path.write_text(text)
        done = run("import", "coco", source, tmp_path / "d")
        assert done.exit_code == 2 and said in done.stderr, done.stderr
