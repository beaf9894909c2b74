"""Start, pause, stop and resume a training, each by a command that outlives the dashboard."""

from __future__ import annotations

from pathlib import Path

from ravenml.common.io import write_bytes, write_json
from ravenml.config.home import runs_dir
from ravenml.dashboard import processes
from ravenml.dashboard.train.draft import Draft, arguments, as_yaml, change_draft, drafts_dir
from ravenml.errors import InputError, RavenError
from ravenml.runs import layout
from ravenml.runs.record import UNDER_WAY, read_record, status
from ravenml.runs.replay import Replay
from ravenml.store.ids import new_id

GRACE = 60.0  # seconds that a training which looks for requests has to stop by itself


def start(draft: Draft, command: str) -> str:
    """Start a draft's training in a process of its own.

    Args:
        command: the plugin's training command.

    Returns:
        The id that its run will have.

    Raises:
        RavenError: the log, or the file beside it, cannot be written.
    """
    run_id = new_id()
    # A file of its own: the process reads it seconds later, when the draft may have changed or be gone.
    config = log_of(run_id).with_suffix(".yml")
    write_bytes(config, as_yaml(draft).encode())
    replay = Replay(arguments(draft, command, config), None, {layout.RUN_ID: run_id})
    processes.start(replay.arguments, log_of(run_id), replay.full_environment(draft.plugin))

    def note(kept: Draft) -> None:
        kept.runs.append(run_id)
        kept.step = "train"  # whoever comes back wants to see it

    change_draft(draft.id, note)
    return run_id


def log_of(run_id: str) -> Path:
    """What the command printed, which is all there is if no run came of it."""
    return drafts_dir() / "logs" / f"{run_id}.log"


def looks_for_requests(folder: Path) -> bool:
    """Whether a run is under way whose plugin looks for requests (of folds: those of the first one)."""
    try:
        record = read_record(folder)
        if status(folder, record) not in UNDER_WAY:
            return False
        first = folder / layout.FOLDS / "0" / layout.RUN_JSON
        return bool((read_record(first.parent) if first.exists() else record).get("polls"))
    except RavenError:
        return False


def pause(run_id: str) -> None:
    """Ask a training to save what resuming needs and to end.

    Raises:
        InputError: it is not under way, or its plugin never looks for requests.
    """
    folder = runs_dir() / run_id
    if not looks_for_requests(folder):
        raise InputError(f"The plugin of {run_id} cannot be paused; stop it instead.")
    write_json(folder / layout.CONTROL, {"request": "pause"})


def stop(run_id: str) -> None:
    """``raven runs stop --kill``, in a process of its own."""
    folder = runs_dir() / run_id
    grace = GRACE if looks_for_requests(folder) else 1.0
    processes.start(["runs", "stop", run_id, "--kill", "--grace", f"{grace:g}"], log_of(run_id))
