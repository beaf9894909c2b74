"""Images whose names clash: both stay, it is told, and it is always the same one that keeps its name."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from other_formats import left_out, picture, run
from projects import encoded

from ravenml.data.editable_annotation import EditableAnnotation, Label, read_editable
from ravenml.data.geometry import Rectangle
from ravenml.data.meta import ObjClass
from ravenml.data.project import Project
from ravenml.data.transforms import bounds
from ravenml.data.writing import ProjectWriter, meta_json

NAMES = ("a.jpg", "a.png", "a_png.png", "b.png")
BY_NAME = ("voc", "yolo", "labelme", "masks")  # formats that name files by the image's, without its ending


def notes(stderr: str) -> list[str]:
    return [line for line in stderr.splitlines() if line.startswith("Note: ") and "cannot hold" not in line]


@pytest.fixture
def clashing(tmp_path: Path) -> Path:
    """A project with two images that differ in their ending, and one called as the second would be."""
    writer = ProjectWriter(tmp_path / "project")
    for number, name in enumerate(NAMES):
        image = picture(tmp_path / "images" / name)
        labels = (Label.make("car", Rectangle(number, 2, 20, 20)),)
        writer.add("scenes", name, image, EditableAnnotation((60, 80), labels))
    writer.write_meta(meta_json([ObjClass("car", "rectangle", "#FF0000")]))
    return tmp_path / "project"


@pytest.mark.parametrize("format_name", BY_NAME)
def test_no_image_is_lost_on_the_way_out_and_back(clashing: Path, tmp_path: Path, format_name: str) -> None:
    for attempt in ("one", "two"):
        done = run("export", format_name, clashing, tmp_path / attempt)
        assert done.exit_code == 0 and "Exported 4 images" in done.stdout
        said = "scenes/a.png has the name of a.jpg but for its ending, and is exported as a_png_."
        assert notes(done.stderr) == [f"Note: {said}"]
    files = [sorted(path.relative_to(tmp_path / one) for path in (tmp_path / one).rglob("*.*"))
             for one in ("one", "two")]  # fmt: skip
    assert files[0] == files[1]
    again = run("import", format_name, tmp_path / "one", tmp_path / "again")
    assert again.exit_code == 0 and not notes(again.stderr) and not left_out(again)
    lefts = {}
    for item in Project.open(tmp_path / "again").items:
        (label,) = read_editable(item.annotation_path).labels
        assert label.geometry is not None
        lefts[item.name] = bounds(label.geometry).left
    second = "a.png" if format_name == "labelme" else "a_png_.png"
    assert lefts == {"a.jpg": 0, second: 1, "a_png.png": 2, "b.png": 3}


def write_yolo(folder: Path, *images: str) -> Path:
    for name in images:
        picture(folder / name)
    (folder / "classes.txt").write_text("car\n")
    (folder / "a.txt").write_text("0 0.5 0.5 0.5 0.5\n")
    return folder


def test_images_that_share_a_text_of_labels_both_get_its_objects(tmp_path: Path) -> None:
    done = run("import", "yolo", write_yolo(tmp_path / "src", "a.png", "a.jpg"), tmp_path / "d")
    assert done.exit_code == 0 and "2 images with 2 objects" in done.stdout
    (note,) = notes(done.stderr)
    assert "a.jpg and" in note and "a.png have the same text of labels, a.txt" in note


def test_images_of_one_name_in_folders_that_become_one_dataset_are_numbered(tmp_path: Path) -> None:
    source = write_yolo(tmp_path / "src", "train/images/cars/a.png", "val/images/cars/a.png")
    for split in ("train", "val"):
        (source / split / "labels" / "cars").mkdir(parents=True)
        (source / split / "labels" / "cars" / "a.txt").write_text("0 0.5 0.5 0.5 0.5\n")
    for attempt in ("one", "two"):
        done = run("import", "yolo", source, tmp_path / attempt)
        assert done.exit_code == 0 and "Imported 2 images" in done.stdout
        (note,) = notes(done.stderr)[:1]
        assert "val/images/cars/a.png has the name of" in note and "becomes a_2.png" in note
        items = Project.open(tmp_path / attempt).items
        assert [item.key for item in items] == ["cars/a.png", "cars/a_2.png"]
        assert "val" in str(items[1].image_path.resolve())
    assert "2 were there" in run("import", "yolo", source, tmp_path / "two").stdout


def test_masks_belong_to_the_image_with_their_very_name_first(tmp_path: Path) -> None:
    source = tmp_path / "src"
    for name in ("a.jpg", "a.png", "b.png", "b.jpg"):
        picture(source / "images" / name)
    mask = np.zeros((60, 80), np.uint8)
    for name, columns in (("a.jpg.png", 10), ("a.png", 20), ("b.png", 30)):
        (source / "masks").mkdir(exist_ok=True)
        mask[:, :columns] = 255
        (source / "masks" / name).write_bytes(encoded(mask, ".png"))
    done = run("import", "masks", source, tmp_path / "d")
    assert done.exit_code == 0 and not left_out(done)
    widths = {}
    for item in Project.open(tmp_path / "d").items:
        (label,) = read_editable(item.annotation_path).labels
        widths[item.name] = label.geometry.mask.shape[1]  # type: ignore[union-attr]
    assert widths == {"a.jpg": 10, "a.png": 20, "b.jpg": 30, "b.png": 30}
    (note,) = notes(done.stderr)
    assert "b.png have the same mask, b.png" in note


def test_where_either_of_two_may_be_meant_both_are_named(tmp_path: Path) -> None:
    source = tmp_path / "voc"
    for name in ("a.jpg", "a.png", "b.png"):
        picture(source / name)
    for name in ("a", "b"):
        (source / f"{name}.xml").write_text(f"<annotation><filename>{name}</filename></annotation>")
    done = run("import", "voc", source, tmp_path / "d")
    (said,) = left_out(done)
    assert "both a.jpg and a.png may be meant" in said and "Imported 1 image" in done.stdout
    source = tmp_path / "masks"
    for name in ("a.tif", "b.tif"):
        picture(source / "images" / name)
    for name in ("a.png", "a.bmp", "b.png"):
        (source / "masks").mkdir(exist_ok=True)
        (source / "masks" / name).write_bytes(encoded(np.full((60, 80), 255, np.uint8), name[1:]))
    done = run("import", "masks", source, tmp_path / "e")
    (said,) = left_out(done)
    assert "may have the mask a.bmp or a.png" in said and "Imported 1 image" in done.stdout
