"""Which split an image of another format belongs to, and how exports say it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from other_formats import picture, run
from projects import scene, write_item, write_meta

from ravenml.data.formats.image_finder import split_of, split_tags
from ravenml.data.project import Project


@pytest.mark.parametrize(
    ("name", "split"),
    [
        ("train", "train"),
        ("Training", "train"),
        ("train2017", "train"),
        ("train_images", "train"),
        ("valid", "val"),
        ("val2017", "val"),
        ("VALIDATION", "val"),
        ("test", "test"),
        ("testing", "test"),
        ("test2017", "test"),
        ("test-dev2017", "test"),
        ("testset", "test"),
        ("trainval", None),
        ("trains", None),
        ("testimony", None),
        ("valley", None),
        ("train12", None),
    ],
)
def test_a_split_is_known_by_its_usual_names(name: str, split: str | None) -> None:
    assert split_of(name) == split


def test_the_innermost_folder_that_is_called_after_a_split_decides() -> None:
    assert split_tags("leftImg8bit/test/berlin") == [{"name": "test"}]
    assert split_tags("test/train") == [{"name": "train"}]
    assert split_tags("night/rain") == []


@pytest.fixture
def divided(tmp_path: Path) -> Path:
    """A project with an image of each split, and an untagged one."""
    folder = tmp_path / "divided"
    write_meta(folder, {"box": "rectangle"}, tags=("train", "val", "test"))
    pixels, objects = scene_of_boxes()
    for name, tags in (("a", ["train"]), ("b", ["val"]), ("c", ["test"]), ("d", [])):
        write_item(folder, "scenes", f"{name}.png", pixels, objects, tags)
    return folder


def scene_of_boxes() -> tuple[np.ndarray, list[dict[str, Any]]]:
    """A picture with the objects that every format holds."""
    pixels, objects = scene(np.random.default_rng(0))
    return pixels, [one for one in objects if one["geometryType"] == "rectangle"]


def exported(project: Path, format_name: str) -> Path:
    out = project.parent / format_name
    done = run("export", format_name, project, out)
    assert done.exit_code == 0, done.output
    return out


@pytest.mark.parametrize("format_name", ["coco", "cvat", "labelme", "via"])
def test_the_test_split_survives_a_round_trip(divided: Path, tmp_path: Path, format_name: str) -> None:
    out = exported(divided, format_name)
    assert run("import", format_name, out, tmp_path / "again").exit_code == 0
    again = Project.open(tmp_path / "again")
    assert [sorted(again.tags_of(item)) for item in again.items] == [["train"], ["val"], ["test"], []]


def test_coco_has_a_file_of_its_own_for_the_test_images(divided: Path) -> None:
    out = exported(divided, "coco") / "annotations"
    images = json.loads((out / "instances_test.json").read_bytes())["images"]
    assert [one["file_name"] for one in images] == ["scenes/c.png"]


def test_voc_lists_the_test_images(divided: Path) -> None:
    sets = exported(divided, "voc") / "scenes" / "ImageSets" / "Main"
    assert (sets / "test.txt").read_text() == "c\n"


def test_yolo_names_the_test_images(divided: Path) -> None:
    out = exported(divided, "yolo")
    described = yaml.safe_load((out / "data.yaml").read_text())
    assert {split: (out / described[split]).read_text() for split in ("train", "val", "test")} == {
        "train": "./images/scenes/a.png\n",
        "val": "./images/scenes/b.png\n",
        "test": "./images/scenes/c.png\n",
    }


def test_yolo_never_trains_on_test_images_where_only_these_are_tagged(tmp_path: Path) -> None:
    folder = tmp_path / "held_out"
    write_meta(folder, {"box": "rectangle"}, tags=("test",))
    pixels, objects = scene_of_boxes()
    for name, tags in (("a", []), ("b", ["test"])):
        write_item(folder, "scenes", f"{name}.png", pixels, objects, tags)
    out = exported(folder, "yolo")
    described = yaml.safe_load((out / "data.yaml").read_text())
    for split in ("train", "val"):
        assert (out / described[split]).read_text() == "./images/scenes/a.png\n"


def test_images_in_folders_of_a_test_set_are_tagged_test(tmp_path: Path) -> None:
    source = tmp_path / "src"
    entry = {"id": 1, "file_name": "a.png", "width": 80, "height": 60}
    for folder in ("train", "valid", "test"):
        picture(source / folder / "a.png")
        content = {"images": [entry], "annotations": [], "categories": [{"id": 1, "name": "car"}]}
        (source / folder / "_annotations.coco.json").write_text(json.dumps(content))
    assert run("import", "coco", source, tmp_path / "imported").exit_code == 0
    project = Project.open(tmp_path / "imported")
    assert {item.dataset: sorted(project.tags_of(item)) for item in project.items} == {
        "train": ["train"],
        "valid": ["val"],
        "test": ["test"],
    }
