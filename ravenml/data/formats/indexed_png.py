"""Masks as pictures: PNG files whose pixels are numbers, which OpenCV would turn into colours."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np

from ravenml.data.bitmap import PNG_SIGNATURE, chunk
from ravenml.data.images import read_bytes
from ravenml.data.problems import DataProblem

_PALETTE, _GREY = 3, 0


def read_mask(path: Path) -> tuple[np.ndarray, np.ndarray | None]:
    """A mask's values (height, width), and its palette (N, 3) of RGB, if it has one.

    Numbers are uint8 or uint16; colours are uint32, ``0xRRGGBB``.  A JPEG's grey is rounded to 0 or 255.

    Raises:
        DataProblem: it cannot be read, or is a JPEG with colours, which are not exact.
    """
    content = read_bytes(path)
    palette = None
    grey = b""
    if content.startswith(PNG_SIGNATURE) and content[25:26] == bytes([_PALETTE]):
        try:
            grey, palette = _as_grey(content)
        except (ValueError, IndexError):
            raise DataProblem(path, "", "is a damaged PNG", "copy it again from where it came") from None
    values = cv2.imdecode(np.frombuffer(grey or content, np.uint8), cv2.IMREAD_UNCHANGED)
    if values is None:
        raise DataProblem(path, "", "is not a picture that can be read", "convert it to PNG")
    if palette is not None:
        return values // (255 // ((1 << content[24]) - 1)), palette
    lossy = content.startswith(b"\xff\xd8")
    if values.ndim == 2:
        return (np.where(values > 127, 255, 0).astype(np.uint8) if lossy else values), None
    if lossy:
        raise DataProblem(path, "", "is a JPEG, whose colours are not exact", "save the masks as PNG")
    parts = values[:, :, :3].astype(np.uint32)
    if values.dtype == np.uint16:
        parts >>= 8
    blue, green, red = parts[:, :, 0], parts[:, :, 1], parts[:, :, 2]
    if (blue == green).all() and (green == red).all():
        return red.astype(np.uint8), None  # grey in three channels
    return red << 16 | green << 8 | blue, None


def write_mask(values: np.ndarray, palette: np.ndarray) -> bytes:
    """A PNG of numbers (height, width): with a palette uint8 (N, 3) for uint8, grey for uint16."""
    if values.dtype != np.uint8:
        return bytes(cv2.imencode(".png", values)[1])
    height, width = values.shape
    rows = np.zeros((height, width + 1), np.uint8)  # each row begins with its filter: 0, none
    rows[:, 1:] = values
    header = width.to_bytes(4, "big") + height.to_bytes(4, "big") + bytes([8, _PALETTE, 0, 0, 0])
    png = PNG_SIGNATURE + chunk(b"IHDR", header) + chunk(b"PLTE", palette.astype(np.uint8).tobytes())
    return png + chunk(b"IDAT", zlib.compress(rows.tobytes(), 6)) + chunk(b"IEND", b"")


def _as_grey(png: bytes) -> tuple[bytes, np.ndarray]:
    """The same picture with its numbers as shades of grey, and the palette."""
    header = bytearray(png[16:29])
    header[9] = _GREY
    out, palette = [PNG_SIGNATURE, chunk(b"IHDR", bytes(header))], None
    for kind, content in _chunks(png):
        if kind == b"PLTE":
            palette = np.frombuffer(content, np.uint8).reshape(-1, 3)
        elif kind in (b"IDAT", b"IEND"):
            out.append(chunk(kind, content))
    if palette is None:
        raise ValueError("no palette")
    return b"".join(out), palette


def _chunks(png: bytes) -> Iterator[tuple[bytes, bytes]]:
    at = 8
    while at + 8 <= len(png):
        length = int.from_bytes(png[at : at + 4], "big")
        yield png[at + 4 : at + 8], png[at + 8 : at + 8 + length]
        at += 12 + length
