"""Listings on a terminal: no row is wider than it, and nothing of it is lost."""

import fcntl
import os
import pty
import struct
import subprocess
import sys
import termios

import pytest

HEADER = ("RUN", "STATUS", "PLUGIN", "DATASET", "FOLDS", "STARTED", "SCORE", "TAGS")
RUNS = [
    ("20261130-063929-ev94mg", "completed", "unet", "demo", "2", "2026-11-30 06:39", "val/miou 0.9181", "-"),
    ("20261130-064512-k3j9xq", "failed", "unet", "camvid", "-", "2026-11-30 06:45", "val/miou 0.4102", "-"),
]
WIDE = ("20261130-070000-aaaaaa", "interrupted", "tf-bbox", "a_dataset_with_a_long_name", "5", *RUNS[0][5:7])


def on_terminal(table: list[tuple[str, ...]], columns: int) -> list[str]:
    """The lines that a terminal of this width shows."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    program = f"from ravenml.cli.options import print_table\nprint_table({table!r})"
    environment = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "LINES")}
    process = subprocess.Popen([sys.executable, "-c", program], stdout=theirs, env=environment)
    os.close(theirs)
    shown = b""
    while True:
        try:
            piece = os.read(ours, 65536)
        except OSError:  # what a pty says at its end
            break
        if not piece:
            break
        shown += piece
    assert process.wait() == 0
    os.close(ours)
    return [line.rstrip() for line in shown.decode().splitlines()]


def test_what_fits_is_shown_in_one_line_each() -> None:
    lines = on_terminal([HEADER, *RUNS], 120)
    assert len(lines) == 3
    assert lines[1].split() == [word for cell in RUNS[0] for word in cell.split()]


def test_at_80_columns_runs_are_wrapped_between_words_and_the_empty_column_goes() -> None:
    lines = on_terminal([HEADER, *RUNS], 80)
    assert max(map(len, lines)) <= 80
    assert "TAGS" not in lines[0]
    words = " ".join(lines).split()
    for cell in (cell for run in RUNS for cell in run[:-1]):
        assert set(cell.split()) <= set(words)


@pytest.mark.parametrize("columns", [40, 60, 80, 100])
def test_no_letter_is_lost_however_narrow_the_terminal(columns: int) -> None:
    table = [HEADER, *RUNS, (*WIDE, "baseline, [red]tag")]
    lines = on_terminal(table, columns)
    assert max(map(len, lines)) <= columns
    letters = sorted("".join(lines).replace(" ", ""))
    assert letters == sorted("".join(cell for row in table for cell in row).replace(" ", ""))


def test_the_first_column_can_be_copied_whole() -> None:
    lines = on_terminal([HEADER, *RUNS, (*WIDE, "baseline")], 60)
    assert sum(line.startswith(run[0]) for line in lines for run in (*RUNS, WIDE)) == 3
