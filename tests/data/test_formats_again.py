"""The same import once more: what changed in the source changes in the project, and what is gone goes."""

from __future__ import annotations

import json
import os
from pathlib import Path

from other_formats import SQUARE, picture, run, write_via

from ravenml.data.editable_annotation import read_editable
from ravenml.data.project import Project

LONG_AGO = 10**18


def write_yolo(root: Path, **labels: str) -> Path:
    """A folder with data.yaml, and an image and a text for each name."""
    for name, text in labels.items():
        picture(root / "images" / f"{name}.png")
        (root / "labels").mkdir(exist_ok=True)
        (root / "labels" / f"{name}.txt").write_text(text)
    (root / "data.yaml").write_text("names: [car, bus]\ntrain: images\nval: images\n")
    return root


def titles(project: Path) -> dict[str, list[str]]:
    """The classes of each image's objects."""
    opened = Project.open(project)
    return {
        item.name: [label.title for label in read_editable(item.annotation_path).labels]
        for item in opened.items
    }


CAR, BUS = "0 0.5 0.5 0.2 0.2\n", "1 0.5 0.5 0.2 0.2\n"


def test_a_renamed_class_has_its_new_name_and_the_old_one_is_gone(tmp_path: Path) -> None:
    source = write_yolo(tmp_path / "src", a=CAR, b=BUS)
    run("import", "yolo", source, tmp_path / "d")
    (source / "data.yaml").write_text("names: [vehicle, bus]\n")
    assert run("import", "yolo", source, tmp_path / "d").exit_code == 0
    assert titles(tmp_path / "d") == {"a.png": ["vehicle"], "b.png": ["bus"]}
    assert Project.open(tmp_path / "d").titles == ["vehicle", "bus"]


def test_a_corrected_file_is_read_however_old_it_is(tmp_path: Path) -> None:
    source = write_yolo(tmp_path / "src", a=CAR)
    run("import", "yolo", source, tmp_path / "d")
    (source / "labels" / "a.txt").write_text(BUS)
    os.utime(source / "labels" / "a.txt", ns=(LONG_AGO, LONG_AGO))
    run("import", "yolo", source, tmp_path / "d")
    assert titles(tmp_path / "d") == {"a.png": ["bus"]}


def test_objects_of_a_label_file_that_was_removed_go(tmp_path: Path) -> None:
    source = write_yolo(tmp_path / "src", a=CAR, b=BUS)
    run("import", "yolo", source, tmp_path / "d")
    (source / "labels" / "a.txt").unlink()
    run("import", "yolo", source, tmp_path / "d")
    assert titles(tmp_path / "d") == {"a.png": [], "b.png": ["bus"]}


def test_an_image_that_was_removed_goes_and_is_told(tmp_path: Path) -> None:
    source = write_yolo(tmp_path / "src", a=CAR, b=BUS)
    run("import", "yolo", source, tmp_path / "d")
    (source / "images" / "a.png").unlink()
    done = run("import", "yolo", source, tmp_path / "d")
    assert "1 image was removed" in done.stderr
    assert titles(tmp_path / "d") == {"b.png": ["bus"]} and not list((tmp_path / "d").rglob("a.png"))


def test_what_did_not_change_is_not_written_again(tmp_path: Path) -> None:
    source = write_yolo(tmp_path / "src", a=CAR, b=BUS)
    run("import", "yolo", source, tmp_path / "d")
    before = {path: path.lstat().st_mtime_ns for path in (tmp_path / "d").rglob("*.p*")}
    done = run("import", "yolo", source, tmp_path / "d")
    assert "(2 were there)" in done.stdout
    assert {path: path.lstat().st_mtime_ns for path in before} == before


def test_what_a_person_changed_in_the_project_stays(tmp_path: Path) -> None:
    source = write_yolo(tmp_path / "src", a=CAR, b=BUS, c=CAR)
    run("import", "yolo", source, tmp_path / "d")
    items = {item.name: item for item in Project.open(tmp_path / "d").items}
    for name in ("a.png", "c.png"):
        path = items[name].annotation_path
        path.write_text(path.read_text().replace('"car"', '"bus"'))
    (source / "labels" / "a.txt").write_text("")
    (source / "images" / "c.png").rename(source / "elsewhere")  # the project's link leads there
    items["c.png"].image_path.unlink()
    items["c.png"].image_path.symlink_to(source / "elsewhere")
    for _ in range(2):
        done = run("import", "yolo", source, tmp_path / "d")
        assert "2 annotations were changed in" in done.stderr
        assert titles(tmp_path / "d") == {"a.png": ["bus"], "b.png": ["bus"], "c.png": ["bus"]}
    (source / "elsewhere").unlink()
    run("import", "yolo", source, tmp_path / "d")
    assert titles(tmp_path / "d") == {"a.png": ["bus"], "b.png": ["bus"]}
    assert '"bus"' in items["c.png"].annotation_path.with_name(".c.png.json").read_text()


def test_a_copied_image_that_changed_is_copied_again(tmp_path: Path) -> None:
    source = write_yolo(tmp_path / "src", a=CAR)
    run("import", "yolo", source, tmp_path / "d", "--copy")
    image = source / "images" / "a.png"
    old = image.stat()
    content = bytearray(image.read_bytes())
    content[-6] ^= 1
    image.unlink()  # the new file may have the old one's inode
    image.write_bytes(content)
    os.utime(image, ns=(old.st_atime_ns, old.st_mtime_ns))
    run("import", "yolo", source, tmp_path / "d", "--copy")
    (item,) = Project.open(tmp_path / "d").items
    assert item.image_path.read_bytes() == bytes(content)


def test_an_import_that_fails_later_leaves_the_project_as_it_was(tmp_path: Path) -> None:
    source = write_yolo(tmp_path / "src", a=CAR)
    run("import", "yolo", source, tmp_path / "d")
    (source / "images").rename(tmp_path / "unplugged")
    assert run("import", "yolo", source, tmp_path / "d").exit_code == 2
    (tmp_path / "unplugged").rename(source / "images")
    done = run("import", "yolo", source, tmp_path / "d")
    assert done.exit_code == 0 and "(1 was there)" in done.stdout, done.output


def test_an_edit_comes_back_with_its_image_and_no_edit_is_overwritten(tmp_path: Path) -> None:
    source = write_yolo(tmp_path / "src", a=CAR, b=CAR)
    run("import", "yolo", source, tmp_path / "d")
    (item, _) = Project.open(tmp_path / "d").items
    item.annotation_path.write_text(item.annotation_path.read_text().replace('"car"', '"bus"'))
    for _ in range(2):
        (source / "images" / "a.png").rename(tmp_path / "away.png")
        run("import", "yolo", source, tmp_path / "d")
        assert titles(tmp_path / "d") == {"b.png": ["car"]}
        (tmp_path / "away.png").rename(source / "images" / "a.png")
        done = run("import", "yolo", source, tmp_path / "d")
        assert titles(tmp_path / "d") == {"a.png": ["bus"], "b.png": ["car"]} and "kept" in done.stderr


def test_classes_of_a_kept_item_that_is_gone_from_the_source_stay_known(tmp_path: Path) -> None:
    source = write_yolo(tmp_path / "src", a=CAR, b=BUS)
    run("import", "yolo", source, tmp_path / "d")
    item = Project.open(tmp_path / "d").items[1]
    item.annotation_path.write_text(item.annotation_path.read_text().replace('"bus"', '"tram"'))
    item.image_path.unlink()
    picture(item.image_path)
    (source / "images" / "b.png").unlink()
    (source / "labels" / "b.txt").unlink()
    run("import", "yolo", source, tmp_path / "d")
    assert Project.open(tmp_path / "d").titles == ["car", "bus", "tram"]
    assert titles(tmp_path / "d") == {"a.png": ["car"], "b.png": ["tram"]}


def test_a_broken_entry_takes_nothing_from_a_good_one_of_the_same_image(tmp_path: Path) -> None:
    source = tmp_path / "src"
    picture(source / "x.png")
    for name, size in {"one": 1, "two": 60}.items():
        image = {"id": 1, "file_name": "x.png", "height": size, "width": 80}
        box = {"id": 1, "image_id": 1, "category_id": 1, "bbox": [1, 1, 5, 5]}
        content = {"images": [image], "annotations": [box], "categories": [{"id": 1, "name": name}]}
        (source / f"{name}.json").write_text(json.dumps(content))
    for _ in range(2):
        done = run("import", "coco", source, tmp_path / "d")
        assert titles(tmp_path / "d") == {"x.png": ["two"]} and "Imported 1 image" in done.stdout


def test_an_image_that_two_entries_name_is_one_item_with_the_objects_of_both(tmp_path: Path) -> None:
    source = write_via(tmp_path / "src", [SQUARE])
    entries = json.loads((source / "via.json").read_text())
    (entry,) = entries.values()
    entries["b"] = {**entry, "regions": [{**SQUARE, "region_attributes": {"class": "drop"}}, SQUARE]}
    (source / "via.json").write_text(json.dumps(entries))
    for _ in range(2):
        done = run("import", "via", source, tmp_path / "d")
        assert "a.png is named twice" in done.stderr
        assert titles(tmp_path / "d") == {"a.png": ["object", "drop"]}
