"""Ways to look at what the agent did."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
from as_user import Raven

from ravenml.runs.events import read_events


def only_run(raven: Raven) -> Path:
    """The one run that there is."""
    (run,) = raven.runs()
    return run


def record(run: Path) -> dict[str, Any]:
    """A run's ``run.json``."""
    return json.loads((run / "run.json").read_text())


def events(run: Path, kind: str | None = None) -> list[dict[str, Any]]:
    """A run's events, or those of one type."""
    found = [event.fields for event in read_events(run / "events.jsonl")]
    return [event for event in found if kind is None or event["event_type"] == f"EventType.{kind}"]


def tasks(raven: Raven) -> list[Path]:
    """The agent's folders of tasks."""
    folder = raven.home / "agent"
    return sorted(path.parent for path in folder.glob("*/task.json"))


def has_bwrap() -> bool:
    """Whether bubblewrap can make a sandbox here."""
    line = ["bwrap", "--ro-bind", "/", "/", "--unshare-pid", "--unshare-net", "--unshare-user-try", "true"]
    try:
        return subprocess.run(line, capture_output=True).returncode == 0
    except OSError:
        return False


needs_bwrap = pytest.mark.skipif(not has_bwrap(), reason="no bubblewrap here (apt install bubblewrap)")
