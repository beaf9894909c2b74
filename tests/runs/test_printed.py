"""What a child prints: events are found, everything else is text, and nothing that is printed can do harm."""

from __future__ import annotations

import itertools
import json
import tempfile
import tracemalloc
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ravenml.runs.events import LINE_LIMIT, read_events
from ravenml.runs.output_parser import LIMIT, TEXT_LIMIT, OutputParser, parse_event
from ravenml.runs.run import Run

METRICS = {"message": "metrics", "event_type": "EventType.METRICS", "type": "val", "epoch": 1.0}


def taken(stream: bytes, *cuts: int) -> list[dict[str, Any] | str]:
    """What a parser gives for a stream that arrives in pieces."""
    parser = OutputParser()
    places = [0, *sorted(cuts), len(stream)]
    found = [item for a, b in itertools.pairwise(places) for item in parser.feed(stream[a:b])]
    found += parser.end()
    assert parser.consumed == len(stream)
    return found


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=True) | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
events = st.dictionaries(st.text(max_size=6), json_values, max_size=4).map(
    lambda fields: fields | {"event_type": "EventType.OF_THEIR_OWN"}
)


@given(st.binary(max_size=200), st.lists(st.integers(0, 200), max_size=5))
def test_how_a_stream_arrives_in_pieces_changes_nothing(stream: bytes, cuts: list[int]) -> None:
    assert taken(stream, *(cut for cut in cuts if cut <= len(stream))) == taken(stream)


@given(st.lists(events | st.text('abc é{}[]":,', max_size=20), max_size=6), st.sampled_from(["\n", "\r\n"]))
def test_events_and_texts_come_in_the_order_in_which_they_were_printed(
    said: list[dict[str, Any] | str], newline: str
) -> None:
    lines = [json.dumps(item) if isinstance(item, dict) else item for item in said]
    found = taken("".join(line + newline for line in lines).encode())
    assert [isinstance(item, dict) for item in found] == [isinstance(item, dict) for item in said]
    assert [item for item in found if isinstance(item, str)] == [i for i in said if isinstance(i, str)]


@given(events, st.data())
def test_an_event_that_is_cut_is_text(event: dict[str, Any], data: st.DataObject) -> None:
    line = json.dumps(event).encode()
    part = line[: data.draw(st.integers(1, len(line) - 1))]
    assert taken(part) == [part.decode()]


@given(events)
def test_every_event_can_be_recorded_again(event: dict[str, Any]) -> None:
    parsed = parse_event(json.dumps(event).encode())
    assert parsed is not None and parsed == json.loads(json.dumps(parsed, allow_nan=False))


def test_an_event_is_found_behind_a_progress_bar() -> None:
    stream = b"\r 10%|#   |\r 20%|##  |\r" + json.dumps(METRICS).encode() + b"\n"
    assert taken(stream) == [" 10%|#   |", " 20%|##  |", METRICS]


@pytest.mark.parametrize(
    ("token", "kept"),
    [("NaN", "NaN"), ("Infinity", "Infinity"), ("-Infinity", "-Infinity"), ("1e999", "Infinity")],
)
def test_numbers_that_json_does_not_know_become_strings(token: str, kept: str) -> None:
    event = parse_event(b'{"event_type": "EventType.METRICS", "metrics": {"loss": %s}}' % token.encode())
    assert event is not None and event["metrics"] == {"loss": kept}


@pytest.mark.parametrize(
    "line",
    [
        b'{"message": "no type"}',
        b'{"event_type": "METRICS"}',
        b'{"event_type": 7}',
        b'["EventType.METRICS"]',
        b'{"event_type": "EventType.METRICS", "x": "\xff"}',
        b'{"event_type": "EventType.METRICS", "x": "\\ud800"}',
        b'{"event_type": "EventType.METRICS", "x": ' + b"[" * 50_000 + b"]" * 50_000 + b"}",
        b'{"event_type": "EventType.METRICS", "x": ' + b"[" * 500 + b"]" * 500 + b"}",
        b'{"event_type": "EventType.METRICS", "x": ' + b"9" * 5_000 + b"x}",
    ],
)
def test_what_is_no_event_is_text(line: bytes) -> None:
    (text,) = taken(line + b"\n")
    assert isinstance(text, str)


def test_a_line_that_does_not_end_takes_bounded_memory_and_is_shortened() -> None:
    parser, piece, times = OutputParser(), b"x" * (1 << 20), 64
    tracemalloc.start()
    for _ in range(times):
        assert list(parser.feed(piece)) == []
    peak = tracemalloc.get_traced_memory()[1]
    (text,) = parser.feed(b"\n")
    tracemalloc.stop()
    assert peak < 2 * LIMIT
    assert isinstance(text, str) and len(text) < TEXT_LIMIT + 100
    assert text.endswith(f"(shortened: {times * len(piece) - TEXT_LIMIT} bytes more)")
    assert list(parser.feed(b"next\n")) == ["next"]


def test_a_parser_goes_on_where_another_stopped() -> None:
    stream = b"one\ntwo\nthr"
    first = OutputParser()
    assert list(first.feed(stream)) == ["one", "two"]
    second = OutputParser(first.consumed)
    assert list(second.feed((stream + b"ee\n")[first.consumed :])) == ["three"]


# Recording.


def begun(folder: Path) -> Run:
    return Run.begin(folder / "run", "20260101-foreign", {})


def test_a_recorded_event_keeps_its_fields_and_gets_ours(tmp_path: Path) -> None:
    run = begun(tmp_path)
    told = {"event_type": "EventType.OF_THEIR_OWN", "colour": "red", "v": 9, "seq": 99, "attempt": "x"}
    run.relay(told | {"timestamp": "2019-03-26T11:14:04.577Z", "level": "debug"})
    event = list(read_events(run.path / "events.jsonl"))[-1].fields
    assert (event["v"], event["seq"], event["attempt"], event["colour"]) == (1, 2, 1, "red")
    assert (event["timestamp"], event["level"]) == ("2019-03-26T11:14:04.577Z", "debug")


@pytest.mark.parametrize("time", [None, 12, "yesterday", "2019-03-26", ["x"]])
def test_a_time_that_nobody_can_read_is_replaced(tmp_path: Path, time: object) -> None:
    run = begun(tmp_path)
    run.relay(METRICS | {"timestamp": time, "level": 3, "message": 5})
    event = list(read_events(run.path / "events.jsonl"))[-1].fields
    assert event["timestamp"].startswith("20") and event["timestamp"].endswith("Z")
    assert (event["level"], event["message"]) == ("info", "5")


def test_training_validation_and_checkpoint_of_one_moment_share_a_step(tmp_path: Path) -> None:
    run = begun(tmp_path)
    for epoch in (0.5, 1.0, 2.0):
        run.relay(METRICS | {"type": "train", "epoch": epoch})
        run.relay(METRICS | {"epoch": epoch})
        run.relay({"event_type": "EventType.CHECKPOINT", "id": 0})
    steps = [event.step for event in read_events(run.path / "events.jsonl") if event.step is not None]
    assert steps == [1, 1, 1, 2, 2, 2, 3, 3, 3]
    run.relay(METRICS | {"epoch": 9, "step": 700})
    run.relay({"event_type": "EventType.CHECKPOINT", "id": 1})
    steps = [event.step for event in read_events(run.path / "events.jsonl") if event.step is not None]
    assert steps[-2:] == [700, 700]


@given(st.binary(max_size=50))
def test_a_huge_event_is_recorded_without_its_long_fields(noise: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        run = begun(Path(folder))
        text = noise.decode("latin-1")
        run.relay(METRICS | {"more": text + "y" * (10 << 20), "message": text * 40_000, text: "\x01" * 900})
        lines = (run.path / "events.jsonl").read_bytes().splitlines(keepends=True)
        event = list(read_events(run.path / "events.jsonl"))[-1].fields
    assert max(map(len, lines)) <= LINE_LIMIT
    assert event["epoch"] == 1.0 and "shortened" in event["message"]
