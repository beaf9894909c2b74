"""TensorBoard: the run's numbers and pictures as event files in ``<run>/tensorboard``."""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from typing import Any

from ravenml.common.io import JsonObject
from ravenml.runs.events import ImageEvent, read_event
from ravenml.runs.exporters.base import Exporter, picture_path, scalars, seconds_of, step_of
from ravenml.runs.exporters.tfevents_writer import EventFileWriter

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
                tag = event.name.removesuffix(f"_{step:06d}")  # a series, where the name ends in its step
                self._open().add_picture(tag, content, *_size(content), step, seconds)
        if self._writer is not None:
            self._writer.flush()

    def start_over(self) -> None:
        if self._writer is not None:
            self._writer.close()
            self._writer = None
        for path in (self.folder / FOLDER).glob("*tfevents*"):
            path.unlink()

    def close(self, status: str, record: Mapping[str, Any]) -> None:
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
