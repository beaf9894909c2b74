"""What an import says about what it left out, and when that is an error."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from other_formats import left_out, picture, run

GOOD, BAD, BAD_BUS = "0 0.5 0.5 0.2 0.2", "0 0.5 0.5 0 0.2", "1 0.5 0.5 0 0.2"


def write(root: Path, *lines: str, names: str = "[car, bus]") -> Path:
    picture(root / "images" / "a.png")
    (root / "labels").mkdir()
    (root / "labels" / "a.txt").write_text("\n".join(lines))
    (root / "data.yaml").write_text(f"names: {names}\n")
    return root


def test_an_import_that_loses_everything_fails(tmp_path: Path) -> None:
    done = run("import", "yolo", write(tmp_path / "src", BAD, BAD), tmp_path / "d")
    assert done.exit_code == 1 and "2 of 2 objects were left out" in done.stderr
    assert "Train on it" not in done.stdout


@pytest.mark.parametrize(
    ("lines", "code"),
    [([GOOD, BAD], 0), ([GOOD, BAD, BAD], 1), ([GOOD, GOOD, BAD_BUS], 1)],
)
def test_the_default_limit_is_half_of_the_objects_and_any_whole_class(
    tmp_path: Path, lines: list[str], code: int
) -> None:
    source = write(tmp_path / "src", *lines)
    assert run("import", "yolo", source, tmp_path / "d").exit_code == code
    assert run("import", "yolo", source, tmp_path / "d", "--max-lost", 1).exit_code == 0
    assert run("import", "yolo", source, tmp_path / "d", "--max-lost", 0).exit_code == 1


def test_the_objects_of_images_that_are_left_out_are_lost_too(tmp_path: Path) -> None:
    source = tmp_path / "src"
    picture(source / "a.png")
    images = [{"id": number, "file_name": f"{name}.png"} for number, name in enumerate("abc")]
    boxes = [
        {"id": number, "image_id": owner, "category_id": category, "bbox": [1, 1, 5, 5]}
        for number, (owner, category) in enumerate([(0, 1), (1, 1), (1, 2), (2, 2)])
    ]
    categories = [{"id": 1, "name": "car"}, {"id": 2, "name": "bus"}]
    content = {"images": images, "annotations": boxes, "categories": categories}
    (source / "a.json").write_text(json.dumps(content))
    done = run("import", "coco", source, tmp_path / "d", "--json")
    said = json.loads(done.stdout)
    assert done.exit_code == 1 and "3 of 4 objects were left out" in done.stderr
    assert said["images"]["left_out"] == 2 and said["objects"]["left_out"] == 3
    assert said["classes"]["bus"] == {"found": 2, "imported": 0, "left_out": 2}


def test_equal_problems_are_one_line_with_a_count_and_three_examples(tmp_path: Path) -> None:
    source = write(tmp_path / "src", *[BAD] * 5000, GOOD)
    (line,) = left_out(run("import", "yolo", source, tmp_path / "d"))
    assert line.startswith("Left out, 5,000 times: ") and "a.txt, line 1: the box has no area" in line
    assert line.endswith("Also: line 2; line 3 and 4,997 more.")


def test_the_balance_is_printed_as_json(tmp_path: Path) -> None:
    source = write(tmp_path / "src", GOOD, BAD, "1 0.5 0.5 0.1 0.1", "7 0.5 0.5 0.1 0.1")
    done = run("import", "auto", source, tmp_path / "d", "--json")
    said = json.loads(done.stdout)
    assert done.exit_code == 0 and said["format"] == "yolo" and said["project"] == str(tmp_path / "d")
    assert said["images"] == {"found": 1, "imported": 1, "left_out": 0, "unchanged": 0, "removed": 0}
    assert said["objects"] == {"found": 4, "imported": 2, "left_out": 2, "cut": 0}
    assert said["classes"]["car"] == {"found": 2, "imported": 1, "left_out": 1}
    reasons = {one["examples"][0]["field"]: one for one in said["left_out"]}
    assert reasons["line 2"]["objects"] == 1 and "no area" in reasons["line 2"]["problem"]
    assert reasons["line 4"]["count"] == 1


def test_an_import_without_any_object_says_so(tmp_path: Path) -> None:
    done = run("import", "yolo", write(tmp_path / "src"), tmp_path / "d")
    assert done.exit_code == 0 and "not one image in" in done.stderr and "Train on it" not in done.stdout
