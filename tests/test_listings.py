"""Listings on a terminal: no row is wider than it, and nothing of it is lost."""

import fcntl
import os
import pty
import struct
import subprocess
import sys
import termios

import pytest
from rich.cells import cell_len

HEADER = ("RUN", "STATUS", "WHAT", "DATASET", "FOLDS", "STARTED", "SCORE", "TAGS")
RUNS = [
    ("20261130-063929-ev94mg", "completed", "unet", "demo", "2", "11-30 06:39", "val/miou 0.9181", "-"),
    ("20261130-064512-k3j9xq", "failed", "unet", "camvid", "-", "11-30 06:45", "val/miou 0.4102", "-"),
]
WIDE = ("20261130-070000-aaaaaa", "interrupted", "tf-bbox", "a_dataset_with_a_long_name", "5", *RUNS[0][5:7])


def on_terminal(table: list[tuple[str, ...]], columns: int) -> list[str]:
    """The lines that a terminal of this width shows."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    program = f"from ravenml.cli.options import print_table\nprint_table({table!r})"
    environment = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "LINES")}
    environment["PYTHONUTF8"] = "1"
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


def test_80_columns_are_enough_for_runs() -> None:
    lines = on_terminal([HEADER, *RUNS], 80)
    assert len(lines) == 3 and max(map(len, lines)) <= 80
    assert "TAGS" not in lines[0]  # which is empty
    assert lines[1].split() == [word for cell in RUNS[0][:-1] for word in cell.split()]


def test_what_does_not_fit_is_wrapped_between_words() -> None:
    lines = on_terminal([HEADER, *RUNS], 76)
    assert max(map(len, lines)) <= 76
    words = " ".join(lines).split()
    for cell in (cell for run in RUNS for cell in run[:-1]):
        assert set(cell.split()) <= set(words)


def test_wide_letters_take_two_columns() -> None:
    table = [("NAME", "SIZE"), ("道路の写真", "7"), ("meadow", "12")]
    lines = on_terminal(table, 16)
    assert [cell_len(line.rpartition(" ")[0]) for line in lines[1:]] == [11, 11]
    assert max(map(cell_len, on_terminal(table, 13))) <= 13


MODELS = [
    ("ID (NAME)", "NETWORK", "PLUGIN", "DATASET", "FOLDS", "SIZE", "DATE", "SCORE", "WHERE"),
    ("20261130-063929-ev94mg (the baseline of the paper)", "UNet", "unet", "demo", "2", "59.9 MiB",
     "2026-11-30 06:41", "val/miou 0.9181", "local"),
    ("20261130-070000-aaaaaa", "LinkNet34", "unet", "道路の写真", "-", "83.1 MiB", "2026-11-30 07:00",
     "val/miou 0.4102", "local, s3"),
]  # fmt: skip
TABLES = {"runs": [HEADER, *RUNS, (*WIDE, "baseline, [red]tag")], "models": MODELS}


@pytest.mark.parametrize("columns", [30, 40, 57, 60, 72, 80, 88, 93, 100, 102, 120, 130])
@pytest.mark.parametrize("table", TABLES)
def test_no_letter_is_lost_however_narrow_the_terminal(table: str, columns: int) -> None:
    rows = TABLES[table]
    lines = on_terminal(rows, columns)
    assert max(map(cell_len, lines)) <= columns
    letters = sorted("".join(lines).replace(" ", ""))
    assert letters == sorted("".join(cell for row in rows for cell in row).replace(" ", ""))


def test_a_table_without_any_content_is_its_header() -> None:
    assert on_terminal([("A" * 30, "B" * 30), ("-", "")], 20)


def test_the_first_column_can_be_copied_whole() -> None:
    lines = on_terminal([HEADER, *RUNS, (*WIDE, "baseline")], 60)
    assert sum(line.startswith(run[0]) for line in lines for run in (*RUNS, WIDE)) == 3
