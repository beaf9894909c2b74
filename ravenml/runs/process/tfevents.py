"""TensorBoard's files, read as they grow, without TensorBoard.

A file is a series of records: length (8 bytes), its CRC, the content, its CRC; each content is a protocol
buffer ``Event`` (tensorboard/compat/proto/event.proto).  Only what a scalar or a picture needs is decoded.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ravenml.common.reading import open_file

LIMIT = 64 << 20  # bytes of one record; a longer one means that the file is something else


@dataclass(frozen=True, slots=True)
class Scalar:
    """A number under a tag."""

    tag: str
    step: int
    seconds: float  # since 1970
    value: float


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture under a tag, encoded as PNG, JPEG or GIF."""

    tag: str
    step: int
    seconds: float
    content: bytes


class EventFile:
    """One file of TensorBoard's, read from where the last look ended."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._offset = 0
        self._plugins: dict[str, str] = {}  # tag to plugin: only a tag's first value says it

    def read_new(self) -> Iterator[Scalar | Picture]:
        """The scalars and pictures whose records are complete."""
        try:
            with open_file(self.path) as file:
                file.seek(self._offset)
                while len(head := file.read(12)) == 12:
                    length = struct.unpack("<Q", head[:8])[0]
                    if length > LIMIT:
                        return
                    content = file.read(length + 4)
                    if len(content) < length + 4:
                        return
                    self._offset += 16 + length
                    try:
                        yield from self._decode(content[:length])
                    except (ValueError, IndexError, struct.error):
                        continue  # a broken record
        except OSError:
            return

    def _decode(self, content: bytes) -> Iterator[Scalar | Picture]:
        seconds, step = 0.0, 0
        summaries: list[bytes] = []
        for number, value in fields(content):
            if number == 1:
                (seconds,) = struct.unpack("<d", _bytes(value))
            elif number == 2 and isinstance(value, int):
                step = value - (1 << 64) if value >= 1 << 63 else value
            elif number == 5:
                summaries.append(_bytes(value))
        for summary in summaries:
            for number, value in fields(summary):
                if number == 1:
                    yield from self._value(_bytes(value), step, seconds)

    def _value(self, content: bytes, step: int, seconds: float) -> Iterator[Scalar | Picture]:
        known = dict(fields(content))
        tag = _bytes(known.get(1, b"")).decode(errors="replace")
        if 9 in known:
            named = dict(fields(dict(fields(known[9])).get(1, b"")))
            self._plugins[tag] = _bytes(named.get(1, b"")).decode(errors="replace")
        if 2 in known:
            yield Scalar(tag, step, seconds, struct.unpack("<f", _bytes(known[2]))[0])
        elif 4 in known:
            picture = dict(fields(known[4])).get(4)
            if isinstance(picture, bytes) and picture:
                yield Picture(tag, step, seconds, picture)
        elif 8 in known and self._plugins.get(tag) == "scalars":
            number = _number(_bytes(known[8]))
            if number is not None:
                yield Scalar(tag, step, seconds, number)
        elif 8 in known and self._plugins.get(tag) == "images":
            strings = [_bytes(value) for number, value in fields(known[8]) if number == 8]
            for index, picture in enumerate(strings[2:]):  # width and height stand before the pictures
                yield Picture(f"{tag}/{index}" if len(strings) > 3 else tag, step, seconds, picture)


_SCALARS = {1: "<f", 2: "<d", 3: "<i", 9: "<q"}  # TensorFlow's data types
_LISTS = {5: "<f", 6: "<d"}


def _number(tensor: bytes) -> float | None:
    """The number in a ``TensorProto`` of one element."""
    kind = 1
    for number, value in fields(tensor):
        if number == 1 and isinstance(value, int):
            kind = value
        elif number == 4 and kind in _SCALARS:
            return float(struct.unpack_from(_SCALARS[kind], _bytes(value))[0])
        elif number in _LISTS and isinstance(value, bytes):
            return float(struct.unpack_from(_LISTS[number], value)[0])
        elif number in (7, 10) and isinstance(value, int):
            return float(value)
    return None


def _bytes(value: int | bytes) -> bytes:
    if not isinstance(value, bytes):
        raise ValueError("a number where something longer belongs")
    return value


def fields(message: int | bytes) -> Iterator[tuple[int, int | bytes]]:
    """A protocol buffer's fields: number and value (an integer, or the bytes of what is longer).

    Raises:
        ValueError: it is none.
    """
    message = _bytes(message)
    at, end = 0, len(message)
    while at < end:
        key, at = _varint(message, at)
        number, wire = key >> 3, key & 7
        if wire == 0:
            value, at = _varint(message, at)
            yield number, value
            continue
        if wire == 2:
            size, at = _varint(message, at)
        elif wire in (1, 5):
            size = 8 if wire == 1 else 4
        else:
            raise ValueError("no protocol buffer")
        if at + size > end:
            raise ValueError("a field is longer than its message")
        yield number, message[at : at + size]
        at += size


def _varint(message: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = message[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return value, at
        if shift > 63:
            raise ValueError("no number")
