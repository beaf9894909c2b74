"""A training needs objects on both sides of its split; what one side lacks is told."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from projects import write_project

from ravenml.data.problems import DataProblem
from ravenml.data.project import Project
from ravenml.data.split import Split
from ravenml.errors import InputError
from ravenml.toolkit.preflight import check_annotated

TITLES = ["__bg__", "blob", "ring", "box"]


def project(folder: Path, *keep: tuple[str, ...]) -> Project:
    """An image for each tuple, with objects of these classes."""
    write_project(folder, images=len(keep))
    for number, classes in enumerate(keep):
        path = annotation(folder, number)
        content = json.loads(path.read_text())
        content["objects"] = [one for one in content["objects"] if one["classTitle"] in classes]
        path.write_text(json.dumps(content))
    return Project.open(folder)


def annotation(folder: Path, number: int) -> Path:
    return folder / "scenes" / "ann" / f"scene_{number:03d}.png.json"


def divided(found: Project, train: int) -> Split:
    return Split(found.items[:train], found.items[train:])


def test_a_part_without_any_object_is_refused(tmp_path: Path) -> None:
    found = project(tmp_path, ("blob",), ("ring",), (), ())
    said = "none of the 2 images to validate with has an annotated object of blob, ring, box; annotate some"
    with pytest.raises(InputError, match=said):
        check_annotated(found, divided(found, 2), TITLES)
    with pytest.raises(InputError, match="the only image to validate with has no annotated object of blob"):
        check_annotated(found, divided(found, 3), TITLES)
    with pytest.raises(InputError, match="none of the 2 images to learn from has"):
        check_annotated(found, Split(found.items[2:], found.items[:2]), TITLES)


def test_objects_of_other_classes_do_not_count(tmp_path: Path) -> None:
    found = project(tmp_path, ("blob", "ring"), ("ring",))
    with pytest.raises(InputError, match="the only image to validate with has no annotated object of blob;"):
        check_annotated(found, divided(found, 1), ["__bg__", "blob"])


def test_objects_that_cannot_be_used_are_named(tmp_path: Path) -> None:
    found = project(tmp_path, ("blob",), ())
    point = {"classTitle": "blob", "geometryType": "graph", "points": {"exterior": [[1, 1]], "interior": []}}
    content = json.loads(annotation(tmp_path, 1).read_text()) | {"objects": [point, point]}
    annotation(tmp_path, 1).write_text(json.dumps(content))
    with pytest.raises(InputError, match=r"of blob, ring, box \(2 graph cannot be used\); annotate"):
        check_annotated(found, divided(found, 1), TITLES)


def test_a_broken_annotation_is_told_instead(tmp_path: Path) -> None:
    found = project(tmp_path, ("blob",), ("blob",))
    annotation(tmp_path, 1).write_text("{")
    with pytest.raises(DataProblem, match=r"scene_001\.png\.json"):
        check_annotated(found, divided(found, 1), TITLES)


def test_a_class_that_one_part_lacks_is_told(tmp_path: Path) -> None:
    found = project(tmp_path, ("blob", "ring"), ("blob", "box"))
    assert check_annotated(found, divided(found, 1), TITLES) == [
        "No image to learn from has an object of box, so it cannot be learned.",
        "No image to validate with has an object of ring, so its scores are not defined.",
    ]


def test_many_classes_that_one_part_lacks_are_one_sentence(tmp_path: Path) -> None:
    found = project(tmp_path, ("blob", "ring", "box"), ("blob",))
    meta = json.loads((tmp_path / "meta.json").read_text())
    extra = [f"c{number}" for number in range(40)]
    meta["classes"] += [{**meta["classes"][0], "title": title} for title in extra]
    (tmp_path / "meta.json").write_text(json.dumps(meta))
    content = json.loads(annotation(tmp_path, 0).read_text())
    content["objects"] += [{**content["objects"][0], "classTitle": title} for title in extra]
    annotation(tmp_path, 0).write_text(json.dumps(content))
    found = Project.open(tmp_path)
    assert check_annotated(found, divided(found, 1), [*TITLES, *extra]) == [
        "No image to validate with has an object of ring, box, c0 or 39 more classes, "
        "so their scores are not defined."
    ]


def test_without_any_class_that_is_what_is_said(tmp_path: Path) -> None:
    found = project(tmp_path, (), ())
    with pytest.raises(InputError, match=r"there is no class to train; add classes to its meta\.json"):
        check_annotated(found, divided(found, 1), ["__bg__"])


def test_a_fold_may_validate_without_objects_but_not_learn_without(tmp_path: Path) -> None:
    found = project(tmp_path, ("blob",), ())
    assert check_annotated(found, divided(found, 1), TITLES, fold=0) == [
        "No image to validate with has an object of blob, so its scores are not defined."
    ]
    with pytest.raises(InputError, match="the only image to learn from has no annotated object"):
        check_annotated(found, Split(found.items[1:], found.items[:1]), TITLES, fold=0)
