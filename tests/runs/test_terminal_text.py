"""What runs and programs have written cannot command the terminal of whoever looks at it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from as_user import Raven

from ravenml.common.formatting import terminal_safe
from ravenml.runs.events import read_event
from ravenml.runs.progress import RunProgress
from ravenml.runs.views import epoch_line, event_line, live_line

ATTACKS = [
    "\x1b[2J\x1b[H", "\x1b[31mred\x1b[0m", "\x1b]0;a title\x07", "\x1b]52;c;cm0gLXJm\x1b\\", "\x1bc",
    "\x1b(0", "\x1b]0;no end", "\x9b2J", "\x9d0;a title\x9c", "\x1bP+q544e\x1b\\", "\x08\x08", "a\rb",
    "\x07", "\x00", "\x7f", "\u202etxt.exe", "\u2066x\u2069", "\u200bhidden", "\u2028line", "\ud800",
    "\U000e0041",
]  # fmt: skip
ID = "20260101-000000-aaaaaa"


def is_harmless(text: str) -> bool:
    return all(one.isprintable() or one in "\n\t" for one in text)


@pytest.mark.parametrize("attack", ATTACKS)
def test_what_a_terminal_obeys_is_left_out_or_shown_in_letters(attack: str) -> None:
    shown = terminal_safe(f"before {attack} after")
    assert is_harmless(shown) and shown.startswith("before ") and shown.endswith(" after")


def test_text_stays_as_it_is() -> None:
    text = "Übermaß\t日本語 e\u0301 👩\u200d👧 100 %"
    assert terminal_safe(text) == text
    assert terminal_safe("two\nlines") == "two\\nlines"
    assert terminal_safe("two\nlines", newlines=True) == "two\nlines"
    assert terminal_safe("\x1b\x1b[1m[2J") == "\\x1b[2J"  # what is left is not another sequence


@pytest.fixture
def runs(home: Path) -> Path:
    attack = "".join(ATTACKS)
    record = {
        "v": 1, "id": ID, "plugin": attack, "name": attack, "project": attack, "tags": [attack],
        "created": attack, "attempts": [], "process": {"host": "elsewhere"}, "folder": attack,
        "command": ["raven", "train", attack, "it's", "$HOME"], "config": {"plugin": {attack: attack}},
        "dataset": {"name": attack, "path": attack, "images": 1}, "resume": attack,
        "result": {
            "status": "failed", "error": f"{attack}\nStatus:      completed",
            "metrics": {f"val/{attack}": 0.5},
        },
    }  # fmt: skip
    for run in (ID, "20260102-000000-bbbbbb", "20260103-000000-cccccc"):
        folder = home / "runs" / run
        folder.mkdir(parents=True)
        fields = {"id": run} | ({"plugin": [attack]} if "c" in run else {})
        (folder / "run.json").write_text(json.dumps(record | fields))
        (folder / "notes.json").write_text(json.dumps({"tags": [attack], "note": attack}))
        (folder / "summary.json").write_text(
            json.dumps(
                {"folds": [{"fold": 0}], "mean": {attack: 0.5}, "std": {}, "out_of_fold_missing": attack}
            )
        )
        event = {"event_type": "EventType.METRICS", "type": attack, "epoch": 1, "metrics": {attack: 1.0}}
        (folder / "events.jsonl").write_text(json.dumps(event | {"step": 1}) + "\n")
        (folder / "console.log").write_bytes(attack.encode(errors="replace") + b"\xff\n\x9b2J\n")
    return home / "runs"


@pytest.mark.parametrize(
    "command",
    [
        ["list"],
        ["list", "--where", "plugin~x"],
        ["show", ID],
        ["show", "20260103"],
        ["logs", ID],
        ["compare", ID, "20260102"],
        ["tag", ID],
        ["note", ID],
        ["tag", "20260103", "x"],
        ["clone", ID, "--dry-run"],
        ["resume", ID],
    ],
)
def test_no_command_prints_what_a_terminal_would_obey(raven: Raven, runs: Path, command: list[str]) -> None:
    done = raven("runs", *command)
    assert is_harmless(done.stdout) and is_harmless(done.stderr)


def test_a_value_of_several_lines_cannot_pass_for_a_fact_of_its_own(raven: Raven, runs: Path) -> None:
    shown = raven.ok("runs", "show", ID).splitlines()
    assert [line for line in shown if line.startswith("Status:")] == ["Status:      failed"]


def test_the_command_is_quoted_for_a_shell(raven: Raven, runs: Path) -> None:
    (command,) = [line for line in raven.ok("runs", "show", ID).splitlines() if line.startswith("Command:")]
    assert command.endswith("""'it'"'"'s' '$HOME'""")


def test_raw_logs_are_every_byte(raven: Raven, runs: Path) -> None:
    (runs / ID / "folds" / "0").mkdir(parents=True)
    (runs / ID / "folds" / "0" / "console.log").write_bytes(b"\x1b[1mfold\r")
    expected = (runs / ID / "console.log").read_bytes() + b"\x1b[1mfold\r"
    command = [sys.executable, "-m", "ravenml", "runs", "logs", ID, "--raw"]
    for more, printed in ((["-n", "1"], b"\x9b2J\n\x1b[1mfold\r"), ([], expected)):
        done = subprocess.run([*command, *more], env=raven.env(), cwd=raven.cwd, capture_output=True)
        assert done.stdout == printed


def test_the_progress_of_a_hostile_program_is_harmless(tmp_path: Path) -> None:
    attack = "".join(ATTACKS)
    events = [
        {"event_type": "EventType.PROGRESS", "subtask": attack, "current": 1, "total": 2},
        {"event_type": "EventType.METRICS", "type": "val", "epoch": 1, "metrics": {attack: attack}},
    ]
    (tmp_path / "events.jsonl").write_text("".join(json.dumps(one) + "\n" for one in events))
    run = RunProgress("", tmp_path, from_start=True)
    list(run.read())
    text = read_event({"event_type": "EventType.TEXT", "message": attack})
    for line in (live_line(run, 200), epoch_line(run), event_line(run, text)):
        assert is_harmless(line)
