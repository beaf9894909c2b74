"""Listing and filtering: what is meant, and an index that is never the truth."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from as_user import PATIENCE, Raven, wait_for
from many_runs import events_of, write_new, write_run

from ravenml.errors import InputError
from ravenml.runs import index, overview
from ravenml.runs.filters import Condition, filter_runs, narrow_where, parse_since, parse_where
from ravenml.runs.index import Index, list_rows
from ravenml.runs.notes import change_note, change_tags, read_notes
from ravenml.runs.run import Run
from ravenml.runs.tables import score_table


@pytest.fixture
def three(home: Path) -> Path:
    """Three runs: the newest is the best, and the middle one failed."""
    nested = {"input_size": {"width": 64}, "optimizer": "sgd", "classes": ["car", "road"]}
    write_run(home, "20260101-000000-aaaaaa", settings={"lr": 0.1, **nested}, metrics={"val/miou": 0.4})
    write_run(home, "20260102-000000-bbbbbb", settings={"lr": 0.01}, status="failed", plugin="other")
    write_run(home, "20260103-000000-cccccc", settings={"lr": 1e-4, **nested}, metrics={"val/miou": 0.6})
    return home


def names(where: str) -> list[str]:
    return [row["id"][-1] for row in filter_runs(list_rows(), parse_where(where))]


@pytest.mark.parametrize(
    ("where", "expected"),
    [
        ("val/miou>0.5", ["c"]),
        ("val/miou >= 0.4", ["c", "a"]),
        ("lr<=0.01", ["c", "b"]),
        ("lr<=0.01 and val/miou>0", ["c"]),
        ("lr=1e-4", ["c"]),
        ("lr == 0.1 AND optimizer=sgd", ["a"]),
        ("lr=0.1 or lr=0.01", ["b", "a"]),
        ("plugin=other or val/miou>0.5 and lr<1", ["c", "b"]),
        ("val/miou>0.5 and lr<1 OR plugin=other", ["c", "b"]),
        ("note='this or that' or lr=0.1", ["a"]),
        ("input_size.width=64", ["c", "a"]),
        ("plugin!=learner", ["b"]),
        ("status=failed", ["b"]),
        ("created>=2026-01-02", ["c", "b"]),
        ("classes=road", ["c", "a"]),
        ("classes~roa", ["c", "a"]),
        ("optimizer='sgd'", ["c", "a"]),
        ("optimizer=none", ["b"]),
    ],
)
def test_a_condition_compares_metrics_settings_and_fields(
    three: Path, where: str, expected: list[str]
) -> None:
    assert names(where) == expected


@pytest.mark.parametrize(
    "text", ["", "lr", "lr>", "> 3", "lr<0.1 or", "or lr<1", "lr<0.1 and", "lr=1 miou=2"]
)
def test_what_is_no_condition_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(InputError, match="write NAME SIGN VALUE, such as"):
        parse_where(text)


@pytest.mark.parametrize("where", ["", "lr<1 and epochs=3", "lr=1 or note~'a b' and lr<3"])
def test_a_condition_is_narrowed_whatever_joins_its_parts(where: str) -> None:
    rows = [
        {"metrics": {}, "settings": {"lr": lr, "epochs": epochs, "model": model}, "note": note}
        for lr in (0, 1, 2)
        for epochs in (3, 4)
        for model in ('say "hi"', "U")
        for note in ("a b", "c")
    ]
    narrowed = narrow_where(where, [Condition("model", "=", 'say "hi"')])
    before = parse_where(where) if where else []
    expected = [
        row
        for row in rows
        if row["settings"]["model"] != "U" and all(one.matches(row) for one in before)  # type: ignore[index]
    ]
    assert [row for row in rows if all(one.matches(row) for one in parse_where(narrowed))] == expected


@pytest.mark.parametrize(
    ("wrong", "near"), [("miou", "val/miou"), ("width", "input_size.width"), ("lrr", "lr")]
)
def test_a_name_that_no_run_has_gets_a_suggestion(three: Path, wrong: str, near: str) -> None:
    with pytest.raises(InputError, match=f"'{wrong}'; did you mean {near}"):
        names(f"{wrong}=1")


def test_nan_is_neither_above_nor_below(home: Path) -> None:
    write_run(home, "20260101-000000-aaaaaa", metrics={"val/loss": "NaN"})
    assert names("val/loss<1") == names("val/loss>1") == []


def test_a_score_that_is_not_defined_is_not_passed_over_for_one_that_looks_perfect(home: Path) -> None:
    metrics = {"val/miou": "NaN", "val/pixel_accuracy": 1.0}
    write_run(home, "20260101-000000-aaaaaa", metrics=metrics)
    header, row = overview.rows(list_rows())
    assert row[header.index("SCORE")] == "val/miou not defined"
    assert score_table(metrics)[0].split(maxsplit=1) == ["val/miou", "not defined"]


def test_since_takes_an_age_or_a_date() -> None:
    now = datetime(2026, 11, 20, 12, tzinfo=UTC)
    assert parse_since("2d", now) == now - timedelta(days=2)
    assert parse_since("90min", now) == now - timedelta(hours=1.5)
    assert parse_since("2026-11-01").astimezone(UTC).year == 2026
    with pytest.raises(InputError, match=r"'yesterday' is not a time; write 30min"):
        parse_since("yesterday")


def test_runs_are_chosen_by_plugin_status_tag_and_age(raven: Raven, three: Path) -> None:
    raven.ok("runs", "tag", "20260103", "good", "shown")
    raven.ok("runs", "tag", "20260101", "good")

    def listed(*options: str) -> list[str]:
        return [row["id"][-1] for row in json.loads(raven.ok("runs", "list", "--json", *options))]

    assert listed("--plugin", "other") == ["b"]
    assert listed("--status", "failed", "--status", "lost") == ["b"]
    assert listed("--tag", "good") == ["c", "a"]
    assert listed("--tag", "good", "--tag", "shown") == ["c"]
    assert listed("--since", "2026-01-02T12:00") == ["c"]
    assert listed("--where", "lr<1", "--where", "lr>0.001") == ["b", "a"]
    assert listed("-n", "1", "--status", "completed") == ["c"]
    done = raven("runs", "list", "--tag", "nothing")
    assert done.returncode == 0 and "No runs match." in done.stderr


def test_what_a_filter_names_gets_a_column(raven: Raven, three: Path) -> None:
    header, row = raven.ok("runs", "list", "--where", "val/miou>0.5 and lr<1").splitlines()
    assert header.split("\t")[-3:] == ["val/miou", "lr", "TAGS"] and row.split("\t")[-3:-1] == [
        "0.6",
        "0.0001",
    ]


def test_tags_and_a_note_are_kept_and_shown(raven: Raven, three: Path) -> None:
    assert raven.ok("runs", "tag", "20260101", "b", "a", "a") == "a b\n"
    assert raven.ok("runs", "tag", "20260101", "--remove", "b") == "a\n"
    raven.ok("runs", "note", "20260101", "the camera was dirty")
    shown = raven.ok("runs", "show", "20260101")
    assert "Tags:        a\n" in shown and "Note:        the camera was dirty" in shown
    raven.ok("runs", "note", "20260101", "--remove")
    assert raven.ok("runs", "note", "20260101") == "(no note)\n"
    refused = raven("runs", "tag", "20260101", "two words")
    assert refused.returncode == 2 and "'two words' cannot be used" in refused.stderr
    assert "it has a." in raven("runs", "tag", "20260101", "--remove", "b").stderr


def test_a_renamed_run_has_its_new_name_everywhere_until_that_is_undone(raven: Raven, three: Path) -> None:
    raven.ok("runs", "rename", "20260101", "the clean lens")
    assert "the clean lens" in raven.ok("runs", "list", "clean")
    assert "Name:        the clean lens\n" in raven.ok("runs", "show", "20260101")
    assert json.loads(raven.ok("runs", "show", "20260101", "--json"))["name"] == "the clean lens"
    assert "the clean lens" in raven.ok("runs", "compare", "20260101", "20260103")
    raven.ok("runs", "rename", "20260101", "--undo")
    assert "the clean lens" not in raven.ok("runs", "show", "20260101")
    for wrong in ("two\nlines", "x" * 201):
        assert raven("runs", "rename", "20260101", wrong).returncode == 2


def test_archived_runs_are_left_out_of_lists_and_keep_all_they_have(raven: Raven, three: Path) -> None:
    from ravenml import list_runs

    assert raven.ok("runs", "archive", "20260101", "20260102").splitlines() == [
        "Archived 20260101-000000-aaaaaa.",
        "Archived 20260102-000000-bbbbbb.",
    ]
    assert raven.ok("runs", "archive", "20260102") == "20260102-000000-bbbbbb was archived already.\n"
    listed = raven.ok("runs", "list", "--json")
    assert [row["id"][-1] for row in json.loads(listed)] == ["c"]
    assert [one.id[-1] for one in list_runs()] == ["c"]
    assert [one.id[-1] for one in list_runs(archived=None)] == ["c", "b", "a"]
    archived = json.loads(raven.ok("runs", "list", "--archived", "--json"))
    assert [row["id"][-1] for row in archived] == ["b", "a"]
    assert "Status:      failed" in raven.ok("runs", "show", "20260102")
    raven.ok("runs", "restore", "20260102")
    assert [one.id[-1] for one in list_runs()] == ["c", "b"]


def test_people_who_tag_at_the_same_time_lose_nothing(three: Path) -> None:
    folder = three / "runs" / "20260101-000000-aaaaaa"
    code = (
        "import sys; from pathlib import Path; from ravenml.runs.notes import change_tags\n"
        "for number in range(20): change_tags(Path(sys.argv[1]), [f'{sys.argv[2]}{number}'])"
    )
    writers = [subprocess.Popen([sys.executable, "-c", code, str(folder), who]) for who in "abc"]
    assert [writer.wait(PATIENCE) for writer in writers] == [0, 0, 0]
    assert len(read_notes(folder)["tags"]) == 60


def test_a_writer_of_notes_that_is_killed_leaves_whole_notes_and_no_lock(three: Path) -> None:
    folder = three / "runs" / "20260101-000000-aaaaaa"
    code = (
        "import sys; from pathlib import Path; from ravenml.runs.notes import change_note\n"
        "print('ready', flush=True)\n"
        "while True: change_note(Path(sys.argv[1]), 'x' * 5000)"
    )
    for wait in (0.02, 0.05, 0.11):
        writer = subprocess.Popen(
            [sys.executable, "-c", code, str(folder)], stdout=subprocess.PIPE, text=True
        )
        assert writer.stdout is not None and writer.stdout.readline() == "ready\n"
        time.sleep(wait)
        writer.kill()
        writer.wait()
        assert set(read_notes(folder)["note"] or "x") == {"x"}
    change_tags(folder, ["after"])
    assert read_notes(folder)["tags"] == ["after"]


# The index.


@pytest.fixture
def read_anew(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """The names of the runs whose records are read, as they are."""
    seen: list[str] = []
    before = index.read_record

    def noting(folder: Path) -> dict[str, object]:
        seen.append(folder.name[-1])
        return before(folder)

    monkeypatch.setattr(index, "read_record", noting)
    yield seen


def test_only_what_has_changed_is_read_anew(three: Path, read_anew: list[str]) -> None:
    first = list_rows()
    assert sorted(read_anew) == ["a", "b", "c"]
    assert list_rows() == first and len(read_anew) == 3
    write_run(three, "20260102-000000-bbbbbb", metrics={"val/miou": 0.9})
    change_note(three / "runs" / "20260103-000000-cccccc", "good")
    assert names("val/miou>0.8") == ["b"] and sorted(read_anew[3:]) == ["b", "c"]
    shutil.rmtree(three / "runs" / "20260101-000000-aaaaaa")
    assert [row["id"][-1] for row in list_rows()] == ["c", "b"]


def test_who_looks_on_sees_what_is_new_and_does_not_write_the_index_each_time(
    three: Path, read_anew: list[str]
) -> None:
    looking = Index()
    looking.rows()
    file = three / "cache" / "runs-index.json"
    written = file.stat().st_mtime_ns
    folder = write_run(three, "20260104-000000-dddddd", status=None)
    assert [row["id"][-1] for row in looking.rows()] == ["d", "c", "b", "a"]
    for value in (0.5, 0.6):
        event = {"event_type": "EventType.METRICS", "type": "val", "metrics": {"miou": value}}
        with (folder / "events.jsonl").open("a") as events:
            events.write(json.dumps(event) + "\n")
        assert looking.rows()[0]["metrics"] == {"val/miou": value}
    assert sorted(read_anew) == ["a", "b", "c", "d"] and file.stat().st_mtime_ns == written
    assert looking.rows() == list_rows()  # a new reader finds the same


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b'{"format": 0, "runs": {}}', b'{"format": 2, "runs": 3}']
)
def test_a_lost_or_broken_index_is_built_again(three: Path, content: bytes) -> None:
    first = list_rows()
    file = three / "cache" / "runs-index.json"
    file.write_bytes(content)
    assert list_rows() == first
    assert len(json.loads(file.read_bytes())["runs"]) == 3
    file.unlink()
    assert list_rows() == first


def test_without_room_or_right_to_write_the_index_runs_are_listed_all_the_same(three: Path) -> None:
    (three / "cache").write_text("a file where the folder should be")
    assert len(list_rows()) == 3


def test_a_home_that_was_copied_does_not_trust_its_index(
    three: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    list_rows()
    shutil.copytree(three, three.with_name("copy"))
    monkeypatch.setenv("RAVENML_STORAGE_PATH", str(three.with_name("copy")))
    write_run(three.with_name("copy"), "20260102-000000-bbbbbb", metrics={"val/miou": 0.9})
    assert names("val/miou>0.8") == ["b"]


@pytest.mark.parametrize(
    "content",
    [
        "",
        "{",
        "[]",
        '{"id": "x"}',
        '{"v": 99, "id": "x", "attempts": [], "process": {}}',
        '{"id": "x", "attempts": [], "process": {}, "result": 3}',
    ],
)
def test_a_broken_record_in_the_middle_is_named_and_hides_no_other(
    three: Path, raven: Raven, content: str
) -> None:
    path = three / "runs" / "20260102-000000-bbbbbb" / "run.json"
    write_new(path, content)
    rows = list_rows()
    assert [row["status"] for row in rows] == ["completed", "broken", "completed"]
    assert str(path) in rows[1]["error"]
    assert names("val/miou>0.5") == ["c"]
    assert len(raven.ok("runs", "list").splitlines()) == 4


def test_broken_notes_do_not_hide_a_run(three: Path) -> None:
    path = three / "runs" / "20260101-000000-aaaaaa" / "notes.json"
    write_new(path, "{")
    assert (list_rows()[-1]["status"], list_rows()[-1]["tags"]) == ("completed", [])
    assert str(path) in list_rows()[-1]["note"]


def test_the_status_of_a_run_without_a_result_is_derived_each_time(home: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from ravenml.runs.run import Run\n"
        "run = Run.begin(Path(sys.argv[1]), 'r', {'plugin': 'x'})\n"
        "run.metrics('val', 1, {'miou': 0.1}, step=1); print('ready', flush=True)\n"
        "sys.stdin.readline(); run.metrics('val', 2, {'miou': 0.2}, step=2); print('again', flush=True)\n"
        "sys.stdin.readline()"
    )
    folder = home / "runs" / "r"
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    process = subprocess.Popen([sys.executable, "-c", code, str(folder)], **pipes)  # type: ignore[call-overload]
    process.stdout.readline()
    assert (list_rows()[0]["status"], list_rows()[0]["metrics"]) == ("running", {"val/miou": 0.1})
    process.stdin.write("\n")
    process.stdin.flush()
    process.stdout.readline()
    assert list_rows()[0]["metrics"] == {"val/miou": 0.2}
    process.kill()
    process.wait()
    assert (list_rows()[0]["status"], list_rows()[0]["metrics"]) == ("lost", {"val/miou": 0.2})


def test_a_training_that_went_back_shows_what_counts(home: Path) -> None:
    folder = home / "runs" / "20260101-000000-aaaaaa"
    run = Run.begin(folder, folder.name, {"plugin": "x"})
    run.metrics("val", 1, {"miou": 0.1}, step=1)
    run.metrics("val", 2, {"dice": 0.9}, step=2)
    assert list_rows()[0]["metrics"] == {"val/miou": 0.1, "val/dice": 0.9}
    run.resumed(1, 1)
    run.attempt = 2
    run.finish("interrupted")
    again = Run.begin(folder, folder.name, {})
    again.resumed(step=1, epoch=1)
    assert list_rows()[0]["metrics"] == {"val/miou": 0.1}


def test_many_runs_are_listed_quickly(home: Path) -> None:
    # A tenth of what the benchmark has, with four times its limit, in processor time: the machine may be
    # busy.
    for number in range(1000):
        write_run(
            home, f"20260101-{number:06d}-aaaaaa", settings={"lr": number}, metrics={"val/miou": number / 1e3}
        )
    list_rows()
    begin = time.process_time()
    assert len(filter_runs(list_rows(), parse_where("val/miou>0.9 and lr<950"))) == 49
    assert time.process_time() - begin < 0.4


def test_while_runs_are_written_listing_never_fails(home: Path, raven: Raven) -> None:
    code = (
        "import sys; from pathlib import Path; from ravenml.runs.run import Run\n"
        "number = 0\n"
        "while True:\n"
        "    name = f'20260101-{number % 30:06d}-aaaaaa'; number += 1\n"
        "    run = Run.begin(Path(sys.argv[1]) / 'runs' / name, name, {'plugin': 'x'})\n"
        "    run.metrics('val', 1, {'miou': 0.1}, step=1)\n"
        "    run.finish('completed', metrics={'val/miou': 0.1})\n"
    )
    writer = subprocess.Popen([sys.executable, "-c", code, str(home)])
    try:
        wait_for(lambda: len(os.listdir(home / "runs")) > 3)
        for _ in range(20):
            assert all(row["status"] in ("running", "completed", "lost") for row in list_rows())
    finally:
        writer.kill()
        writer.wait()
    events_of(home / "runs" / "20260101-000000-aaaaaa", {"val/miou": [0.5]})
    assert list_rows()


def test_words_are_searched_in_what_people_call_a_run_and_say_of_it(home: Path, raven: Raven) -> None:
    by_name = {"name": "Baseline", "project": "roads", "config": {"name": "Baseline", "plugin": {"lr": 0.1}}}
    write_run(home, "20260101-000000-aaaaaa", more=by_name)
    program = {"kind": "program", "command": ["raven", "run", "--", "python", "fit_lanes.py", "--lr", "1"]}
    noted = write_run(home, "20260102-000000-bbbbbb", plugin="", more=program)
    change_note(noted, "the lens was dirty")
    change_tags(noted, ["night"])

    def found(*words: str) -> str:
        return "".join(row["id"][-1] for row in filter_runs(list_rows(), words=words))

    assert [found("baseline"), found("ROADS"), found("learner")] == ["a", "a", "a"]
    assert [found("fit_lanes"), found("dirty"), found("night")] == ["b", "b", "b"]
    assert [found("2026010"), found("base", "dirty"), found("night", "lens")] == ["ba", "", "b"]
    assert found("0.1") == ""  # settings are what --where asks for
    rows = raven("runs", "list", "base").stdout.splitlines()
    assert len(rows) == 2 and rows[1].split("\t")[-2] == "roads / Baseline"
    assert raven("runs", "list", "nothing", "like", "it").stderr.strip() == "No runs match."
