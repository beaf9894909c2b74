"""A ZIP is read as it is, and one command converts a format into another."""

from __future__ import annotations

import base64
import json
import random
import shutil
import zipfile
from pathlib import Path

import pytest
import yaml
from other_formats import SQUARE, left_out, picture, run, write_via

from ravenml.data.demo import write_demo
from ravenml.data.project import Project


def packed(folder: Path, *litter: str) -> Path:
    """The folder as a ZIP, with the folder itself in it, and more files."""
    archive = folder.with_suffix(".zip")
    with zipfile.ZipFile(archive, "w") as file:
        for path in sorted(folder.rglob("*")):
            file.write(path, path.relative_to(folder.parent))
        for name in litter:
            file.writestr(name, b"x")
    return archive


def test_a_zip_is_imported_with_its_images(tmp_path: Path) -> None:
    archive = packed(write_via(tmp_path / "src", [SQUARE, {"region_attributes": {}}]), "__MACOSX/src/._a.png")
    shutil.rmtree(tmp_path / "src")
    for there in ("", "(1 was there) "):
        done = run("import", "auto", archive, tmp_path / "d")
        assert done.exit_code == 0 and f"Imported 1 image {there}with 1 object" in done.stdout, done.output
        (line,) = left_out(done)
        assert f"{archive}/via.json, a.png" in line
        (item,) = Project.open(tmp_path / "d").items
        assert item.key == "src/a.png" and not item.image_path.is_symlink()
        assert sorted(path.name for path in tmp_path.iterdir() if path.name != "home") == ["d", "src.zip"]


def test_a_zip_writes_nothing_outside_and_is_refused_where_it_is_damaged(tmp_path: Path) -> None:
    archive = packed(write_via(tmp_path / "src", [SQUARE]), "../../evil.txt")
    done = run("import", "via", archive, tmp_path / "deep" / "d")
    assert done.exit_code == 2 and "outside of itself" in done.stderr and not list(tmp_path.rglob("evil*"))
    archive = packed(write_via(tmp_path / "src", [SQUARE]))
    content = bytearray(archive.read_bytes())
    content[60:90] = bytes(30)
    archive.write_bytes(content)
    done = run("import", "via", archive, tmp_path / "deep" / "d")
    assert done.exit_code == 2 and "damaged ZIP" in done.stderr and not list((tmp_path / "deep").iterdir())


def test_one_command_converts_and_leaves_no_project(tmp_path: Path) -> None:
    source = write_via(tmp_path / "src", [SQUARE])
    for _ in range(2):
        done = run("convert", source, tmp_path / "out" / "yolo", "--to", "yolo", "--class", "drop")
        assert done.exit_code == 0 and "Converted 1 image to yolo" in done.stdout, done.output
        assert "is read as via" in done.stderr
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["yolo"]
    assert yaml.safe_load((tmp_path / "out/yolo/data.yaml").read_text())["names"] == {0: "drop"}
    (image,) = (tmp_path / "out" / "yolo" / "images").rglob("a.png")
    assert image.samefile(source / "a.png")


def test_pictures_that_only_the_annotations_hold_are_written_out(tmp_path: Path) -> None:
    picture(tmp_path / "a.png")
    embedded = base64.b64encode((tmp_path / "a.png").read_bytes()).decode()
    shape = {"label": "car", "shape_type": "rectangle", "points": [[1, 1], [9, 9]]}
    (tmp_path / "src").mkdir()
    said = {"imagePath": "a.png", "imageData": embedded, "shapes": [shape]}
    (tmp_path / "src" / "a.json").write_text(json.dumps(said))
    done = run("convert", tmp_path / "src", tmp_path / "yolo", "--to", "yolo")
    assert done.exit_code == 0, done.output
    (image,) = (tmp_path / "yolo" / "images").rglob("a.png")
    assert image.read_bytes() == (tmp_path / "a.png").read_bytes()


@pytest.mark.parametrize("method", [zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_damage_within_a_zip_is_a_sentence(tmp_path: Path, method: int) -> None:
    archive = tmp_path / "a.zip"
    with zipfile.ZipFile(archive, "w", method) as file:
        file.writestr("a.bin", random.Random(0).randbytes(5000) + bytes(5000))
    content = bytearray(archive.read_bytes())
    content[100:180] = bytes(80)
    archive.write_bytes(content)
    done = run("import", "auto", archive, tmp_path / "d")
    assert done.exit_code == 2 and "a.zip is a damaged ZIP" in done.stderr, done.output


def test_a_conversion_that_loses_too_much_writes_nothing(tmp_path: Path) -> None:
    source = write_via(tmp_path / "src", [{"region_attributes": {}}])
    done = run("convert", source, tmp_path / "yolo", "--to", "yolo")
    assert done.exit_code == 1 and "1 of 1 objects were left out" in done.stderr
    assert not (tmp_path / "yolo").exists()


def test_a_project_is_converted_as_it_is(tmp_path: Path) -> None:
    write_demo(tmp_path / "demo")
    done = run("convert", tmp_path / "demo", tmp_path / "coco", "--to", "coco")
    assert done.exit_code == 0 and list((tmp_path / "coco" / "annotations").iterdir())
