"""Opening projects: where datasets lie, what meta.json may say, and what is refused."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest
from projects import SHAPES, real_data, write_item, write_meta, write_project

from ravenml.data.meta import ObjClass, read_meta
from ravenml.data.project import Project
from ravenml.errors import InputError

TWICE = '{"classes": [{"title": "a", "shape": "b"}, {"title": "a", "shape": "b"}]}'
GREY = np.full((8, 9, 3), 100, np.uint8)


def test_a_project_opens_with_its_items_sorted_by_dataset_and_name(tmp_path: Path) -> None:
    write_meta(tmp_path, SHAPES)
    for dataset, name in (("b", "2.png"), ("a", "10.png"), ("b", "1.png"), ("a", "9.jpg")):
        write_item(tmp_path, dataset, name, GREY)
    project = Project.open(tmp_path)
    assert [item.key for item in project.items] == ["a/10.png", "a/9.jpg", "b/1.png", "b/2.png"]
    assert project.datasets == ["a", "b"] and project.name == tmp_path.name
    assert [known.title for known in project.classes] == list(SHAPES)
    assert project.classes[0].rgb == (40, 90, 210)


def test_nested_datasets_are_found_in_supervisely_s_layout_and_as_plain_folders(tmp_path: Path) -> None:
    write_meta(tmp_path, SHAPES)
    for folder in (
        "outer",
        "outer/datasets/inner",
        "outer/datasets/inner/datasets/deep",
        "plain/a",
        "only/datasets/x",
    ):
        write_item(tmp_path, folder, "1.png", GREY)
    project = Project.open(tmp_path)
    assert project.datasets == ["only/x", "outer", "outer/inner", "outer/inner/deep", "plain/a"]
    assert project.item("outer/inner/deep/1.png").dataset == "outer/inner/deep"


def test_a_dataset_may_itself_be_called_datasets(tmp_path: Path) -> None:
    write_meta(tmp_path, SHAPES)
    write_item(tmp_path, "datasets", "1.png", GREY)
    assert Project.open(tmp_path).datasets == ["datasets"]


def test_other_folders_and_litter_do_no_harm(tmp_path: Path) -> None:
    write_meta(tmp_path, SHAPES)
    write_item(tmp_path, "a", "1.png", GREY)
    for folder in ("a/meta", "a/seg", ".cache/img", "notes"):
        (tmp_path / folder).mkdir(parents=True)
        (tmp_path / folder / "1.png.json").write_text("{}")
    for litter in ("a/img/.DS_Store", "a/img/Thumbs.db", "a/readme.txt", "key_id_map.json"):
        (tmp_path / litter).write_text("x")
    (tmp_path / "a" / "circle").symlink_to(tmp_path)
    assert [item.key for item in Project.open(tmp_path).items] == ["a/1.png"]


def test_the_old_names_of_annotations_are_accepted(tmp_path: Path) -> None:
    write_meta(tmp_path, SHAPES)
    write_item(tmp_path, "a", "1.png", GREY)
    (tmp_path / "a/ann/1.png.json").rename(tmp_path / "a/ann/1.json")
    project = Project.open(tmp_path)
    assert project.annotation(project.items[0]).size == (8, 9)


def test_the_real_project_opens() -> None:
    project = Project.open(real_data("camvid_small"))
    assert len(project.items) == 62 and project.datasets == ["seq", "seq_val"]
    assert project.titles[0] == "sky" and len(project.titles) == 11
    assert sum("val" in project.tags_of(item) for item in project.items) == 16


def test_tags_are_read_in_the_new_and_in_the_old_spelling(tmp_path: Path) -> None:
    path = tmp_path / "meta.json"
    tag = {"name": "train", "value_type": "none", "color": "#abcdef"}
    path.write_text(json.dumps({"classes": [], "tags": [tag]}))
    assert [(t.name, t.color) for t in read_meta(path)[1]] == [("train", "#ABCDEF")]
    path.write_text(
        json.dumps({"classes": [], "tags_images": ["a", tag], "tags_objects": [{"name": "a"}, "b"]})
    )
    assert [t.name for t in read_meta(path)[1]] == ["a", "train", "b"]


def test_a_class_without_a_colour_gets_one(tmp_path: Path) -> None:
    path = tmp_path / "meta.json"
    path.write_text(json.dumps({"classes": [{"title": "a", "shape": "polygon"}]}))
    assert read_meta(path)[0] == [ObjClass("a", "polygon", "#808080")]


def refused(path: Path) -> str:
    with pytest.raises(InputError) as caught:
        Project.open(path)
    assert caught.value.exit_code == 2
    return str(caught.value)


def test_no_such_folder_a_file_and_a_folder_that_is_no_project_are_refused(tmp_path: Path) -> None:
    assert "does not exist" in refused(tmp_path / "nowhere")
    (tmp_path / "file").write_text("")
    assert "is a file" in refused(tmp_path / "file")
    (tmp_path / "empty").mkdir()
    said = refused(tmp_path / "empty")
    assert "empty/meta.json: is missing, so this is not a Supervisely project" in said
    assert "raven data import SRC DST" in said
    (tmp_path / "empty" / "import.json").write_text("{}")
    assert "was not completed; run the same `raven data import` again" in refused(tmp_path / "empty")


def test_a_project_without_images_is_refused(tmp_path: Path) -> None:
    write_meta(tmp_path, SHAPES)
    assert "holds no images" in refused(tmp_path)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("{", "line 1"),
        ("\xff", "not valid JSON"),
        ("[1]", "no JSON object"),
        ("{}", "classes: is missing"),
        ('{"classes": [3]}', "classes[0].title: is missing"),
        ('{"classes": [{"title": "a"}]}', "classes[0].shape: is missing"),
        ('{"classes": [{"title": "a", "shape": "b", "color": "red"}]}', "color: 'red' is not a colour"),
        (TWICE, 'classes[1].title: "a" appears twice'),
        ('{"classes": [], "tags": 3}', "tags: is not a list"),
        ('{"classes": [], "tags": [{}]}', "tags[0].name: is missing"),
    ],
)  # fmt: skip
def test_a_broken_meta_json_is_named_with_its_field(tmp_path: Path, content: str, words: str) -> None:
    write_project(tmp_path)
    (tmp_path / "meta.json").write_bytes(content.encode("latin-1"))
    message = refused(tmp_path)
    assert "meta.json" in message and words in message


def test_an_image_without_annotation_is_refused(tmp_path: Path) -> None:
    write_project(tmp_path, images=3)
    (tmp_path / "scenes/ann/scene_001.png.json").unlink()
    assert "scenes/img/scene_001.png: has no annotation" in refused(tmp_path)


def test_an_annotation_without_image_is_refused_and_the_number_of_more_faults_told(tmp_path: Path) -> None:
    write_project(tmp_path, images=3)
    (tmp_path / "scenes/img/scene_001.png").unlink()
    (tmp_path / "scenes/img/scene_002.png").unlink()
    message = refused(tmp_path)
    assert (
        "scenes/ann/scene_001.png.json: has no image" in message and "and more: raven data inspect" in message
    )


def test_an_image_of_a_kind_that_is_not_read_is_refused(tmp_path: Path) -> None:
    write_project(tmp_path, images=3)
    (tmp_path / "scenes/img/a.psd").write_bytes(b"x")
    assert 'images of the kind ".psd" are not read' in refused(tmp_path)


def test_two_folders_of_one_dataset_name_are_refused(tmp_path: Path) -> None:
    write_meta(tmp_path, SHAPES)
    write_item(tmp_path, "a/datasets/b", "1.png", GREY)
    write_item(tmp_path, "a/b", "2.png", GREY)
    assert 'is a second dataset named "a/b"' in refused(tmp_path)


def test_an_unknown_item_is_named_with_the_nearest(small: Project) -> None:
    with pytest.raises(
        InputError, match=r'no item "scenes/scene_01.png"; did you mean "scenes/scene_001.png"'
    ):
        small.item("scenes/scene_01.png")


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("videos", "videos"), ("volumes", "volumes"), ("point_clouds", "point clouds"),
        ("point_cloud_episodes", "point cloud episodes"),
    ],
)  # fmt: skip
def test_a_project_of_another_kind_is_refused_by_its_type(tmp_path: Path, kind: str, said: str) -> None:
    (tmp_path / "meta.json").write_text(json.dumps({"classes": [], "projectType": kind}))
    (tmp_path / "ds" / "ann").mkdir(parents=True)
    with pytest.raises(InputError, match=f"is a Supervisely project of {said}, and ravenML reads"):
        Project.open(tmp_path)


@pytest.mark.parametrize(
    ("folder", "said"), [("video", "videos"), ("pointcloud", "point clouds"), ("volume", "volumes")]
)
def test_a_project_of_another_kind_is_refused_by_its_folders(tmp_path: Path, folder: str, said: str) -> None:
    (tmp_path / "meta.json").write_text('{"classes": [], "tags": []}')
    (tmp_path / "ds" / folder).mkdir(parents=True)
    (tmp_path / "ds" / "ann").mkdir()
    with pytest.raises(InputError, match=f"is a Supervisely project of {said}"):
        Project.open(tmp_path)


def test_a_project_of_images_is_one_whatever_else_its_datasets_hold(tmp_path: Path) -> None:
    write_meta(tmp_path, SHAPES)
    write_item(tmp_path, "ds", "1.png", GREY)
    meta = json.loads((tmp_path / "meta.json").read_text())
    (tmp_path / "meta.json").write_text(json.dumps({**meta, "projectType": "images"}))
    (tmp_path / "ds" / "video").mkdir()
    assert len(Project.open(tmp_path).items) == 1


def test_a_meta_that_is_no_file_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "meta.json")
    with pytest.raises(InputError, match="is not a Supervisely project"):
        Project.open(tmp_path)
