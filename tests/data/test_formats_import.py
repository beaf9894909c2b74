"""What holds for imports of every format: names, sizes, orientations, resuming, and what is said."""

from __future__ import annotations

import json
import os
import struct
from pathlib import Path

import cv2
import numpy as np
import pytest
from other_formats import SQUARE, picture, run, write_via

from ravenml.config.home import datasets_dir
from ravenml.data.editable_annotation import read_editable
from ravenml.data.formats.image_finder import Images, dataset_name, files_below
from ravenml.data.formats.orient_and_clip import upright
from ravenml.data.geometry import Bitmap, Point, Polygon, Rectangle
from ravenml.data.images import read_header, read_image
from ravenml.data.masks import draw
from ravenml.data.problems import DataProblem
from ravenml.data.project import Project
from ravenml.data.registry import resolve_dataset

FILE = Path("some.json")


def oriented(path: Path, image: np.ndarray, orientation: int) -> None:
    """A JPEG whose EXIF block says that it is to be turned."""
    jpeg = bytes(cv2.imencode(".jpg", image)[1])
    tiff = b"MM\0*" + struct.pack(">IHHHIHHI", 8, 1, 0x0112, 3, 1, orientation, 0, 0)
    content = b"Exif\0\0" + tiff
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(jpeg[:2] + b"\xff\xe1" + struct.pack(">H", len(content) + 2) + content + jpeg[2:])


def test_names_from_other_machines_are_found_below_the_folder(tmp_path: Path) -> None:
    for name in ("one.png", "deep/two.png", "sp ace/grüße.png"):
        picture(tmp_path / name)
    images = Images(tmp_path)
    for name, found in {
        "one.png": "one.png",
        "./one.png": "one.png",
        "deep\\two.png": "deep/two.png",
        "C:\\Users\\me\\two.png": "deep/two.png",
        "/home/me/one.png": "one.png",
        "sp ace/gru\u0308ße.png": "sp ace/grüße.png",
        "../elsewhere/one.png": "one.png",
    }.items():
        assert images.find(name, FILE, "x") == tmp_path / found


def test_no_name_leads_out_of_the_folder(tmp_path: Path) -> None:
    picture(tmp_path / "secret.png")
    picture(tmp_path / "src" / "a" / "same.png")
    picture(tmp_path / "src" / "b" / "same.png")
    images = Images(tmp_path / "src", tmp_path / "src" / "a")
    assert images.find("../b/same.png", FILE, "x") == tmp_path / "src" / "b" / "same.png"
    outside = (
        "../secret.png",
        "../../secret.png",
        str(tmp_path / "secret.png"),
        "..\\..\\secret.png",
        "a\0.png",
        "https://x/y.png",
        "",
        "  ",
        7,
        None,
    )
    for name in outside:
        with pytest.raises(DataProblem):
            images.find(name, FILE, "x")
    with pytest.raises(DataProblem, match="2 images there have that name"):
        images.find("other/same.png", FILE, "x")


def test_folders_that_lead_in_a_circle_end(tmp_path: Path) -> None:
    picture(tmp_path / "a" / "one.png")
    (tmp_path / "a" / "again").symlink_to(tmp_path)
    assert [path.name for path in files_below(tmp_path)] == ["one.png"]


def test_names_that_mean_something_in_a_project_are_changed() -> None:
    assert dataset_name("img") == "img_" and dataset_name("a/datasets/../b") == "a/datasets_/b"
    assert dataset_name(".hidden") == "_hidden" and dataset_name("..") == "dataset"


@pytest.mark.parametrize("orientation", range(1, 9))
def test_headers_and_shapes_are_turned_as_the_image_is(tmp_path: Path, orientation: int) -> None:
    box = Rectangle(16, 8, 31, 15)
    stored = np.zeros((32, 48, 3), np.uint8)
    stored[8:16, 16:32] = 255
    oriented(tmp_path / "a.jpg", stored, orientation)
    header = read_header(tmp_path / "a.jpg")
    seen = read_image(tmp_path / "a.jpg")
    assert header.stored == (32, 48) and header.size == seen.shape[:2]
    if orientation > 4:
        mask = np.zeros(header.size, np.uint8)
        corners = np.array([[16, 8], [31, 8], [31, 15], [16, 15]], np.int32)
        whole = Bitmap((16, 8), np.ones((8, 16), bool))
        for shape in (box, Polygon(corners), whole):
            mask[:] = 0
            turned = upright(shape, orientation, (32, 48))
            assert isinstance(turned, Rectangle | Polygon | Bitmap)
            draw(mask, turned, 1)
            assert ((seen[:, :, 0] > 128) == mask).all()
        turned = upright(Point(16, 8), orientation, (32, 48))
        assert isinstance(turned, Point) and seen[turned.y, turned.x, 0] > 128


@pytest.mark.parametrize("ending", [".png", ".jpg", ".bmp", ".tif", ".webp"])
def test_a_header_says_the_size_of_every_kind(tmp_path: Path, ending: str) -> None:
    picture(tmp_path / f"a{ending}", 21, 34)
    assert read_header(tmp_path / f"a{ending}").size == (21, 34)


def test_what_is_no_image_is_named(tmp_path: Path) -> None:
    for name, content in {"a.png": b"hello", "b.jpg": b"\xff\xd8\xff", "c.png": b""}.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(DataProblem):
            read_header(tmp_path / name)


def test_the_same_command_goes_on_and_does_only_what_is_missing(tmp_path: Path) -> None:
    source, target = write_via(tmp_path / "src", [SQUARE]), tmp_path / "d"
    picture(source / "b.png")
    images = json.loads((source / "via.json").read_text())
    images["b"] = {"filename": "b.png", "regions": []}
    (source / "via.json").write_text(json.dumps(images))
    assert run("import", "via", source, target).exit_code == 0
    kept, redone = target / "src/ann/a.png.json", target / "src/ann/b.png.json"
    before = kept.stat().st_mtime_ns, (target / "meta.json").read_bytes()
    redone.write_text('{"size":')  # as no process of ours leaves it
    (target / "meta.json").unlink()
    done = run("import", "via", source, target)
    assert "Imported 2 images (1 was there)" in done.stdout, done.output
    assert (kept.stat().st_mtime_ns, (target / "meta.json").read_bytes()) == before
    assert read_editable(redone).size == (60, 80)


def test_what_changed_in_the_source_is_imported_again(tmp_path: Path) -> None:
    source, target = write_via(tmp_path / "src", [SQUARE]), tmp_path / "d"
    run("import", "via", source, target)
    content = (source / "via.json").read_text().replace("20", "30")
    (source / "via.json").write_text(content)
    os.utime(source / "via.json", ns=(2 * 10**18, 2 * 10**18))
    assert "were there" not in run("import", "via", source, target).stdout
    (label,) = read_editable(target / "src/ann/a.png.json").labels
    assert isinstance(label.geometry, Polygon) and label.geometry.exterior[1].tolist() == [30, 5]


def test_images_are_copied_byte_by_byte_on_request(tmp_path: Path) -> None:
    source, target = write_via(tmp_path / "src", [SQUARE]), tmp_path / "d"
    assert run("import", "via", source, target).exit_code == 0
    image = target / "src/img/a.png"
    assert image.is_symlink() and image.samefile(source / "a.png")
    assert run("import", "via", source, target, "--copy").exit_code == 0
    assert not image.is_symlink() and image.read_bytes() == (source / "a.png").read_bytes()


def test_a_folder_that_holds_something_else_is_left_alone(tmp_path: Path) -> None:
    source, target = write_via(tmp_path / "src", [SQUARE]), tmp_path / "d"
    target.mkdir()
    (target / "thesis.txt").write_text("mine")
    done = run("import", "via", source, target)
    assert done.exit_code == 2 and "is not empty" in done.output and len(list(target.iterdir())) == 1
    assert run("import", "via", source, tmp_path / "e").exit_code == 0
    done = run("import", "via", source, tmp_path / "e", "--class", "drop")
    assert done.exit_code == 2 and "with other options" in done.output
    other = write_via(tmp_path / "other", [SQUARE])
    done = run("import", "via", other, tmp_path / "e")
    assert done.exit_code == 2 and str(source) in done.output


def test_missing_images_and_twice_told_ones_are_named(tmp_path: Path) -> None:
    source = write_via(tmp_path / "src", [SQUARE])
    entry = {"filename": "a.png", "regions": []}
    images = json.loads((source / "via.json").read_text())
    images |= {"again": entry, "gone": {**entry, "filename": "gone.png"}, "odd": 3}
    (source / "via.json").write_text(json.dumps(images))
    done = run("import", "via", source, tmp_path / "d")
    assert done.exit_code == 1 and "Imported 1 image with 1 object of 1 class" in done.stdout
    for said in ("a.png is named twice", "the image gone.png is not below", "odd: is not an object"):
        assert said in done.stderr


def test_the_format_is_guessed_and_said(tmp_path: Path) -> None:
    source = write_via(tmp_path / "src", [SQUARE])
    done = run("import", source, tmp_path / "d")
    assert done.exit_code == 0 and f"{source} is read as via" in done.stderr
    (tmp_path / "empty").mkdir()
    done = run("import", tmp_path / "empty", tmp_path / "e")
    assert done.exit_code == 2 and "none of the known formats" in done.output
    done = run("import", tmp_path / "d", tmp_path / "e")
    assert done.exit_code == 2 and "is a project already" in done.output
    done = run("import", "vai", source, tmp_path / "e")
    assert done.exit_code == 2 and 'did you mean "via"?' in done.output
    done = run("import", "via", source)
    assert done.exit_code == 2 and "DST" in done.output


def test_with_a_name_the_dataset_is_known_by_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAVENML_STORAGE_PATH", str(tmp_path / "home"))
    source = write_via(tmp_path / "src", [SQUARE])
    done = run("import", "via", source, "--name", "squares")
    assert done.exit_code == 0 and "raven train --dataset squares " in done.stdout
    assert resolve_dataset("squares") == datasets_dir() / "squares"
    assert len(Project.open(resolve_dataset("squares")).items) == 1
    assert run("import", "via", source, "--name", "../x").exit_code == 2


def test_a_project_is_not_written_into_what_is_imported(tmp_path: Path) -> None:
    """The next call would take the project's own images for new ones."""
    picture(tmp_path / "src" / "images" / "a.png")
    target = tmp_path / "src" / "project"
    done = run("import", "masks", tmp_path / "src", target)
    assert done.exit_code == 2 and "lies within what is imported" in done.stderr and not target.exists()


def test_of_an_import_of_nothing_nothing_stays(tmp_path: Path) -> None:
    write_via(tmp_path / "src", [SQUARE])
    for image in (tmp_path / "src").rglob("*.png"):
        image.unlink()
    done = run("import", "via", tmp_path / "src", tmp_path / "project")
    assert done.exit_code == 2 and "holds no image that could be imported" in done.stderr
    assert not (tmp_path / "project").exists()
