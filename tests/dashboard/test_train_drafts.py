"""A draft: what was chosen in the wizard, without a browser."""

from __future__ import annotations

import json
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import yaml
from as_user import Raven, wait_for

from ravenml.dashboard.train.draft import (
    SplitOptions,
    arguments,
    as_command,
    as_config,
    as_yaml,
    change_draft,
    list_drafts,
    new_draft,
    path_of,
    put,
    read_draft,
    remove_draft,
    value_at,
)
from ravenml.dashboard.train.draft_import import from_run, from_text, sparse
from ravenml.dashboard.train.launch import start
from ravenml.dashboard.train.wizard import find_problem, first_problem
from ravenml.errors import InputError


def test_a_draft_is_found_again_as_it_was_left() -> None:
    draft = new_draft(title="<b>mine</b>", plugin="learner")
    change_draft(draft.id, lambda d: put(d.settings, "input_size.width", 32))
    found = read_draft(draft.id)
    assert (found.title, found.settings) == ("<b>mine</b>", {"input_size": {"width": 32}})
    assert [one.id for one in list_drafts()] == [draft.id]
    remove_draft(draft.id)
    assert list_drafts() == [] and not path_of(draft.id).with_suffix(".yml").exists()


def test_what_two_browsers_choose_at_once_both_counts() -> None:
    draft = new_draft()
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda n: change_draft(draft.id, lambda d: d.settings.update({f"s{n}": n})), range(24)))
    assert read_draft(draft.id).settings == {f"s{n}": n for n in range(24)}


@pytest.mark.parametrize("draft_id", ["../config", "a/b", "", "x" * 65, "%2e"])
def test_no_other_file_can_be_named(draft_id: str) -> None:
    with pytest.raises(InputError, match="There is no draft"):
        path_of(draft_id)


def test_a_draft_of_a_newer_version_or_a_broken_one_hides_no_other(home: Path) -> None:
    good, bad = new_draft(), new_draft()
    path_of(bad.id).write_text(json.dumps({"v": 99}))
    assert [one.id for one in list_drafts()] == [good.id]
    with pytest.raises(InputError, match="newer ravenML"):
        read_draft(bad.id)


def test_drafts_may_be_read_by_their_owner_alone(home: Path) -> None:
    new_draft()
    assert os.stat(home / "drafts").st_mode & 0o077 == 0


def test_settings_are_put_and_taken_out_by_dotted_names() -> None:
    settings: dict[str, Any] = {"a": {"b": 1}}
    put(settings, "a.c", 2)
    assert value_at(settings, "a.c") == 2 and value_at(settings, "x.y", "none") == "none"
    put(settings, "a.b", None)
    put(settings, "a.c", None)
    assert settings == {}


WAYS = [
    (SplitOptions(way="percent", percent=50, seed=3), {"train": 6, "val": 6}),
    (SplitOptions(way="tags"), {"train": 9, "val": 3}),
    (SplitOptions(way="kfold", folds=2), None),
]


@pytest.mark.parametrize(("wish", "split"), WAYS)
def test_raven_train_takes_what_is_exported(
    raven: Raven, learner: Path, project: Path, wish: SplitOptions, split: dict[str, int] | None
) -> None:
    settings = {"lr": 0.5, "epochs": 1, "input_size": {"width": 32}}
    draft = new_draft(
        dataset=str(project), plugin="learner", split=wish, settings=settings, comments="why: <b>"
    )
    raven.ok(*arguments(draft))
    record = json.loads((raven.runs()[0] / "run.json").read_text())
    assert record["config"]["plugin"]["lr"] == 0.5 and record["config"]["metadata"]["comments"] == "why: <b>"
    assert record.get("split") == split
    assert (record["config"]["kfold"] is not None) == (wish.way == "kfold")
    again = from_run(raven.runs()[0])
    assert again["split"] == wish and again["plugin"] == "learner" and again["dataset"] == str(project)
    assert value_at(again["settings"], "input_size.width") == 32
    state = raven.runs()[0] / "info" / "ui_state.json"
    for text in (as_yaml(draft), state.read_text()):  # what was written can be opened
        opened = from_text(text, "a file")
        assert opened["split"] == wish and opened["plugin"] == "learner" and opened["comments"] == "why: <b>"
        assert opened["settings"]["lr"] == 0.5 and opened["dataset"] == str(project)
    raven.ok("train", "-c", state, "learner", "train")  # and be trained


def test_a_file_for_another_plugin_is_refused(raven: Raven, learner: Path, project: Path) -> None:
    file = raven.cwd / "other.yml"
    file.write_text(f"plugin_name: unet\ndataset: {project}\n")
    done = raven("train", "-c", file, "learner", "train")
    assert done.returncode == 2 and "`plugin_name` is unet, so its settings" in done.stderr


BOMB = "\n".join(
    [
        "plugin:",
        "  a0: &a0 [x, x, x, x, x, x, x, x]",
        *(f"  a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 8)}]" for n in range(1, 9)),
    ]
)
WRONG_FILES = [
    (BOMB, "has too many values"),
    ("plugin: &all [*all]", "has too many values"),
    ("a: [", "is not valid YAML in line 1"),
    ("just words", "contains no training settings"),
    ("epochs: 3", "epochs"),
    ("plugin_name: [unet]", "should be a plugin's name"),
    ("x" * ((1 << 18) + 1), "too large for a settings file"),
    ("[" * 100_000, "more than 100 deep in each other in line 1"),
]


@pytest.mark.parametrize(("text", "said"), WRONG_FILES, ids=lambda value: value[:20])
def test_a_file_that_is_none_is_refused_with_a_sentence(text: str, said: str) -> None:
    with pytest.raises(InputError) as refused:
        from_text(text, "mine.yml")
    assert said in str(refused.value) and "mine.yml" in str(refused.value)


def test_what_was_started_is_what_was_chosen_then(
    raven: Raven, learner: Path, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in raven.env().items():
        monkeypatch.setenv(name, value)
    draft = new_draft(dataset=str(project), plugin="learner", settings={"lr": 0.5, "epochs": 1})
    run_id = start(draft, "train")
    change_draft(draft.id, lambda d: put(d.settings, "lr", 0.1))
    remove_draft(draft.id)
    record = raven.home / "runs" / run_id / "run.json"
    wait_for(lambda: record.exists() and json.loads(record.read_text()).get("result"))
    told = json.loads(record.read_text())
    assert told["result"]["status"] == "completed" and told["config"]["plugin"]["lr"] == 0.5


def test_the_command_can_be_copied_and_the_file_says_only_what_was_chosen(home: Path) -> None:
    draft = new_draft(
        dataset="demo", plugin="learner", queue="gpu", preset="quick", split=SplitOptions(way="tags")
    )
    assert as_command(draft) == f"raven train --remote gpu -c {home}/drafts/{draft.id}.yml learner train"
    written = yaml.safe_load(path_of(draft.id).with_suffix(".yml").read_text())
    assert (
        written
        == as_config(draft)
        == {
            "plugin_name": "learner",
            "dataset": "demo",
            "split": {"tags": ["train", "val"]},
            "preset": "quick",
        }
    )


def test_a_clone_keeps_only_what_differs_from_the_defaults() -> None:
    form = {
        "fields": [
            {"name": "lr", "default": 0.1},
            {"name": "size.w", "default": 8},
            {"name": "k", "default": 1},
        ]
    }
    assert sparse({"lr": 0.1, "size": {"w": 16}, "k": 1, "unknown": 3}, form) == {"size": {"w": 16}}


FORM = {
    "fields": [
        {"name": "labels", "title": "Labels", "role": "classes"},
        {"name": "net", "title": "Network", "role": "architecture"},
        {"name": "lr", "title": "Learning rate", "role": None},
    ]
}


def test_each_step_says_what_it_needs_and_the_first_one_counts() -> None:
    draft = new_draft()
    assert find_problem("project", draft, None, None, None, {}) == "Choose a project."
    draft.settings = {"labels": []}
    assert find_problem("classes", draft, None, None, FORM, {}) == "Choose at least one class."
    wrong = {"net": "There is no such network", "lr": "Should be greater than 0", "": "Too much at once"}
    assert find_problem("model", draft, None, None, FORM, wrong) == "Network: There is no such network."
    assert (
        find_problem("settings", draft, None, None, FORM, wrong) == "Learning rate: Should be greater than 0."
    )
    said = {step: None for step in ("project", "split", "classes", "augment", "settings", "train")}
    assert first_problem("train", said | {"model": "no", "split": "no!"}) == "Split: no!"
    assert first_problem("split", said | {"model": "no"}) is None
