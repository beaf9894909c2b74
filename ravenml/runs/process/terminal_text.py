"""What a terminal would show in the end: text in which progress bars are one line, not a thousand."""

from __future__ import annotations

import re

HELD = 64  # lines that a bar may still go up to
LONGEST = 1 << 20  # characters of one line
_CONTROL = re.compile(r"\r|\n|\x08|\x1b\[[0-?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)|\x1b[@-Z\\-_]")
_SPECIAL = re.compile("[\r\x08\x1b]")
_TORN = re.compile(r"\x1b(?:\[[0-?]*[ -/]*|\][^\x07\x1b]*)?$")


class TerminalText:
    """Takes what a program prints, piece by piece, and gives the lines that stay.

    A line is given once its newline has come and nothing has gone back above it for a moment
    (:meth:`settle`): bars below bars (tqdm's ``position``, rich) move the cursor up and write again.
    Colours and other codes for terminals are left out.
    """

    def __init__(self) -> None:
        self._lines = [""]
        self._row = 0
        self._column = 0
        self._went_up = False
        self._torn = ""
        self._plain = True  # whether there is one line, and nothing but text has gone into it

    def feed(self, text: str) -> str:
        """The lines that are final now, newlines included."""
        if self._plain and _SPECIAL.search(text) is None:  # as almost always
            whole, newline, rest = (self._lines[0] + text).rpartition("\n")
            self._lines, self._column = [rest], len(rest)
            return whole + newline + self._overlong()
        self._plain = False
        self._take(text)
        return self._overlong()

    def settle(self) -> str:
        """What nobody has gone back to since the last call; to be called every fraction of a second."""
        if self._went_up:
            self._went_up = False  # a bar is moving: its lines are looked at again next time
            return self._leave(max(0, len(self._lines) - HELD))
        return self._leave(self._row if self._row == len(self._lines) - 1 else 0)

    def end(self) -> str:
        """All that is left."""
        left = self._leave(len(self._lines) - 1) + self._lines[0]
        self._lines, self._row, self._column = [""], 0, 0
        return left if not left or left.endswith("\n") else f"{left}\n"

    def _take(self, text: str) -> None:
        text = self._torn + text
        torn = _TORN.search(text)
        self._torn = text[torn.start() :][:256] if torn else ""
        text = text[: torn.start()] if torn else text
        at = 0
        for control in _CONTROL.finditer(text):
            self._put(text[at : control.start()])
            at = control.end()
            self._obey(control.group())
        self._put(text[at:])

    def _put(self, text: str) -> None:
        if text:
            line = self._lines[self._row].ljust(self._column)
            self._lines[self._row] = line[: self._column] + text + line[self._column + len(text) :]
            self._column += len(text)

    def _obey(self, control: str) -> None:
        if control == "\n":
            self._row, self._column = self._row + 1, 0
            if self._row == len(self._lines):
                self._lines.append("")
        elif control == "\r":
            self._column = 0
        elif control == "\x08":
            self._column = max(0, self._column - 1)
        elif control.startswith("\x1b["):
            self._move(control[-1], control[2:-1])

    def _move(self, letter: str, count: str) -> None:
        number = int(count[:9]) if count.isdecimal() else 1
        line = self._lines[self._row]
        if letter in "AF":
            self._went_up = True
            above = max(0, number - self._row)
            self._lines[:0] = [""] * min(above, HELD)  # lines that were given already
            self._row = max(0, self._row - number)
            self._column = self._column if letter == "A" else 0
        elif letter in "BE":
            self._row = min(len(self._lines) - 1, self._row + number)
            self._column = self._column if letter == "B" else 0
        elif letter == "C":
            self._column += min(number, 1000)
        elif letter == "D":
            self._column = max(0, self._column - number)
        elif letter == "G":
            self._column = min(number, 1000) - 1 if number else 0
        elif letter == "K":
            kept = {"1": " " * self._column + line[self._column :], "2": ""}
            self._lines[self._row] = kept.get(count, line[: self._column])
        elif letter == "J":
            self._lines[self._row] = line[: self._column]
            del self._lines[self._row + 1 :]

    def _leave(self, count: int) -> str:
        """Give the first ``count`` lines away."""
        given = self._lines[:count]
        del self._lines[:count]
        self._row = max(0, self._row - count)
        self._plain = self._plain or (self._lines == [""] and not self._torn)
        return "".join(f"{line.rstrip(' ')}\n" for line in given)

    def _overlong(self) -> str:
        given = self._leave(len(self._lines) - HELD) if len(self._lines) > HELD else ""
        if len(self._lines[0]) > LONGEST:
            given, self._lines[0], self._column = given + self._lines[0], "", 0
        return given
