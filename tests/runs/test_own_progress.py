"""How the progress of a program looks that does not count epochs, but something of its own."""

from __future__ import annotations

import io
from pathlib import Path

from ravenml.runs.progress import RunProgress
from ravenml.runs.run import Run
from ravenml.runs.views import PlainView, live_line


def watched(folder: Path, steps: int) -> RunProgress:
    """A run whose program reports each of 100 steps, of which some are done, and a validation at the end."""
    run = Run.begin(folder / "run", "20260101-own", {})
    for step in range(1, steps + 1):
        subtask = {"event_type": "EventType.PROGRESS", "subtask": "Model training: ", "current": step}
        run.relay(subtask | {"total": 100})
        metrics = {"event_type": "EventType.METRICS", "type": "train", "metrics": {"loss": 0.5}}
        run.relay(metrics | {"epoch": step / 100})
    run.relay({"event_type": "EventType.METRICS", "type": "val", "epoch": 0.3, "metrics": {"accuracy": 0.7}})
    return RunProgress("", run.path, from_start=True)


def test_a_live_line_shows_the_subtask_that_was_spoken_of_last(tmp_path: Path) -> None:
    run = watched(tmp_path, 30)
    assert "starting" in live_line(run, 100)
    list(run.read())
    assert "Model training 30/100" in live_line(run, 100) and run.done() == 0.3


def test_a_pipe_gets_no_line_for_every_step(tmp_path: Path) -> None:
    run, stream = watched(tmp_path, 30), io.StringIO()
    view = PlainView(stream)
    for event in run.read():
        view.event(run, event, [run])
    lines = stream.getvalue().splitlines()
    assert len(lines) == 2 and "val/accuracy 0.7000" in lines[-1]
