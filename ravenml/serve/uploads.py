"""Images that strangers send: their size is read from the header before a decoder may make room for them."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from ravenml.data.images import decode_image
from ravenml.errors import InputError

MAX_BYTES = 2**26  # 64 MiB
MAX_PIXELS = 2**26  # 67 million: 8192 × 8192, which is 201 MB of RGB
_KINDS = "send a PNG, JPEG, BMP, TIFF or WebP image"
_WIDTH, _HEIGHT, _BITS, _SAMPLES, _TILE_WIDTH, _TILE_HEIGHT = _TAGS = 256, 257, 258, 277, 322, 323  # of TIFF
_MARKERS = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}  # JPEG's starts of a frame
_FILL = re.compile(rb"\xff+")  # a JPEG's marker, with any number of bytes that fill up before it
_PARTS = 1 << 16  # of a file; stepping over millions of empty ones would keep all others waiting


class Refused(InputError):
    """An upload that is not decoded.  ``status`` is HTTP's: 413 too large, 415 no such image."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


def decode_upload(
    content: bytes, name: str, max_bytes: int = MAX_BYTES, max_pixels: int = MAX_PIXELS
) -> NDArray[np.uint8]:
    """Decode an image that was uploaded, as ``ravenml.data.images.read_image`` does.

    Args:
        content: the file's bytes.
        name: what messages call it.
        max_bytes: larger files are refused.
        max_pixels: images of more pixels are refused, before anything is decoded.

    Returns:
        uint8 RGB ``(height, width, 3)``.

    Raises:
        Refused: it is too large, or of a format whose size is not known beforehand.
        DataProblem: it is damaged.
    """
    check_upload(content, name, max_bytes, max_pixels)
    image = decode_image(content, Path(name))
    if image.shape[0] * image.shape[1] > max_pixels:  # a header that lied
        raise Refused(f"{name}: the image is larger than it says; {_KINDS}.", 415)
    return image


def check_upload(
    content: bytes, name: str, max_bytes: int = MAX_BYTES, max_pixels: int = MAX_PIXELS
) -> tuple[int, int]:
    """`decode_upload` without decoding: the image's (width, height), before EXIF turns it.

    Raises:
        Refused: see `decode_upload`.
    """
    if len(content) > max_bytes:
        raise Refused(f"{name} has {len(content)} bytes, and at most {max_bytes} are accepted.", 413)
    try:
        size = image_size(content)
    except IndexError:
        raise Refused(f"{name}: the image is cut off or damaged; send it again.", 415) from None
    except ValueError:
        size = None
    if size is None:
        raise Refused(f"{name} is not an image that is known here; {_KINDS}.", 415)
    width, height = size
    if width * height > max_pixels:
        raise Refused(
            f"{name} is {width}×{height}, which is more than the {max_pixels} pixels that are accepted; "
            "send a smaller image.",
            413,
        )
    return width, height


def read_file(path: Path, max_bytes: int = MAX_BYTES) -> bytes:
    """Read an image of the server's own.

    Raises:
        Refused: it is not a regular file, cannot be read, or is too large.
    """
    try:
        with open(path, "rb", opener=_without_waiting) as file:
            if not path.is_file():
                raise Refused(f"{path} is not a file.", 400)
            content = file.read(max_bytes + 1)
    except OSError as error:
        raise Refused(f"{path} cannot be read: {error.strerror}.", 400) from None
    if len(content) > max_bytes:
        raise Refused(f"{path} has more than the {max_bytes} bytes that are accepted.", 413)
    return content


def _without_waiting(path: str, flags: int) -> int:
    """A named pipe is opened at once, and then found to be no file."""
    return os.open(path, flags | os.O_NONBLOCK | os.O_NOFOLLOW)


def image_size(content: bytes) -> tuple[int, int] | None:
    """Width and height as an image's header says; None for what is not a PNG, JPEG, BMP, TIFF or WebP.

    For a TIFF, the room that decoding takes: of its largest tile, and times its planes where those are many.

    Raises:
        IndexError, ValueError: the header is cut off or absurd.
    """
    size: tuple[int, int] | None = None
    if content.startswith(b"\x89PNG\r\n\x1a\n"):
        size = _png(content)
    elif content.startswith(b"\xff\xd8\xff"):
        size = _jpeg(content)
    elif content.startswith(b"BM"):
        size = _bmp(content)
    elif content[:4] in (b"II*\0", b"MM\0*"):
        size = _tiff(content)
    elif content.startswith(b"RIFF") and content[8:12] == b"WEBP":
        size = _webp(content)
    return size if size is not None and min(size) > 0 else None


def _png(content: bytes) -> tuple[int, int] | None:
    """Every chunk must lie within the file: OpenCV makes room for as much as a chunk says that it holds."""
    at = 8
    for _ in range(_PARTS):
        if content[at + 4 : at + 8] == b"IEND":
            break
        at += _big(content, at, 4) + 12
    else:
        raise ValueError("too many chunks")
    return (_big(content, 16, 4), _big(content, 20, 4)) if content[12:16] == b"IHDR" else None


def _jpeg(content: bytes) -> tuple[int, int] | None:
    """The frame's size; segments before it, an embedded thumbnail among them, are stepped over."""
    at, found = 2, None
    for _ in range(_PARTS):
        fill = _FILL.match(content, at)
        if fill is None or fill.end() + 3 > len(content):
            break
        at = fill.end() - 1
        marker = content[at + 1]
        if marker == 0xDA:
            break
        if marker in (0x01, *range(0xD0, 0xD9)):  # these have no length
            at += 2
            continue
        if marker in _MARKERS:
            found = _big(content, at + 7, 2), _big(content, at + 5, 2)
            break
        at += 2 + max(_big(content, at + 2, 2), 2)
    return found


def _bmp(content: bytes) -> tuple[int, int]:
    if _little(content, 14, 4) == 12:  # the oldest header
        return _little(content, 18, 2), _little(content, 20, 2)
    height = int.from_bytes(_bytes(content, 22, 4), "little", signed=True)
    return _little(content, 18, 4), abs(height)


def _webp(content: bytes) -> tuple[int, int] | None:
    kind = content[12:16]
    if kind == b"VP8X":
        return _little(content, 24, 3) + 1, _little(content, 27, 3) + 1
    if kind == b"VP8L":
        bits = _little(content, 21, 4)
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    if kind == b"VP8 ":
        return _little(content, 26, 2) & 0x3FFF, _little(content, 28, 2) & 0x3FFF
    return None


def _tiff(content: bytes) -> tuple[int, int] | None:
    """The first image alone is decoded; a tile may be larger than the image, and is decoded whole."""
    fields: dict[int, int] = {}
    for tag, value in _tiff_fields(content, "little" if content.startswith(b"II") else "big"):
        fields[tag] = max(fields.get(tag, 0), value)  # one that is there twice
    if _WIDTH not in fields or _HEIGHT not in fields:
        return None
    if fields.get(_SAMPLES, 1) > 4 or fields.get(_BITS, 8) > 64:
        raise ValueError("too many planes")
    return max(fields[_WIDTH], fields.get(_TILE_WIDTH, 0)), max(fields[_HEIGHT], fields.get(_TILE_HEIGHT, 0))


def _tiff_fields(content: bytes, order: Literal["little", "big"]) -> Iterator[tuple[int, int]]:
    """The first value of each field that matters, in the first directory."""

    def number(at: int, length: int) -> int:
        return int.from_bytes(_bytes(content, at, length), order)

    start = number(4, 4)
    for entry in range(number(start, 2)):
        at = start + 2 + 12 * entry
        tag, kind, count = number(at, 2), number(at + 2, 2), number(at + 4, 4)
        if tag not in _TAGS:
            continue
        length = {1: 1, 3: 2, 4: 4}.get(kind)
        if length is None or not 0 < count < 2**16:
            raise ValueError("not a number")
        place = at + 8 if length * count <= 4 else number(at + 8, 4)
        yield tag, number(place, length)


def _bytes(content: bytes, at: int, length: int) -> bytes:
    part = content[at : at + length]
    if len(part) < length:
        raise IndexError("the header is cut off")
    return part


def _big(content: bytes, at: int, length: int) -> int:
    return int.from_bytes(_bytes(content, at, length), "big")


def _little(content: bytes, at: int, length: int) -> int:
    return int.from_bytes(_bytes(content, at, length), "little")
