"""A training that is killed between its first record and its settings begins again in the same run."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from as_user import Raven

from ravenml.runs import layout

# SIGKILL at the moment at which the run's first folder besides its record would be made.
KILLS = """
import os, signal, sys
def die(event, arguments):
    if event == "os.mkdir" and os.environ.get("DIE") and str(arguments[0]).endswith(os.environ["DIE"]):
        os.kill(os.getpid(), signal.SIGKILL)
sys.addaudithook(die)
"""


@pytest.mark.parametrize(
    ("options", "moment"),
    [
        ((), "/checkpoints"),
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
