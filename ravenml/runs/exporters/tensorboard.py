"""TensorBoard: the run's numbers and pictures as event files in ``<run>/tensorboard``."""

from __future__ import annotations

import os
import socket
import struct
import time
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

from ravenml.common.io import JsonObject
from ravenml.common.permissions import make_folder
from ravenml.runs.events import ImageEvent, read_event
from ravenml.runs.exporters.base import Exporter, picture_path, scalars, seconds_of, series_of, step_of

FOLDER = "tensorboard"


class TensorBoard(Exporter):
    """Each process writes a file of its own beside those of earlier ones; TensorBoard reads them together."""

    _writer: EventFileWriter | None = None

    def take(self, events: Sequence[JsonObject]) -> None:
        created = seconds_of({"timestamp": self.record.get("created")})
        for event in map(read_event, events):
            seconds = event.seconds or 0.0
            for tag, value, step in scalars(event, created):
                self._open().add_scalar(tag, value, step, seconds)
            if isinstance(event, ImageEvent) and (path := picture_path(event, self.folder)) is not None:
                content, step = path.read_bytes(), step_of(event)
                self._open().add_picture(series_of(event), content, *_size(content), step, seconds)
        if self._writer is not None:
            self._writer.flush()

    def start_over(self) -> None:
        if self._writer is not None:
            self._writer.close()
            self._writer = None
        for path in (self.folder / FOLDER).glob("*tfevents*"):
            path.unlink()

    def close(self, status: str, record: JsonObject) -> None:
        if self._writer is not None:
            self._writer.close()

    def where(self) -> str:
        return f"tensorboard --logdir {self.folder / FOLDER}"

    def _open(self) -> EventFileWriter:
        if self._writer is None:
            self._writer = EventFileWriter(self.folder / FOLDER)
        return self._writer


def _size(content: bytes) -> tuple[int, int]:
    """Height and width of an encoded picture; a PNG says them in its first bytes."""
    if content.startswith(b"\x89PNG"):
        width, height = struct.unpack(">II", content[16:24])
        return int(height), int(width)
    import cv2
    import numpy as np

    image = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR)
    return (int(image.shape[0]), int(image.shape[1])) if image is not None else (0, 0)


_double, _float, _length = struct.Struct("<d").pack, struct.Struct("<f").pack, struct.Struct("<Q").pack
_crc = struct.Struct("<I").pack


def _make_table() -> tuple[int, ...]:
    table = []
    for value in range(256):
        for _ in range(8):
            value = value >> 1 ^ (0x82F63B78 if value & 1 else 0)
        table.append(value)
    return tuple(table)


_TABLE = _make_table()


class EventFileWriter:
    """TensorBoard's files, written without TensorBoard: many scalars for little work.

    The format is that of ``tfevents`` (see ``ravenml.runs.process.tfevents``): records with masked CRC-32C,
    each a protocol buffer ``Event``.  Appends to a new file in ``folder``; what was added is on
    disk after :meth:`flush`.
    """

    def __init__(self, folder: Path) -> None:
        make_folder(folder)
        name = f"events.out.tfevents.{time.time():.6f}.{socket.gethostname()}.{os.getpid()}"
        self._file = (folder / name).open("wb")
        version = b"brain.Event:2"
        self._add(b"\x09" + _double(time.time()) + b"\x1a" + _varint(len(version)) + version)

    def add_scalar(self, tag: str, value: float, step: int, seconds: float) -> None:
        """A number under a tag; ``seconds`` is its time since 1970."""
        try:
            number = _float(value)
        except OverflowError:  # beyond what 32 bits can say
            number = _float(float("inf") if value > 0 else float("-inf"))
        self._add_value(_tag(tag) + b"\x15" + number, step, seconds)

    def add_picture(
        self, tag: str, content: bytes, height: int, width: int, step: int, seconds: float
    ) -> None:
        """An encoded picture (PNG, JPEG, GIF) under a tag."""
        image = b"\x08" + _varint(height) + b"\x10" + _varint(width) + b"\x18\x03"
        image += b"\x22" + _varint(len(content)) + content
        self._add_value(_tag(tag) + b"\x22" + _varint(len(image)) + image, step, seconds)

    def flush(self) -> None:
        """Write what was added."""
        self._file.flush()

    def close(self) -> None:
        """Write what was added, and close the file."""
        self._file.close()

    def _add_value(self, value: bytes, step: int, seconds: float) -> None:
        summary = b"\x0a" + _varint(len(value)) + value
        head = b"\x09" + _double(seconds) + b"\x10" + _varint(step & 0xFFFFFFFFFFFFFFFF)
        self._add(head + b"\x2a" + _varint(len(summary)) + summary)

    def _add(self, event: bytes) -> None:
        length = _length(len(event))
        self._file.write(b"".join((length, _masked(length), event, _crc(_mask(_crc32c(event))))))


@lru_cache(4096)
def _tag(tag: str) -> bytes:
    content = tag.encode()
    return b"\x0a" + _varint(len(content)) + content


def _varint(value: int) -> bytes:
    if value < 0x80:
        return bytes((value,))
    parts = bytearray()
    while value >= 0x80:
        parts.append(value & 0x7F | 0x80)
        value >>= 7
    parts.append(value)
    return bytes(parts)


@lru_cache(4096)
def _masked(content: bytes) -> bytes:
    return _crc(_mask(_crc32c(content)))


def _mask(crc: int) -> int:
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


def _crc32c(content: bytes) -> int:
    """CRC-32C (Castagnoli)."""
    crc, table = 0xFFFFFFFF, _TABLE
    for byte in content:
        crc = table[(crc ^ byte) & 0xFF] ^ crc >> 8
    return crc ^ 0xFFFFFFFF
