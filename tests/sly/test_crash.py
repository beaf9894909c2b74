"""What is said of a program that failed, from what it printed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ravenml.agent.crash import find_crash, spell_out

STACK = [
    "Traceback (most recent call last):",
    '  File "src/train.py", line 3, in <module>',
    "    load(path)",
    "    ~~~~^^^^^^",
    "ValueError: two classes are called road",
]


def run_folder(folder: Path, *events: dict[str, object], console: str = "") -> Path:
    """A run's folder with these events of its program and this console log."""
    (folder / "events.jsonl").write_text("".join(json.dumps(event) + "\n" for event in events))
    (folder / "console.log").write_text(console)
    return folder


def test_a_logged_stack_is_written_as_lines_and_other_lines_as_they_are() -> None:
    logged = {"message": "Sample skipped.", "level": "warning", "stack": STACK}
    assert spell_out(json.dumps(logged)) == "\n".join(["WARNING: Sample skipped.", *STACK])
    assert spell_out({"event_type": "EventType.TASK_CRASHED", **logged}) == spell_out(json.dumps(logged))
    for line in ["epoch 3", '{"message": "ready", "level": "info"}', '{"stack": ["cut off', '{"stack": 3}']:
        assert spell_out(line) == line
    assert spell_out({"event_type": "EventType.METRICS", "metrics": {"stack": 1.0}}) is None
    crash = {"event_type": "EventType.TASK_CRASHED", "message": "Crashed.", "exc_str": "no data"}
    assert spell_out(crash) == "CRITICAL: Crashed. no data"


def test_what_the_program_reported_comes_first(tmp_path: Path) -> None:
    crash = {"event_type": "EventType.TASK_CRASHED", "exc_str": "two classes", "stack": STACK}
    found = find_crash(run_folder(tmp_path, crash, console="Traceback (most recent call last):\nOSError"), 1)
    assert found is not None and found.stack == STACK
    assert found.exception == "ValueError: two classes are called road"


@pytest.mark.parametrize("after", ["", "Exception ignored in: <object>\n"])
def test_an_exception_that_nobody_caught_is_found_at_the_end_of_the_output(
    tmp_path: Path, after: str
) -> None:
    console = "\n".join(["epoch 1", *STACK]) + "\n" + after
    found = find_crash(run_folder(tmp_path, console=console), 1)
    assert found is not None and found.stack == STACK


def test_an_exception_of_several_lines_is_one_line_and_its_cause_is_not_taken_for_it(tmp_path: Path) -> None:
    stack = [*STACK[:-1], "KeyError: 'road'", "During handling of the above exception, another occurred:"]
    stack += [*STACK[:-1], "plugin.BadConfig: lr is missing", "  give it in the config"]
    crash = {"event_type": "EventType.TASK_CRASHED", "exc_str": "lr is missing", "stack": stack}
    found = find_crash(run_folder(tmp_path, crash), 1)
    assert found is not None and found.exception == "plugin.BadConfig: lr is missing give it in the config"


@pytest.mark.parametrize(
    ("console", "code"),
    [
        ("\n".join(STACK), 3),
        ("\n".join([*STACK, *(f"epoch {number}" for number in range(9))]), 1),
        ("no such option\n", 1),
        (STACK[0], 1),
    ],
    ids=["another exit code", "long ago", "no traceback", "cut off"],
)
def test_a_traceback_that_ended_nothing_is_not_the_reason(tmp_path: Path, console: str, code: int) -> None:
    assert find_crash(run_folder(tmp_path, console=console), code) is None


def test_a_program_that_reports_its_own_end_is_no_crash(tmp_path: Path) -> None:
    ended = {"event_type": "EventType.TASK_CRASHED", "status": "failed"}
    assert find_crash(run_folder(tmp_path, ended), 1) is None
