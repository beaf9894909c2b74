"""A training that is killed before it has settings, or before its result is stored: the advice works."""

from __future__ import annotations

import json
import os
import shlex
from pathlib import Path

import pytest
from as_user import Raven

from ravenml.runs import layout

# SIGKILL at the moment at which a folder, or a complete file, of this name would be made.
KILLS = """
import os, re, signal, sys
def die(event, arguments):
    made = {"os.mkdir": 0, "os.rename": 1}.get(event)
    wanted = os.environ.get("DIE")
    if made is not None and wanted and re.search(f"{wanted}$", str(arguments[made])):
        os.kill(os.getpid(), signal.SIGKILL)
sys.addaudithook(die)
"""


@pytest.mark.parametrize(
    ("options", "moment"),
    [
        ((), "/checkpoints"),
        ((), "/val_set.json"),
        ((), "/train_set.json"),
        (("--lr", "0.5"), "/info"),
        (("--kfold", "--folds", "2", "--fold-seed", "7"), "/checkpoints"),
        (("--kfold", "--folds", "2", "--fold-seed", "7"), "/info"),
        (("--kfold", "--folds", "2", "--fold-seed", "7"), "/folds"),
        (("--kfold", "--folds", "2"), "/folds/0/checkpoints"),
        (("--kfold", "--folds", "2", "--fold", "1"), "/checkpoints"),
    ],
)
def test_the_advice_to_resume_works(
    raven: Raven, learner: Path, project: Path, options: tuple[str, ...], moment: str
) -> None:
    (raven.site / "sitecustomize.py").write_text(KILLS)
    arguments = ["train", "--dataset", project, "learner", "train", *options]
    killed = raven(*arguments, fork=False, DIE=moment)
    (run,) = raven.runs()
    in_a_fold = moment.startswith("/folds/")
    assert killed.returncode == (1 if in_a_fold else -9)
    assert in_a_fold or moment != "/checkpoints" or not (run / layout.TRAIN_ARGS).exists()
    shown = raven.ok("runs", "show")
    assert f"Status:      {'failed' if in_a_fold else 'lost'}" in shown
    (advice,) = [line for line in shown.splitlines() if line.startswith("Resume with:")]
    raven.ok(*advice.split("raven ", 1)[1].split())
    assert raven.runs() == [run]
    record = json.loads((run / layout.RUN_JSON).read_text())
    assert record["result"]["status"] == "completed" and len(record["attempts"]) == 2
    assert not list(run.rglob(".*.tmp"))

    raven.ok(*arguments)  # what would have come of it
    again = raven.runs()[1]
    for name in (layout.TRAIN_ARGS, "info/folds.json", "info/train_set.json"):
        if (again / name).exists():
            assert json.loads((run / name).read_text()) == json.loads((again / name).read_text())
    assert (
        record["result"]["metrics"] == json.loads((again / layout.RUN_JSON).read_text())["result"]["metrics"]
    )


@pytest.mark.parametrize("moment", [r"/\.beginning-[^/]*", "/run.json", "/runs/[0-9][^/.]*"])
def test_one_that_is_killed_before_it_has_a_record_is_no_run(
    raven: Raven, learner: Path, project: Path, moment: str
) -> None:
    (raven.site / "sitecustomize.py").write_text(KILLS)
    arguments = ["train", "--dataset", project, "learner", "train"]
    assert raven(*arguments, fork=False, DIE=moment).returncode == -9
    assert raven.runs() == [] and "There are no runs" in raven("runs", "show").stderr
    raven.ok(*arguments)
    (run,) = raven.runs()
    assert run.name in raven.ok("runs", "list")
    left = [path for path in run.parent.iterdir() if path != run]
    assert len(left) == (moment != r"/\.beginning-[^/]*")
    for path in left:
        os.utime(path, (0, 0))
    raven.ok("runs", "rm", "--yes", run.name)
    assert list(run.parent.iterdir()) == []


@pytest.mark.parametrize("local", [True, False], ids=["folder", "store"])
def test_one_that_is_killed_before_its_result_is_stored_says_how_to_store_it(
    raven: Raven, learner: Path, project: Path, tmp_path: Path, local: bool
) -> None:
    (raven.site / "sitecustomize.py").write_text(KILLS)
    stored = tmp_path / "my results"
    options = ["--local", stored] if local else []
    arguments = ["train", "--dataset", project, "learner", "train", *options]
    moment = "/my results/metadata.json" if local else r"/store/models/[^/]*"
    assert raven(*arguments, fork=False, DIE=moment).returncode == -9
    shown = raven.ok("runs", "show")
    assert "Status:      completed" in shown and "Stored:      no" in shown
    (advice,) = [line for line in shown.splitlines() if line.startswith("Store with:")]
    raven.ok(*shlex.split(advice)[3:])
    assert "Store with" not in raven.ok("runs", "show")
    assert not local or (stored / "metadata.json").exists()
