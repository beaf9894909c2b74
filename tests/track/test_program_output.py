"""What stays of a program's output: bars are one line, colours are gone, nothing else is lost."""

from __future__ import annotations

import pytest

from ravenml.runs.process.terminal_text import TerminalText


def collapsed(*pieces: str) -> str:
    lines = TerminalText()
    return "".join(lines.feed(piece) for piece in pieces) + lines.end()


@pytest.mark.parametrize(
    ("printed", "kept"),
    [
        ("one\ntwo\n", "one\ntwo\n"),
        ("no newline at the end", "no newline at the end\n"),
        ("\r10 %\r50 %\r100 %\ndone\n", "100 %\ndone\n"),
        ("windows\r\nlines\r\n", "windows\nlines\n"),
        ("abcdef\rxyz\n", "xyzdef\n"),
        ("abcdef\r\x1b[Kxyz\n", "xyz\n"),
        ("\x1b[31mred\x1b[0m and plain\n", "red and plain\n"),
        ("typo\x08\x08ed\n", "tyed\n"),
        ("", ""),
        ("\n\n", "\n\n"),
        ("\x1b]0;a title\x07text\n", "text\n"),
    ],
)
def test_a_terminal_would_show_the_same_in_the_end(printed: str, kept: str) -> None:
    assert collapsed(printed) == kept
    assert collapsed(*printed) == kept  # whatever pieces it comes in


def test_bars_below_bars_are_a_line_each() -> None:
    lines = TerminalText()
    given = ""
    for outer in range(3):
        given += lines.feed(f"\repochs {outer}/3")
        for inner in range(50):
            given += lines.feed("\n") + lines.feed(f"\rsteps {inner}/50") + lines.feed("\x1b[A")
            given += lines.settle()
    given += lines.feed("\n\nall done\n") + lines.settle() + lines.settle() + lines.end()
    assert given == "epochs 2/3\nsteps 49/50\nall done\n"


def test_lines_are_given_at_once_where_there_is_no_bar() -> None:
    lines = TerminalText()
    assert lines.feed("first\nsec") == "first\n"
    assert lines.feed("ond\n") == "second\n"


def test_a_line_without_end_takes_a_bounded_place() -> None:
    lines = TerminalText()
    given = sum(len(lines.feed("x" * 100_000)) for _ in range(100))
    assert given > 8_000_000
    assert len(lines.end()) < 3_000_000
