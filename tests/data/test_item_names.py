"""File names that are not UTF-8, or have a line break: named with a mend, and renamed by an import."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from projects import encoded, write_project

from ravenml.cli.data import data
from ravenml.data.formats.conversion import import_project
from ravenml.data.inspection import inspect_project
from ravenml.data.item_names import usable_name, why_unusable
from ravenml.data.project import Project
from ravenml.errors import InputError
from ravenml.infer.inputs import open_inputs

LATIN, BROKEN = os.fsdecode(b"caf\xe9.png"), "new\nline.png"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project with two names that cannot be used, and two that can."""
    root = write_project(tmp_path / "p", images=4)
    for old, new in (("scene_000.png", LATIN), ("scene_001.png", BROKEN)):
        for folder, ending in (("img", ""), ("ann", ".json")):
            os.rename(
                root / "scenes" / folder / f"{old}{ending}", root / "scenes" / folder / f"{new}{ending}"
            )
    return root


def test_inspection_names_them_with_the_mend(project: Path) -> None:
    found = inspect_project(project)
    said = [str(problem) for problem in found.problems]
    assert len(said) == 2 and len(found.project.items) == 2
    assert "caf\\udce9.png: has a name that is not UTF-8; rename it and its annotation." in said[0]
    assert "new\\nline.png: has a control character in its name; rename it" in said[1]
    assert not any("\n" in line for line in said)


def test_every_command_refuses_them_in_the_same_words(project: Path, tmp_path: Path) -> None:
    said = "caf\\udce9.png: has a name that is not UTF-8; rename it and its annotation."
    with pytest.raises(InputError) as caught:
        Project.open(project)
    assert said in str(caught.value)
    assert said in str(open_inputs(str(project)).faults[0])
    runner = CliRunner()
    inspected = runner.invoke(data, ["inspect", "--json", str(project)])
    assert inspected.exit_code == 1 and len(json.loads(inspected.stdout)["faults"]) == 2
    for format in ("coco", "cvat", "labelme", "masks", "via", "voc", "yolo"):
        done = runner.invoke(data, ["export", format, str(project), str(tmp_path / format)])
        assert done.exit_code == 0 and said in done.stderr and "Exported 2 images" in done.stdout
    pushed = runner.invoke(data, ["push", str(project), "--store", str(tmp_path / "store")])
    assert pushed.exit_code != 0 and not isinstance(pushed.exception, UnicodeError)


def test_a_dataset_of_such_a_name_is_one_problem(tmp_path: Path) -> None:
    root = write_project(tmp_path / "p", images=2)
    write_project(root, images=2, dataset="good")
    os.rename(root / "scenes", root / os.fsdecode(b"sc\xe8ne"))
    found = inspect_project(root)
    assert [
        "sc\\udce8ne: has a name that is not UTF-8; rename it." in str(one) for one in found.problems
    ] == [True]
    assert found.project.datasets == ["good"]


def test_a_project_in_a_folder_of_such_a_name_is_refused(tmp_path: Path) -> None:
    root = write_project(tmp_path / os.fsdecode(b"\xe9") / "p", images=1)
    with pytest.raises(InputError, match=r"\\udce9/p: has a name that is not UTF-8; rename the folder\."):
        Project.open(root)


def test_an_import_gives_them_other_names_and_says_so(tmp_path: Path) -> None:
    source = tmp_path / "src"
    folder = source / os.fsdecode(b"\xfc")
    folder.mkdir(parents=True)
    (source / "data.yaml").write_text("names: [crate]\n")
    for name in (LATIN, BROKEN, "caf_.png", "plain.png"):
        (folder / name).write_bytes(encoded(np.zeros((8, 8, 3), np.uint8)))
        (folder / name).with_suffix(".txt").write_text("0 0.5 0.5 0.5 0.5\n")
    done = import_project(source, tmp_path / "out", "yolo")
    items = Project.open(done.root).items
    assert sorted(item.name for item in items) == ["caf_.png", "caf__2.png", "new_line.png", "plain.png"]
    assert {item.dataset for item in items} == {"_"} and done.objects == 4
    (said,) = done.notices
    assert (
        "caf\\udce9.png has a name that is not UTF-8, and is caf__2.png in the project, and 1 more." in said
    )
    again = import_project(source, tmp_path / "out", "yolo")
    assert (again.images, again.kept, again.removed) == (4, 4, 0)


def test_inference_on_a_folder_names_them(tmp_path: Path) -> None:
    for name in (LATIN, "a.png"):
        (tmp_path / name).write_bytes(encoded(np.zeros((8, 8, 3), np.uint8)))
    inputs = open_inputs(str(tmp_path))
    assert [one.name for one in inputs.pictures] == ["a.png"]
    assert "has a name that is not UTF-8; rename it." in str(inputs.faults[0])


@given(st.binary(max_size=12))
def test_a_usable_name_is_one_and_stays(raw: bytes) -> None:
    name = os.fsdecode(raw)
    made = usable_name(name)
    assert not why_unusable(made) and made.encode() and usable_name(made) == made if raw else made == ""
    assert made == name or why_unusable(name)
