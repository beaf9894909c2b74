"""Where things lie in a run's folder, and how runs are named and found."""

from __future__ import annotations

import os
from pathlib import Path

from ravenml.config.home import runs_dir
from ravenml.errors import InputError
from ravenml.store.ids import new_id

__all__ = ["find_run", "fold_folders", "new_id", "new_run_id", "run_ids"]

RUN_JSON = "run.json"
EVENTS = "events.jsonl"
CONSOLE = "console.log"
LOCK = "run.lock"
CONTROL = "control.json"
HEARTBEAT = "heartbeat.json"  # of a run elsewhere: what was last heard of it, and when
RUN_ID = "RAVENML_RUN_ID"  # in the environment of a run that was sent here: the id that it has already
RUN_VARIABLE = "RAVENML_RUN"  # in the environment of a program that `raven run` runs: the run's folder
NOTES = "notes.json"
SUMMARY = "summary.json"
SCORES = "scores.npz"
EVALUATION = "evaluation.json"
CHECKPOINTS = "checkpoints"
INFO = "info"
PREVIEWS = "previews"
ARTIFACTS = "artifacts"
FOLDS = "folds"
MODEL_STATE = "model-state.tar"
METADATA = "metadata.json"
TRAIN_ARGS = f"{CHECKPOINTS}/train_args.json"


def new_run_id() -> str:
    """The id of the run that is about to begin: a new one, or the one that whoever sent it here has given."""
    return os.environ.pop(RUN_ID, "") or new_id()


def run_ids() -> list[str]:
    """The runs of this home, oldest first."""
    folder = runs_dir()
    if not folder.is_dir():
        return []
    # A name with a dot is a run that is just being begun, imported or removed.
    # One that cannot be printed, or written as JSON, was not given by ravenML.
    names = [name for name in os.listdir(folder) if not name.startswith(".") and name.isprintable()]
    return sorted(name for name in names if os.path.isfile(f"{folder}/{name}/{RUN_JSON}"))


def fold_folders(folder: Path) -> list[Path]:
    """The folders of a k-fold run's folds, in order; none of any other run."""
    found = [path for path in (folder / FOLDS).glob("*") if path.name.isdecimal() and path.name.isascii()]
    return sorted((path for path in found if path.is_dir()), key=lambda path: (len(path.name), path.name))


def find_run(prefix: str | None) -> Path:
    """The folder of the run that ``prefix`` names; without one, the newest run's.

    Raises:
        InputError: no run, or more than one, begins like that.
    """
    known = run_ids()
    if not known:
        raise InputError(f"There are no runs in {runs_dir()} yet; `raven train` makes one{_elsewhere()}.")
    if prefix is None:
        return runs_dir() / known[-1]
    matches = [name for name in known if name.startswith(prefix)]
    if prefix in matches:
        matches = [prefix]
    if not matches:
        raise InputError(f"No run begins with {prefix!r}; `raven runs list` shows them{_elsewhere()}.")
    if len(matches) > 1:
        raise InputError(
            f"{len(matches)} runs begin with {prefix!r}: {', '.join(matches[:5])}; give more letters."
        )
    return runs_dir() / matches[0]


def _elsewhere() -> str:
    """Where else a run may be, if this machine knows of queues."""
    from ravenml.config.config import load_config

    return (
        ", `raven remote pull ID` fetches one that another machine submitted" if load_config().queues else ""
    )
