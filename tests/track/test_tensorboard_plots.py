"""Histograms, PR curves and texts that a program writes for TensorBoard are kept as events of its run."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest

from ravenml.runs.process.tfevents import EventFile, Plot, Words

ONCE = 0.0


def record(content: bytes) -> bytes:
    return struct.pack("<Q", len(content)) + bytes(4) + content + bytes(4)


def field(number: int, content: bytes) -> bytes:
    assert len(content) < 1 << 14
    size = (
        bytes([len(content)]) if len(content) < 128 else bytes([len(content) & 127 | 128, len(content) >> 7])
    )
    return bytes([number << 3 | 2]) + size + content


def event(tag: str, value: bytes, plugin: str) -> bytes:
    """A record with one value at step 3: ``value`` is the field behind its tag."""
    named = field(9, field(1, field(1, plugin.encode())))
    return record(b"\x10\x03" + field(5, field(1, field(1, tag.encode()) + value + named)))


def doubles(*numbers: float) -> bytes:
    return struct.pack(f"<{len(numbers)}d", *numbers)


def test_a_histogram_becomes_the_values_below_which_its_shares_lie(tmp_path: Path) -> None:
    ends = b"\x09" + doubles(0.0) + b"\x11" + doubles(10.0)
    histogram = ends + field(6, doubles(0.0, 5.0, 1e308)) + field(7, doubles(0, 50, 50))
    tensor = b"\x08\x02" + field(4, doubles(0, 5, 50, 5, 10, 50))  # TensorFlow's form of the same
    for number, value in enumerate((field(5, histogram), field(8, tensor))):
        path = tmp_path / f"events.out.tfevents.{number}"
        path.write_bytes(event("weights", value, "histograms"))
        data = {"levels": [0, 0.05, 0.25, 0.5, 0.75, 0.95, 1], "values": [0, 0.5, 2.5, 5, 7.5, 9.5, 10]}
        assert [*EventFile(path).read_new()] == [Plot("weights", 3, ONCE, "histogram", data)]


def test_an_empty_histogram_is_not_one(tmp_path: Path) -> None:
    path = tmp_path / "events.out.tfevents"
    path.write_bytes(event("weights", field(5, b""), "histograms"))
    assert [*EventFile(path).read_new()] == []


def test_a_pr_curve_has_recall_and_precision(tmp_path: Path) -> None:
    rows = [*([0.0] * 8), 0.5, 1.0, 1.0, 0.25]  # four rows of counts, precision, recall, for two thresholds
    path = tmp_path / "events.out.tfevents"
    path.write_bytes(event("road", field(8, field(5, struct.pack("<12f", *rows))), "pr_curves"))
    (found,) = EventFile(path).read_new()
    assert isinstance(found, Plot) and found.data == {"x": [1.0, 0.25], "y": [0.5, 1.0]}


def test_a_text_stays_a_text(tmp_path: Path) -> None:
    path = tmp_path / "events.out.tfevents"
    path.write_bytes(event("notes", field(8, b"\x08\x07" + field(8, "größer".encode())), "text"))
    assert [*EventFile(path).read_new()] == [Words("notes", 3, ONCE, "größer")]


@pytest.mark.slow
def test_what_a_real_writer_writes_is_read(tmp_path: Path) -> None:
    pytest.importorskip("tensorboardX")
    import numpy as np
    from tensorboardX import SummaryWriter

    with SummaryWriter(str(tmp_path)) as writer:
        writer.add_histogram("weights", np.linspace(-1, 1, 1001), 1)
        writer.add_text("notes", "a **note**", 2)
        writer.add_pr_curve("road", np.array([0, 1, 1]), np.array([0.1, 0.9, 0.4]), 3)
    (path,) = tmp_path.iterdir()
    found = [one for one in EventFile(path).read_new() if isinstance(one, Plot | Words)]
    assert [one.step for one in found] == [1, 2, 3]
    histogram, text, curve = found
    assert isinstance(histogram, Plot) and isinstance(curve, Plot) and isinstance(text, Words)
    low, *_, median, _, _, high = histogram.data["values"]
    assert low == -1 and high == 1 and abs(median) < 0.1
    assert text.text == "a **note**"
    assert max(curve.data["x"]) == 1 and len(curve.data["x"]) == len(curve.data["y"]) == 127
