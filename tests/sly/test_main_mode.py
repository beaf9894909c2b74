"""The mode `main`: imports that make a project from a folder, and plugins of any other kind."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from as_user import Raven
from simple_project import write_simple_project
from sly_support import events, needs_bwrap, only_run, record, tasks

from ravenml.agent.main_input import import_config, split_input
from ravenml.agent.plugin_folder import KINDS, PluginFolder
from ravenml.agent.task_folder import make_task_folder, read_task_config
from ravenml.data.project import Project
from ravenml.errors import InputError

PLUGINS = Path(__file__).parent / "plugins"


@pytest.fixture
def importing(tmp_path: Path) -> Path:
    """The import that was written from the contract alone."""
    return Path(shutil.copytree(PLUGINS / "importing", tmp_path / "importing"))


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """A folder to import: a picture, another one deeper, and one that is a link."""
    folder = tmp_path / "holiday"
    (folder / "deep").mkdir(parents=True)
    for number, place in enumerate([folder / "a.png", folder / "deep" / "b.png", tmp_path / "c.png"]):
        cv2.imwrite(str(place), np.full((6, 8, 3), number, np.uint8))
    (folder / "c.png").symlink_to(tmp_path / "c.png")
    (folder / "gone.png").symlink_to(tmp_path / "gone.png")
    return folder


def make(plugin: Path, kind: str) -> PluginFolder:
    """A plugin of a kind whose program is src/main.py."""
    (plugin / "src").mkdir(parents=True)
    (plugin / "src" / "main.py").write_text("")
    info = {"title": "Any", "description": "", "type": kind}
    (plugin / "plugin_info.json").write_text(json.dumps(info))
    return PluginFolder.open(plugin)


@needs_bwrap
def test_an_import_makes_a_project_that_is_trained_on(raven: Raven, importing: Path, pictures: Path) -> None:
    before = {path: path.lstat().st_mtime_ns for path in pictures.rglob("*")}
    said = raven.ok("agent", "run", importing, "--mode", "main", "--data", pictures)
    run = only_run(raven)
    made = run / "artifacts" / "holiday"
    assert f"Project:   {made}" in said
    project = Project.open(made)
    assert project.titles == ["thing"] and [item.name for item in project.items] == [
        "a.png",
        "b.png",
        "c.png",
    ]
    assert {project.annotation(item).objects[0].class_title for item in project.items} == {"thing"}
    assert [event["message"] for event in events(run, "IMPORT_APPLIED")] == ["import finished"]
    kept = record(run)
    assert kept["mode"] == "main" and kept["result"]["status"] == "completed"
    assert kept["config"]["options"] == {"class": "thing"}, "the predefined config of the type import"
    assert {path: path.lstat().st_mtime_ns for path in pictures.rglob("*")} == before
    assert tasks(raven) == []


@pytest.mark.parametrize("kind", KINDS)
def test_every_type_of_the_contract_is_a_plugin(tmp_path: Path, kind: str) -> None:
    assert make(tmp_path / "any", kind).modes == ["main"]


def test_the_options_of_an_import_stand_where_it_looks_for_them(tmp_path: Path) -> None:
    plugin = make(tmp_path / "any", "import")

    def found(config: dict[str, Any]) -> dict[str, Any]:
        return import_config(plugin, config, ["/data/holiday/"])

    assert found({"normalize_exif": True}) == {
        "append_to_existing_project": False,
        "preset": "",
        "options": {"normalize_exif": True},
        "res_names": {"project": "holiday"},
    }
    complete = {"options": {"a": 1}, "res_names": {"project": "mine"}, "preset": "images"}
    assert found(complete) == {"append_to_existing_project": False, **complete}
    for wrong in ({"options": 3}, {"res_names": {"project": "../x"}}, {"res_names": {"project": 3}}):
        with pytest.raises(InputError):
            found(wrong)
    assert import_config(make(tmp_path / "other", "custom"), {"a": 1}, ["x"]) == {"a": 1}


def test_other_plugins_get_projects_by_name_or_one_folder(tmp_path: Path, pictures: Path) -> None:
    plugin = make(tmp_path / "any", "custom")
    truth, predicted = tmp_path / "truth", tmp_path / "predicted"
    for project in (truth, predicted):
        write_simple_project(project, images=2, val=1)
    task = make_task_folder(
        tmp_path / "task", plugin, "main", [str(truth), str(predicted)], None, {}, linked=True
    )
    assert {p.name: p.readlink() for p in (task.root / "data").iterdir()} == {
        "truth": truth,
        "predicted": predicted,
    }
    assert split_input(plugin, [str(pictures)]) == ({}, pictures) and split_input(plugin, []) == ({}, None)
    with pytest.raises(InputError, match="holiday is not a project"):
        split_input(plugin, [str(truth), str(pictures)])
    shutil.copytree(truth, tmp_path / "more" / "truth")
    with pytest.raises(InputError, match="two projects have the same name"):
        split_input(plugin, [str(truth), str(tmp_path / "more" / "truth")])


def test_the_first_config_of_any_type_but_a_mode_s_is_that_of_main(tmp_path: Path) -> None:
    plugin = tmp_path / "any"
    make(plugin, "custom")
    presets = [{"title": kind, "type": kind, "config": {"of": kind}} for kind in ("train", "custom", "main")]
    (plugin / "predefined_run_configs.json").write_text(json.dumps(presets))
    opened = PluginFolder.open(plugin)
    assert read_task_config(opened, "main", None, None) == {"of": "custom"}
    assert read_task_config(opened, "main", None, "main") == {"of": "main"}
    with pytest.raises(InputError, match="custom, main"):
        read_task_config(opened, "main", None, "train")


@pytest.mark.parametrize(
    ("data", "mend"),
    [([], "name it with --data"), (["FOLDER", "FOLDER"], "no other"), (["FILE"], "is a file")],
)
def test_an_import_says_what_it_takes(
    raven: Raven, importing: Path, pictures: Path, data: list[str], mend: str
) -> None:
    places = {"FOLDER": pictures, "FILE": pictures / "a.png"}
    options = [word for one in data for word in ("--data", places[one])]
    done = raven("agent", "run", importing, "--mode", "main", *options)
    assert done.returncode == 2 and mend in done.stderr and raven.runs() == [] == tasks(raven)
