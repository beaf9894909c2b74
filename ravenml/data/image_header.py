"""An image's size without decoding it, and how its file says that it is to be turned."""

from __future__ import annotations

import re
import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from ravenml.data.geometry import Size
from ravenml.data.image_containers import (
    JPEG2000_CODESTREAM,
    JPEG2000_SIGNATURE,
    TIFF_SIGNATURES,
    heif_brand,
    heif_size,
    jpeg2000_size,
    read_big,
    read_part,
    tiff_size,
)

KINDS = "PNG, JPEG, BMP, TIFF, WebP, GIF, JPEG 2000, AVIF, HEIC or PNM"  # that are read
PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"

_CHUNK = struct.Struct(">I4s")  # of a PNG
_ORIENTATION = 0x0112  # EXIF's tag
_MARKERS = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}  # JPEG's starts of a frame, whatever the coding
_FILL = re.compile(rb"\xff+")  # a JPEG's marker, with any number of bytes that fill up before it
_PNM = re.compile(rb"P[1-6](?:\s|#[^\n]*\n)")
_PNM_SIZE = re.compile(rb"P[1-6](?:\s|#[^\n]{0,999}\n){1,99}(\d{1,9})(?:\s|#[^\n]{0,999}\n){1,99}(\d{1,9})\s")
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
        bits: of a sample; a bilevel scan has 1.
        more: whether further pages or frames follow, which are not read.
    """

    stored: Size
    orientation: int = 1
    bits: int = 8
    more: bool = False

    @property
    def size(self) -> Size:
        """(height, width) of the upright image, as `ravenml.data.images.read_image` returns it."""
        return self.stored if self.orientation < 5 else self.stored[::-1]


def image_kind(content: bytes) -> str | None:
    """The kind of image that a file begins like, as people call it; None for what is not one of these."""
    if content.startswith(PNG_SIGNATURE):
        return "PNG"
    if content.startswith(b"\xff\xd8"):
        return "JPEG"
    if content.startswith(b"BM"):
        return "BMP"
    if content.startswith(TIFF_SIGNATURES):
        return "TIFF"
    if content.startswith(b"RIFF") and content[8:12] == b"WEBP":
        return "WebP"
    if content.startswith((b"GIF87a", b"GIF89a")):
        return "GIF"
    if content.startswith((JPEG2000_SIGNATURE, JPEG2000_CODESTREAM)):
        return "JPEG 2000"
    if _PNM.match(content):
        return "PNM"
    return heif_brand(content)


def parse_header(content: bytes) -> Header | None:
    """What an image's header says; None for what `image_kind` does not know, and for an empty image.

    For a TIFF, the size is the room that decoding takes: that of its largest tile, if it is larger.

    Raises:
        IndexError, ValueError: the header is cut off or absurd.
    """
    parse = _PARSERS.get(image_kind(content) or "")
    header = parse(content) if parse is not None else None
    return header if header is not None and min(header.stored) > 0 else None


def why_not_decodable(content: bytes, pixels_per_byte: int) -> str:
    """Why a decoder should not be given an image: it would make room for far more than the file holds.

    Args:
        content: the file.
        pixels_per_byte: how many pixels a byte may stand for in an image of more than 134 million pixels
            and 8 bits; of a bilevel image eight times as many.

    Returns:
        The end of a sentence; empty where nothing is wrong.
    """
    try:
        if content.startswith(PNG_SIGNATURE):
            check_chunks(content)
        header = parse_header(content)
    except (IndexError, ValueError, struct.error):
        return "the image is cut off or damaged"
    return why_too_large(header, len(content), pixels_per_byte) if header is not None else ""


def why_too_large(header: Header, length: int, pixels_per_byte: int) -> str:
    """`why_not_decodable`, where only the header of a file of ``length`` bytes was read."""
    height, width = header.stored
    if height * width <= max(_LARGE, pixels_per_byte * length * 8 // min(max(header.bits, 1), 8)):
        return ""
    return f"the image says that it has {width}×{height} pixels, in a file of {length} bytes"


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
    size, bits = (read_big(content, 20, 4), read_big(content, 16, 4)), read_big(content, 24, 1)
    at, more = 8, False
    for _ in range(_PARTS):
        kind = content[at + 4 : at + 8]
        if kind in (b"IDAT", b"IEND"):
            return Header(size, bits=bits, more=more)
        if kind == b"eXIf":  # rare; whether it is obeyed is the decoder's to say
            return Header(size, 0, bits, more)
        if kind == b"acTL":
            more = read_big(content, at + 8, 4) > 1
        at += read_big(content, at, 4) + 12
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
            return Header((read_big(content, at + 5, 2), read_big(content, at + 7, 2)), orientation)
        length = max(read_big(content, at + 2, 2), 2)
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
    width, height = (int.from_bytes(read_part(content, at, 4), "little", signed=True) for at in (18, 22))
    return Header((abs(height), width))


def _webp(content: bytes) -> Header | None:
    kind = content[12:16]
    if kind == b"VP8X":
        animated = bool(_little(content, 20, 1) & 2)
        return Header((_little(content, 27, 3) + 1, _little(content, 24, 3) + 1), 0, more=animated)
    if kind == b"VP8L":
        bits = _little(content, 21, 4)
        return Header(((bits >> 14 & 0x3FFF) + 1, (bits & 0x3FFF) + 1), orientation=0)
    if kind == b"VP8 ":
        size = _little(content, 28, 2) & 0x3FFF, _little(content, 26, 2) & 0x3FFF
        return Header(size, orientation=0)
    return None


def _gif(content: bytes) -> Header:
    """The screen's size; the blocks up to the second frame are stepped over."""
    size = _little(content, 8, 2), _little(content, 6, 2)
    at = 13 + _colours(content[10])
    seen = False
    for _ in range(_PARTS):
        kind = content[at : at + 1]
        if kind == b"!":  # an extension
            at += 2
        elif kind == b"," and seen:
            return Header(size, orientation=0, more=True)
        elif kind == b",":
            seen = True
            at += 11 + _colours(read_big(content, at + 9, 1))
        elif seen:  # the end, or what follows the first frame is damaged
            break
        else:
            raise ValueError("no frame")
        while length := read_big(content, at, 1):
            at += length + 1
        at += 1
    return Header(size, orientation=0)


def _colours(flags: int) -> int:
    """The bytes of a GIF's table of colours."""
    return 3 << (flags & 7) + 1 if flags & 0x80 else 0


def _pnm(content: bytes) -> Header:
    found = _PNM_SIZE.match(content)
    if found is None:
        raise ValueError("no size")
    bits = 1 if content[1:2] in b"14" else 8
    return Header((int(found[2]), int(found[1])), 0, bits)


def _tiff(content: bytes) -> Header | None:
    said = tiff_size(content)
    return Header(said[0], 0, said[1], said[2]) if said is not None else None


def _jpeg2000(content: bytes) -> Header | None:
    size = jpeg2000_size(content)
    return Header(size, orientation=0) if size is not None else None


def _heif(content: bytes) -> Header | None:
    said = heif_size(content)
    return Header(said[0], orientation=0) if said is not None else None


def _byte_order(tiff: bytes) -> Literal["little", "big"]:
    return "little" if tiff.startswith(b"II") else "big"


def _little(content: bytes, at: int, length: int) -> int:
    return int.from_bytes(read_part(content, at, length), "little")


_PARSERS: dict[str, Callable[[bytes], Header | None]] = {
    "PNG": _png,
    "JPEG": _jpeg,
    "BMP": _bmp,
    "TIFF": _tiff,
    "WebP": _webp,
    "GIF": _gif,
    "PNM": _pnm,
    "JPEG 2000": _jpeg2000,
    "AVIF": _heif,
    "HEIC": _heif,
}
