"""Events: one line of JSON each, whatever is written and whenever the writer is killed."""

from __future__ import annotations

import json
import math
import threading
from pathlib import Path

import numpy as np
import pytest
from as_user import Raven
from hypothesis import given
from hypothesis import strategies as st

from ravenml.common.io import to_jsonable
from ravenml.errors import RavenError
from ravenml.runs.events import (
    LINE_LIMIT,
    CheckpointEvent,
    Event,
    EventReader,
    EventWriter,
    ImageEvent,
    MetricsEvent,
    ProgressEvent,
    ResourcesEvent,
    effective,
    parse,
    read_event,
    read_events,
    utc_timestamp,
)


@given(st.floats(allow_nan=True, allow_infinity=True))
def test_every_number_survives_json(value: float) -> None:
    written = json.loads(json.dumps(to_jsonable(value, "x")))
    if math.isnan(value):
        assert written == "NaN"
    elif math.isinf(value):
        assert written == ("Infinity" if value > 0 else "-Infinity")
    else:
        assert written == value


def test_an_event_carries_schema_attempt_sequence_and_time(tmp_path: Path) -> None:
    writer = EventWriter(tmp_path / "events.jsonl", attempt=3)
    for _ in range(2):
        writer.write("metrics", "METRICS", {"type": "val", "metrics": {"miou": 0.5}})
    first, second = (event.fields for event in read_events(tmp_path / "events.jsonl"))
    assert (first["v"], first["attempt"], first["seq"], second["seq"]) == (1, 3, 1, 2)
    assert first["event_type"] == "EventType.METRICS" and first["level"] == "info"


def test_time_is_utc_with_milliseconds() -> None:
    assert utc_timestamp(1553598844.5774) == "2019-03-26T11:14:04.577Z"
    assert utc_timestamp(1553598844.5774, milliseconds=False) == "2019-03-26T11:14:04Z"


def test_the_next_writer_ends_a_torn_line_and_counts_on(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    EventWriter(path).write("one", "TEXT", {})
    with path.open("ab") as file:
        file.write(b'{"message": "torn off he')
    EventWriter(path, attempt=2).write("two", "TEXT", {})
    assert [(event.message, event.fields["seq"]) for event in read_events(path)] == [("one", 1), ("two", 2)]


def test_a_reader_takes_a_line_only_when_it_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    reader = EventReader(path)
    assert list(reader.read_new()) == []
    path.write_bytes(b'{"message": "a"}\n{"mess')
    assert [event.message for event in reader.read_new()] == ["a"]
    with path.open("ab") as file:
        file.write(b'age": "b"}\nno json\n[1]\n')
    assert [event.message for event in reader.read_new()] == ["b"]
    assert list(reader.read_new()) == []


def test_a_line_is_at_most_a_mebibyte(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    EventWriter(path).write("x" * (2 * LINE_LIMIT), "TEXT", {"more": "y" * LINE_LIMIT})
    assert len(path.read_bytes()) <= LINE_LIMIT
    (event,) = read_events(path)
    assert "shortened" in event.message


def test_threads_may_share_a_writer(tmp_path: Path) -> None:
    writer = EventWriter(tmp_path / "events.jsonl")
    threads = [
        threading.Thread(target=lambda: [writer.write("m", "TEXT", {}) for _ in range(200)]) for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(event.fields["seq"] for event in read_events(tmp_path / "events.jsonl")) == list(
        range(1, 1601)
    )


def test_later_steps_of_an_attempt_that_was_overtaken_no_longer_count() -> None:
    def metrics(step: int, attempt: int) -> dict:
        return {"event_type": "EventType.METRICS", "step": step, "attempt": attempt}

    events = [
        metrics(1, 1),
        metrics(2, 1),
        metrics(3, 1),
        {"event_type": "EventType.RESUMED", "step": 2},
        metrics(3, 2),
    ]
    kept = effective(map(read_event, events))
    counted = [(event.step, event.attempt) for event in kept if event.attempt is not None]
    assert counted == [(1, 1), (2, 1), (3, 2)]


def test_each_type_is_read_into_its_own_class_whatever_a_line_lacks() -> None:
    lines = [
        b'{"event_type": "EventType.METRICS", "type": "val", "epoch": 2,'
        b'"metrics": {"a": 1, "b": "NaN", "c": "x"}}',
        b'{"event_type": "EventType.METRICS", "type": "val", "metrics": "no numbers", "timestamp": 7}',
        b'{"event_type": "EventType.PROGRESS", "subtask": "Epoch", "current": 1, "total": "many"}',
        b'{"event_type": "EventType.CHECKPOINT", "id": 3, "files": ["a.pth", 4]}',
        b'{"event_type": "EventType.IMAGE", "file": "previews/val/a.png", "step": 4}',
        b'{"event_type": "EventType.RESOURCES", "resources": {"cpu_percent": 12.5}}',
        b'{"event_type": "EventType.SOMETHING_NEWER", "step": true}',
        b'{"message": "no type"}',
    ]
    metrics, broken, progress, checkpoint, image, resources, newer, untyped = map(parse, lines)
    assert isinstance(metrics, MetricsEvent) and metrics.moment() == ("epoch", 2.0)
    assert metrics.values == {"val/a": 1, "val/b": "NaN", "val/c": "x"}
    assert str(dict(metrics.numbers())) == "{'val/a': 1.0, 'val/b': nan}"
    assert type(broken) is Event and broken.type == "METRICS" and broken.seconds is None
    assert isinstance(progress, ProgressEvent) and (progress.current, progress.total) == (1, 0)
    assert (
        isinstance(checkpoint, CheckpointEvent) and checkpoint.files == ["a.pth"] and not checkpoint.best_now
    )
    assert isinstance(image, ImageEvent) and (image.name, image.step, image.epoch) == ("a", 4, None)
    assert isinstance(resources, ResourcesEvent) and dict(resources.numbers()) == {"cpu_percent": 12.5}
    assert type(newer) is Event and newer.type == "SOMETHING_NEWER"
    assert untyped == Event("", {"message": "no type"})


def test_a_field_of_the_wrong_type_is_kept_as_a_text_and_named() -> None:
    lines = [
        b'{"event_type": "EventType.RESUMED", "step": "two", "epoch": 1, "attempt": [2]}',
        b'{"event_type": "EventType.RESUMED", "step": 99999999999999999999, "epoch": true}',
        b'{"event_type": "EventType.METRICS", "type": "val", "step": 1, "metrics": {"a": {"b": 1}, "c": 2}}',
        b'{"event_type": "EventType.CHECKPOINT", "files": ["../../x", "a.pth"], "kept": "/etc"}',
        b'{"event_type": "EventType.PROGRESS", "subtask": "Epoch", "current": 1e300, "total": 2}',
        b'{"event_type": "EventType.TEXT", "message": null, "timestamp": "0001-01-01T00:00:00"}',
    ]
    first, second, metrics, checkpoint, progress, text = (event for line in lines if (event := parse(line)))
    assert first.bad == ("attempt", "step") and first.fields["step"] == "two" and first.step is None
    assert first.fields["attempt"] == "[2]" and first.attempt is None
    assert second.bad == ("step", "epoch") and second.epoch is None
    assert isinstance(metrics, MetricsEvent) and metrics.bad == ("metrics.a",)
    assert metrics.values == {"val/a": "{'b': 1}", "val/c": 2}
    assert isinstance(checkpoint, CheckpointEvent)
    assert checkpoint.files == ["a.pth"] and checkpoint.kept is None
    assert isinstance(progress, ProgressEvent) and (progress.current, progress.total) == (0, 2)
    assert text.message == "" and text.seconds is None and text.bad == ()


def test_a_name_that_is_not_utf_8_is_reported_as_far_as_json_can(tmp_path: Path) -> None:
    writer = EventWriter(tmp_path / "events.jsonl")
    writer.write("read \udce9.png", "TEXT", {"\ud800": ["\udfff", Path("a")], "size": np.int64(3)})
    (event,) = read_events(tmp_path / "events.jsonl")
    assert event.message == "read ?.png" and event.fields["?"] == ["?", "a"]


def test_a_run_says_how_many_of_its_events_are_bad(raven: Raven, home: Path) -> None:
    folder = home / "runs" / "20260101-000000-aaaaaa"
    folder.mkdir(parents=True)
    record = {"id": folder.name, "attempts": [], "process": {"host": "elsewhere"}}
    (folder / "run.json").write_text(json.dumps(record))
    lines = ["{torn", '{"event_type": "EventType.RESUMED", "step": "two"}', '{"message": "good"}']
    (folder / "events.jsonl").write_text("".join(f"{line}\n" for line in lines))
    shown = raven.ok("runs", "show")
    assert "Bad events:  2 in events.jsonl, such as `step` of a RESUMED" in shown


def test_a_reader_of_some_types_passes_over_the_others(tmp_path: Path) -> None:
    writer = EventWriter(tmp_path / "events.jsonl")
    writer.write("EventType.METRICS", "TEXT", {})
    writer.write("metrics", "METRICS", {"type": "val", "metrics": {}})
    reader = EventReader(tmp_path / "events.jsonl")
    assert [event.type for event in reader.read_new("METRICS", "RESUMED")] == ["METRICS"]
    assert reader.offset == reader.size()


def test_a_folder_that_is_gone_gets_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(RavenError, match=r"events\.jsonl: No such file"):
        EventWriter(tmp_path / "gone" / "events.jsonl")
