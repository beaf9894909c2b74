"""TensorBoard's files, read as they grow, without TensorBoard.

A file is a series of records: length (8 bytes), its CRC, the content, its CRC; each content is a protocol
buffer ``Event`` (tensorboard/compat/proto/event.proto).  Scalars, pictures, texts, histograms and PR curves
are decoded.
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


@dataclass(frozen=True, slots=True)
class Words:
    """A text under a tag."""

    tag: str
    step: int
    seconds: float
    text: str


@dataclass(frozen=True, slots=True)
class Plot:
    """Numbers under a tag that are drawn.

    Attributes:
        kind: ``histogram`` or ``pr_curve``.
        data: of a histogram, ``levels`` (0…1) and the ``values`` below which these shares of it lie; of a PR
            curve, ``x`` (recall) and ``y`` (precision).
    """

    tag: str
    step: int
    seconds: float
    kind: str
    data: dict[str, list[float]]


Found = Scalar | Picture | Words | Plot


class EventFile:
    """One file of TensorBoard's, read from where the last look ended."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._offset = 0
        self._plugins: dict[str, str] = {}  # tag to plugin: only a tag's first value says it

    def read_new(self) -> Iterator[Found]:
        """What is in the records that are complete."""
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

    def _decode(self, content: bytes) -> Iterator[Found]:
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

    def _value(self, content: bytes, step: int, seconds: float) -> Iterator[Found]:
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
        elif 5 in known:
            if data := _quantiles(_buckets(_bytes(known[5]))):
                yield Plot(tag, step, seconds, "histogram", data)
        elif 8 in known:
            yield from self._tensor(tag, step, seconds, _bytes(known[8]))

    def _tensor(self, tag: str, step: int, seconds: float, tensor: bytes) -> Iterator[Found]:
        plugin = self._plugins.get(tag)
        if plugin == "scalars":
            number = _number(tensor)
            if number is not None:
                yield Scalar(tag, step, seconds, number)
        elif plugin == "images":
            strings = [_bytes(value) for number, value in fields(tensor) if number == 8]
            for index, picture in enumerate(strings[2:]):  # width and height stand before the pictures
                yield Picture(f"{tag}/{index}" if len(strings) > 3 else tag, step, seconds, picture)
        elif plugin == "text":
            texts = [
                _bytes(value).decode(errors="replace") for number, value in fields(tensor) if number == 8
            ]
            yield Words(tag, step, seconds, "\n".join(texts))
        elif plugin == "histograms":
            numbers = _numbers(tensor)
            if data := _quantiles(list(zip(numbers[::3], numbers[1::3], numbers[2::3], strict=False))):
                yield Plot(tag, step, seconds, "histogram", data)
        elif plugin == "pr_curves":
            numbers = _numbers(tensor)
            precision, recall = numbers[4 * (length := len(numbers) // 6) : 5 * length], numbers[5 * length :]
            if length:
                yield Plot(tag, step, seconds, "pr_curve", {"x": recall, "y": precision})


def first_record(path: Path) -> bytes:
    """The bytes of a file's first record; none as long as it is not whole.

    Raises:
        OSError: the file cannot be read.
    """
    with open_file(path) as file:
        head = file.read(12)
        length = struct.unpack("<Q", head[:8])[0] if len(head) == 12 else 0
        content = file.read(min(length, 4096))
        return content if 0 < len(content) >= min(length, 4096) else b""


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


def _numbers(tensor: bytes) -> list[float]:
    """All numbers of a ``TensorProto`` of floats."""
    kind, content, listed = 1, b"", b""
    for number, value in fields(tensor):
        if number == 1 and isinstance(value, int):
            kind = value
        elif number == 4:
            content = _bytes(value)
        elif number in _LISTS:  # packed into one, or one by one
            listed += _bytes(value)
    letter = "d" if kind == 2 else "f"
    return _unpack(content or listed, letter)


def _unpack(content: bytes, letter: str) -> list[float]:
    return list(struct.unpack(f"<{len(content) // struct.calcsize(letter)}{letter}", content))


def _buckets(histogram: bytes) -> list[tuple[float, float, float]]:
    """The buckets of a ``HistogramProto``: left and right edge, and how many values lie between."""
    edges, counts = b"", b""
    ends = {1: 0.0, 2: 0.0}  # the least and the greatest value
    for number, value in fields(histogram):
        if number in ends:
            (ends[number],) = struct.unpack("<d", _bytes(value))
        elif number == 6:
            edges += _bytes(value)
        elif number == 7:
            counts += _bytes(value)
    rights = [min(edge, ends[2]) for edge in _unpack(edges, "d")]
    lefts = [ends[1], *(max(edge, ends[1]) for edge in rights[:-1])]
    return list(zip(lefts, rights, _unpack(counts, "d"), strict=False))


LEVELS = (0.0, 0.05, 0.25, 0.5, 0.75, 0.95, 1.0)


def _quantiles(buckets: list[tuple[float, float, float]]) -> dict[str, list[float]]:
    """The values below which the shares `LEVELS` of a histogram lie, as if its buckets were evenly filled."""
    filled = [bucket for bucket in buckets if bucket[2] > 0]
    if not filled:
        return {}
    total = sum(count for *_, count in filled)
    values: list[float] = []
    before, at = 0.0, 0
    for level in LEVELS:
        while at < len(filled) - 1 and before + filled[at][2] < level * total:
            before += filled[at][2]
            at += 1
        left, right, count = filled[at]
        values.append(left + (right - left) * min(1.0, max(0.0, (level * total - before) / count)))
    return {"levels": list(LEVELS), "values": values}


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
