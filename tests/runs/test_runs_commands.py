"""`raven runs`: listing and showing, for people and for scripts."""

from __future__ import annotations

import json
import time
from pathlib import Path

from as_user import Raven


def test_runs_are_listed_newest_first_and_shown_by_any_beginning(
    raven: Raven, learner: Path, project: Path
) -> None:
    raven.ok("train", "--dataset", project, "learner", "train")
    time.sleep(1)  # IDs sort by the second
    raven.ok("train", "--dataset", project, "learner", "train", "--folds", "2")
    lines = raven.ok("runs", "list").splitlines()
    assert lines[0].split("\t")[:4] == ["RUN", "STATUS", "WHAT", "DATASET"]
    first, second = raven.runs()
    assert [line.split("\t")[0] for line in lines[1:]] == [second.name, first.name]
    shown = raven.ok("runs", "show", first.name[:20])
    assert "completed" in shown and "9 train, 3 val" in shown and "val/miou" in shown
    folds = raven.ok("runs", "show", second.name)
    assert "2 folds of 12 images" in folds and "out of fold" in folds


def test_json_is_for_scripts(raven: Raven, learner: Path, project: Path) -> None:
    assert json.loads(raven.ok("runs", "list", "--json")) == []
    raven.ok("train", "--dataset", project, "learner", "train", "--folds", "2")
    (run,) = raven.runs()
    assert json.loads(raven.ok("runs", "list", "--json"))[0]["id"] == run.name
    shown = json.loads(raven.ok("runs", "show", "--json"))
    assert shown["status"] == "completed" and shown["summary"]["out_of_fold_images"] == 12


def test_no_runs_is_no_error_but_showing_one_is(raven: Raven) -> None:
    assert raven("runs", "list").returncode == 0
    done = raven("runs", "show")
    assert done.returncode == 2 and "`raven train` makes one" in done.stderr
