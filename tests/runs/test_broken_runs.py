"""Whatever is wrong in one run's folder is that run's status and error; all other runs are listed."""

from __future__ import annotations

import json
import random
import shutil
from pathlib import Path
from typing import Any

import pytest
from as_user import Raven

from ravenml.runs import layout
from ravenml.runs.index import Index, list_rows
from ravenml.runs.info import list_runs

RECORD = {
    "v": 1, "id": "20260101-000000-aaaaaa", "plugin": "net", "kind": "train", "name": None, "project": "p",
    "created": "2026-01-01T00:00:00.000Z", "attempts": [{"started": "2026-01-01T00:00:00.000Z"}],
    "process": {"host": "elsewhere", "pid": 1}, "dataset": {"name": "meadows"}, "kfold": {"folds": 2},
    "config": {"jobs": 1, "plugin": {"lr": 0.1, "size": {"width": 8}}}, "tags": ["good"],
    "result": {"status": "completed", "finished": "2026-01-01T00:01:00.000Z", "metrics": {"val/miou": 0.5}},
}  # fmt: skip
NOTES = {"v": 1, "tags": ["seen"], "note": "fine"}
EVENTS = [
    {"event_type": "EventType.METRICS", "type": "val", "epoch": 1, "metrics": {"miou": 0.2}, "step": 3},
    {"event_type": "EventType.RESUMED", "step": 2, "attempt": 2, "epoch": 1},
    {"event_type": "EventType.PROGRESS", "subtask": "Epoch", "current": 1, "total": 2},
]
HEARTBEAT = {"state": "running", "at": 1.0, "waits_for": None, "begun": True}
WRONG: list[Any] = [
    None, True, -1, 0, 2**64, -(10**400), 1e308, float("nan"), float("inf"), "", "\ud800", "x" * 5000,
    "\x1b[2J", [], [[]], ["\ud800", 2**70], {}, {"": {}}, {"\ud800": "\ud800"}, {"status": None}, {"name": 3},
]  # fmt: skip


def write_run(runs: Path, name: str, **files: object) -> Path:
    """A run's folder with these files: a value as JSON, bytes as they are, None for a folder."""
    folder = runs / name
    folder.mkdir(parents=True)
    for file, content in files.items():
        path = folder / file.replace("__", ".")
        if content is None:
            path.mkdir()
        elif isinstance(content, bytes):
            path.write_bytes(content)
        elif isinstance(content, list):
            path.write_text("".join(json.dumps(line) + "\n" for line in content))
        else:
            path.write_text(json.dumps(content))
    return folder


@pytest.fixture
def runs(home: Path) -> Path:
    """The folder of runs, with a good one in it."""
    write_run(home / "runs", "20260101-000000-aaaaaa", run__json=RECORD, notes__json=NOTES)
    return home / "runs"


def unfinished(**fields: object) -> dict[str, object]:
    return {**{name: value for name, value in RECORD.items() if name != "result"}, **fields}


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ({"run__json": b"{"}, "not valid JSON"),
        ({"run__json": b"\xff{}"}, "not UTF-8"),
        ({"run__json": b"[" * 200_000}, "more than 100 deep in each other"),
        ({"run__json": b'{"v": ' + b"9" * 5000 + b"}"}, "a number of 5000 digits"),
        ({"run__json": b"[]"}, "holds [], not an object"),
        ({"run__json": RECORD | {"process": 3}}, "`process` is 3, not an object"),
        ({"run__json": RECORD | {"process": None}}, "`process` is missing"),
        ({"run__json": RECORD | {"v": "new"}}, "`v` is 'new', not a whole number"),
        ({"run__json": RECORD | {"id": "../x"}}, "`id` is '../x', not the ID of a run"),
        ({"run__json": RECORD | {"fold": 2**70}}, "`fold` is 1.1805916207174113e+21, not a whole number"),
        ({"run__json": RECORD | {"plugin": ["net"]}}, "`plugin` is ['net'], not a text"),
        ({"run__json": RECORD | {"command": "raven"}}, "`command` is 'raven', not a list"),
        ({"run__json": RECORD | {"attempts": [{"started": 3}]}}, "`attempts[0].started` is 3, not a text"),
        ({"run__json": RECORD | {"result": "completed"}}, "`result` is 'completed', not an object"),
        ({"run__json": RECORD | {"result": {"status": "good"}}}, "`result.status` is 'good', not one of"),
        ({"run__json": RECORD | {"tags": [1]}}, "`tags[0]` is 1, not a text"),
        ({"run__json": RECORD | {"config": {"plugin": 5}}}, "`config.plugin` is 5, not an object"),
        ({"run__json": unfinished(), "events__jsonl": None}, "events.jsonl"),
        (
            {"run__json": unfinished(), "heartbeat__json": {"state": "running", "at": "soon"}},
            "`at` is 'soon'",
        ),
        ({"run__json": unfinished(), "heartbeat__json": b"{"}, "heartbeat.json is not valid JSON"),
    ],
)
def test_a_broken_run_says_what_is_wrong_and_hides_no_other(
    raven: Raven, runs: Path, files: dict[str, object], said: str
) -> None:
    write_run(runs, "20260102-000000-bbbbbb", **files)
    for _ in range(2):  # first from the folder, then from the cache
        broken, good = list_rows()
        assert broken["status"] == "broken" and said in broken["error"]
        assert good["status"] == "completed" and good["metrics"] == {"val/miou": 0.5}
    listed = raven("runs", "list")
    assert listed.returncode == 0 and "broken" in listed.stdout and "meadows" in listed.stdout
    assert f"{broken['id']} is broken: " in listed.stderr and said in listed.stderr
    shown = raven.ok("runs", "show", "20260102")
    assert "Status:      broken" in shown and f"Why:         {broken['error']}" in shown
    assert json.loads(raven.ok("runs", "show", "20260102", "--json"))["error"] == broken["error"]
    (run,) = list_runs(status="broken")
    assert run.id == broken["id"] and run.error == broken["error"]
    assert [row["status"] for row in json.loads(raven.ok("runs", "list", "--json"))] == [
        "broken",
        "completed",
    ]


@pytest.mark.parametrize(
    ("notes", "said"),
    [
        ({"tags": [["x"]]}, "`tags[0]` is ['x'], not a text"),
        ({"tags": [1]}, "`tags[0]` is 1, not a text"),
        ({"note": 3}, "`note` is 3, not a text"),
        ({"v": "new"}, "`v` is 'new', not a whole number"),
        ({"v": 9}, "written by a newer ravenML"),
        ([1], "holds [1], not an object"),
    ],
)
def test_notes_that_are_none_are_left_as_they_are_and_cost_no_run(
    raven: Raven, runs: Path, notes: object, said: str
) -> None:
    file = runs / "20260101-000000-aaaaaa" / layout.NOTES
    file.write_text(json.dumps(notes))
    (row,) = list_rows()
    assert row["status"] == "completed" and said in row["note"]
    assert said in raven.ok("runs", "show", "20260101")
    done = raven("runs", "tag", "20260101", "good")
    assert done.returncode == 1 and said in done.stderr
    assert json.loads(file.read_text()) == notes


def test_what_is_null_is_as_if_it_was_not_there(raven: Raven, runs: Path) -> None:
    (runs / "20260101-000000-aaaaaa" / layout.NOTES).write_text('{"v": null, "tags": null, "note": null}')
    assert raven.ok("runs", "tag", "20260101") == "(no tags)\n"
    assert raven.ok("runs", "note", "20260101") == "(no note)\n"
    assert raven.ok("runs", "tag", "20260101", "good") == "good\n"


def test_a_run_is_listed_again_when_what_was_wrong_is_mended(runs: Path) -> None:
    folder = write_run(runs, "20260102-000000-bbbbbb", run__json=unfinished(), events__jsonl=None)
    index = Index()
    assert index.rows()[0]["status"] == "broken"
    (folder / layout.EVENTS).rmdir()
    assert index.rows()[0]["status"] == "lost"


def test_numbers_and_texts_that_json_or_a_terminal_cannot_take_are_replaced(raven: Raven, runs: Path) -> None:
    config = {"jobs": 2**64, "plugin": {"lr": 10**400, "\ud800": "\ud800"}}
    write_run(runs, "20260102-000000-bbbbbb", run__json=RECORD | {"config": config})
    settings = list_rows()[0]["settings"]
    assert settings == {"jobs": "1.8447e+19", "lr": "a huge number", "?": "?"}
    assert len(json.loads(raven.ok("runs", "list", "--json"))) == 2


@pytest.mark.parametrize("number", [300, pytest.param(2_000, marks=pytest.mark.slow)])
def test_no_mutated_folder_ends_the_list(home: Path, raven: Raven, number: int) -> None:
    rng = random.Random(number)
    runs = home / "runs"
    for serial in range(number):
        record = mutate(rng, RECORD if rng.random() < 0.5 else unfinished())
        files: dict[str, object] = {"run__json": json.dumps(record).encode()}
        for name, content in (
            ("notes__json", NOTES),
            ("heartbeat__json", HEARTBEAT),
            ("events__jsonl", EVENTS),
        ):
            if rng.random() < 0.5:
                files[name] = mutate(rng, content) if rng.random() < 0.95 else None
        write_run(runs, f"20260101-{serial:06}-aaaaaa", **files)
    rows = list_rows()
    assert len(rows) == number and {"broken", "completed", "lost"} <= {row["status"] for row in rows}
    assert [row | {"status": 0} for row in list_rows()] == [row | {"status": 0} for row in rows]
    assert len(json.loads(raven.ok("runs", "list", "--json"))) == number
    raven.ok("runs", "list", "--where", "lr<1")
    shutil.rmtree(runs)


def mutate(rng: random.Random, value: Any) -> Any:
    """The value with one of its parts, at any depth, taken away or replaced."""
    if isinstance(value, dict) and value and rng.random() < 0.9:
        name = rng.choice(list(value))
        changed = {**value, name: mutate(rng, value[name])}
        if rng.random() < 0.2:
            del changed[name]
        return changed
    if isinstance(value, list) and value and rng.random() < 0.9:
        at = rng.randrange(len(value))
        return [*value[:at], mutate(rng, value[at]), *value[at + 1 :]]
    return rng.choice(WRONG)
