"""An image's size without decoding it, and how its file says that it is to be turned."""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from ravenml.data.geometry import Size

PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"

_SIZE, _CHUNK = struct.Struct(">II"), struct.Struct(">I4s")  # of a PNG
_ORIENTATION = 0x0112  # EXIF's tag
_WIDTH, _HEIGHT, _BITS, _SAMPLES, _TILE_WIDTH, _TILE_HEIGHT = _TAGS = 256, 257, 258, 277, 322, 323  # of TIFF
_MARKERS = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}  # JPEG's starts of a frame, whatever the coding
_FILL = re.compile(rb"\xff+")  # a JPEG's marker, with any number of bytes that fill up before it
_PARTS = 1 << 16  # of a file; stepping over millions of empty ones would take too long
_LARGE = 1 << 27  # pixels; an image that has more must have so many bytes, too


@dataclass(frozen=True, slots=True)
class Header:
    """What the beginning of an image file says.

    Attributes:
        stored: (height, width) as the pixels lie in the file; those of the upright image where it had to be
            decoded.
        orientation: EXIF's number, 1 to 8; from 5 on height and width change places.  0: it takes a decoder
            to tell.
    """

    stored: Size
    orientation: int = 1

    @property
    def size(self) -> Size:
        """(height, width) of the upright image, as `ravenml.data.images.read_image` returns it."""
        return self.stored if self.orientation < 5 else self.stored[::-1]


def parse_header(content: bytes) -> Header | None:
    """What an image's header says; None for what is not a PNG, JPEG, BMP, TIFF or WebP.

    For a TIFF, the size is the room that decoding takes: that of its largest tile, if it is larger.

    Raises:
        IndexError, ValueError: the header is cut off or absurd.
    """
    header: Header | None = None
    if content.startswith(PNG_SIGNATURE):
        header = _png(content)
    elif content.startswith(b"\xff\xd8"):
        header = _jpeg(content)
    elif content.startswith(b"BM"):
        header = _bmp(content)
    elif content[:4] in (b"II*\0", b"MM\0*"):
        header = _tiff(content)
    elif content.startswith(b"RIFF") and content[8:12] == b"WEBP":
        header = _webp(content)
    return header if header is not None and min(header.stored) > 0 else None


def why_not_decodable(content: bytes, pixels_per_byte: int) -> str:
    """Why a decoder should not be given an image: it would make room for far more than the file holds.

    Args:
        content: the file.
        pixels_per_byte: how many pixels a byte may stand for in an image of more than 134 million pixels.

    Returns:
        The end of a sentence; empty where nothing is wrong.
    """
    try:
        if content.startswith(PNG_SIGNATURE):
            check_chunks(content)
            width, height = _SIZE.unpack_from(content, 16)
        else:
            header = parse_header(content)
            height, width = header.stored if header is not None else (0, 0)
    except (IndexError, ValueError, struct.error):
        return "the image is cut off or damaged"
    if height * width <= max(_LARGE, pixels_per_byte * len(content)):
        return ""
    return f"the image says that it has {width}×{height} pixels, in a file of {len(content)} bytes"


def check_chunks(png: bytes) -> None:
    """Every chunk must lie within the file: OpenCV makes room for as much as a chunk says that it holds.

    Raises:
        IndexError, ValueError: one does not, or there are absurdly many.
    """
    at = 8
    for _ in range(_PARTS):
        if at + 8 > len(png):
            raise IndexError("the image is cut off")
        length, kind = _CHUNK.unpack_from(png, at)
        if kind == b"IEND":
            return
        at += length + 12
    raise ValueError("too many chunks")


def _png(content: bytes) -> Header | None:
    if content[12:16] != b"IHDR":
        return None
    size = _big(content, 20, 4), _big(content, 16, 4)
    at = 8
    for _ in range(_PARTS):
        kind = content[at + 4 : at + 8]
        if kind in (b"IDAT", b"IEND"):
            return Header(size)
        if kind == b"eXIf":  # rare; whether it is obeyed is the decoder's to say
            return Header(size, orientation=0)
        at += _big(content, at, 4) + 12
    raise ValueError("too many chunks")


def _jpeg(content: bytes) -> Header | None:
    """The frame's size; segments before it, an embedded thumbnail among them, are stepped over."""
    at, orientation = 2, 1
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
            return Header((_big(content, at + 5, 2), _big(content, at + 7, 2)), orientation)
        length = max(_big(content, at + 2, 2), 2)
        if marker == 0xE1 and content[at + 4 : at + 10] == b"Exif\0\0":
            orientation = _exif_orientation(content[at + 10 : at + 2 + length])
        at += 2 + length
    return None


def _exif_orientation(tiff: bytes) -> int:
    """The orientation in EXIF's block, which is laid out as a TIFF file; 1 where it says none."""
    if tiff[:2] not in (b"II", b"MM"):
        return 1
    order = _byte_order(tiff)

    def number(at: int, length: int) -> int:
        return int.from_bytes(tiff[at : at + length], order)

    first = number(4, 4)
    for entry in range(first + 2, first + 2 + 12 * number(first, 2), 12):
        if number(entry, 2) == _ORIENTATION:
            value = number(entry + 8, 2)
            return value if 1 <= value <= 8 else 1
    return 1


def _bmp(content: bytes) -> Header:
    if _little(content, 14, 4) == 12:  # the oldest header
        return Header((_little(content, 20, 2), _little(content, 18, 2)))
    width, height = (int.from_bytes(_bytes(content, at, 4), "little", signed=True) for at in (18, 22))
    return Header((abs(height), width))


def _webp(content: bytes) -> Header | None:
    kind = content[12:16]
    if kind == b"VP8X":
        return Header((_little(content, 27, 3) + 1, _little(content, 24, 3) + 1), orientation=0)
    if kind == b"VP8L":
        bits = _little(content, 21, 4)
        return Header(((bits >> 14 & 0x3FFF) + 1, (bits & 0x3FFF) + 1), orientation=0)
    if kind == b"VP8 ":
        size = _little(content, 28, 2) & 0x3FFF, _little(content, 26, 2) & 0x3FFF
        return Header(size, orientation=0)
    return None


def _tiff(content: bytes) -> Header | None:
    """The first image alone is decoded; a tile may be larger than the image, and is decoded whole."""
    fields: dict[int, int] = {}
    for tag, value in _tiff_fields(content):
        fields[tag] = max(fields.get(tag, 0), value)  # one that is there twice
    if _WIDTH not in fields or _HEIGHT not in fields:
        return None
    if fields.get(_SAMPLES, 1) > 4 or fields.get(_BITS, 8) > 64:
        raise ValueError("too many planes")
    height = max(fields[_HEIGHT], fields.get(_TILE_HEIGHT, 0))
    return Header((height, max(fields[_WIDTH], fields.get(_TILE_WIDTH, 0))), orientation=0)


def _tiff_fields(content: bytes) -> Iterator[tuple[int, int]]:
    """The first value of each field that matters, in the first directory."""
    order = _byte_order(content)

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


def _byte_order(tiff: bytes) -> Literal["little", "big"]:
    return "little" if tiff.startswith(b"II") else "big"


def _bytes(content: bytes, at: int, length: int) -> bytes:
    part = content[at : at + length]
    if len(part) < length:
        raise IndexError("the header is cut off")
    return part


def _big(content: bytes, at: int, length: int) -> int:
    return int.from_bytes(_bytes(content, at, length), "big")


def _little(content: bytes, at: int, length: int) -> int:
    return int.from_bytes(_bytes(content, at, length), "little")
