"""Large JSON in pieces: read without holding more than one entry, and written as it comes."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO, NamedTuple

import orjson

from ravenml.common.reading import open_file
from ravenml.data.problems import DataProblem

_CHUNK = 1 << 20
_GOES_ON = 4  # characters behind a number that show that it is whole
_LONGEST = 1 << 28  # characters of one entry


class JsonEntry(NamedTuple):
    """A value in a large file.

    Attributes:
        key: the member of the outermost object that it is in.
        number: which entry of that member's list; -1 where the member is not a list, and, with the value
            ``[]``, for a list's beginning.
        start: where its first byte is.
        end: behind its last byte.
        value: what it says; text beyond ASCII is garbled here, so parse those bytes instead.
    """

    key: str
    number: int
    start: int
    end: int
    value: object


def entries(path: Path, chunk: int = _CHUNK, file: IO[bytes] | None = None) -> Iterator[JsonEntry]:
    """The entries of all lists in a file's outermost object, and its other members, in the file's order.

    The file is read once, a chunk at a time, as Latin-1: then characters are bytes, and JSON's own signs are
    what they are in UTF-8.

    Args:
        path: the file.
        chunk: how many bytes are read at a time.
        file: where its text is in UTF-8, if that is not the file itself; it stays open.

    Raises:
        DataProblem: the file is not a JSON object, and nothing else; names the byte.
    """
    if file is not None:
        file.seek(0)
        yield from _Reader(path, chunk, file).entries()
        return
    try:
        opened = open_file(path)
    except OSError as error:
        raise DataProblem(path, "", f"cannot be read ({error.strerror})", "make it readable") from None
    with opened:
        yield from _Reader(path, chunk, opened).entries()


def members(pairs: Iterable[tuple[str, object]]) -> Iterator[bytes]:
    """The members of a JSON object, one per line."""
    for number, (name, value) in enumerate(pairs):
        yield (b",\n" if number else b"\n") + orjson.dumps(name) + b": " + orjson.dumps(value)


def elements(values: Iterable[object]) -> Iterator[bytes]:
    """The entries of a JSON list, one per line."""
    for number, value in enumerate(values):
        yield (b",\n" if number else b"\n") + orjson.dumps(value)


class _Reader:
    def __init__(self, path: Path, chunk: int, file: IO[bytes]) -> None:
        self.path, self.chunk, self.file = path, chunk, file
        self.buffer, self.at, self.passed, self.ended = "", 0, 0, False
        self.decode = json.JSONDecoder().raw_decode

    def entries(self) -> Iterator[JsonEntry]:
        for byte in "\u00ef\u00bb\u00bf":  # UTF-8's byte order mark
            if self.sign() == byte:  # which may read on, and so move `at`
                self.at += 1
        self.expect("{")
        while self.sign() != "}":
            _, _, key = self.value()
            if not isinstance(key, str):
                raise self.error(f"has {key!r} where a name belongs")
            self.expect(":")
            if self.sign() == "[":
                yield from self.list(key)
            else:
                start, end, value = self.value()
                yield JsonEntry(key, -1, start, end, value)
            self.between("}")
        self.at += 1
        if self.next_sign():
            raise self.error("goes on after its end")

    def list(self, key: str) -> Iterator[JsonEntry]:
        self.expect("[")
        yield JsonEntry(key, -1, self.passed + self.at, self.passed + self.at, [])
        number = 0
        while self.sign() != "]":
            start, end, value = self.value()
            yield JsonEntry(key, number, start, end, value)
            number += 1
            self.between("]")
        self.expect("]")

    def sign(self) -> str:
        """The next character that is not white space, which is not taken."""
        found = self.next_sign()
        if not found:
            raise self.error("ends too early")
        return found

    def next_sign(self) -> str:
        """The same, or nothing at the file's end."""
        while True:
            while self.at < len(self.buffer):
                if self.buffer[self.at] not in " \t\n\r":
                    return self.buffer[self.at]
                self.at += 1
            if not self.more():
                return ""

    def expect(self, sign: str) -> None:
        found = self.sign()
        if found != sign:
            raise self.error(f"has {found!r} where {sign!r} belongs")
        self.at += 1

    def between(self, closing: str) -> None:
        if self.sign() != closing:
            self.expect(",")
            if self.sign() == closing:
                raise self.error(f"has a comma before {closing!r}")

    def value(self) -> tuple[int, int, object]:
        self.sign()
        while True:
            try:
                value, end = self.decode(self.buffer, self.at)
            except json.JSONDecodeError as error:
                # What is cut off by the chunk's end fails there, or at the beginning of a text that is open.
                torn = error.pos >= len(self.buffer) - 12 or error.msg.startswith("Unterminated string")
                if not torn or len(self.buffer) - self.at > _LONGEST or not self.more():
                    self.at = min(error.pos, len(self.buffer))
                    raise self.error(f"is not valid JSON ({error.msg})") from None
                continue
            except (RecursionError, ValueError) as error:  # lists within lists without end; absurd numbers
                raise self.error(f"is not valid JSON ({type(error).__name__})") from None
            if len(self.buffer) - end < _GOES_ON and self.more():
                continue  # a number may go on: of 1.5e+3 the first characters are numbers too
            start, self.at = self.at, end
            return self.passed + start, self.passed + end, value

    def more(self) -> bool:
        """Read on; as much again as is held, so that a long entry is not begun over and over."""
        if self.ended:
            return False
        kept = self.buffer[self.at :]
        content = self.file.read(max(self.chunk, len(kept)))
        if not content:
            self.ended = True
            return False  # and all places stay as they are
        self.passed += self.at
        self.buffer, self.at = kept + content.decode("latin-1"), 0
        return True

    def error(self, problem: str) -> DataProblem:
        return DataProblem(self.path, f"byte {self.passed + self.at}", problem, "export it again")
