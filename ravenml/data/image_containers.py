"""Sizes of images in containers: the directories of TIFF, and the boxes of JPEG 2000, AVIF and HEIC.

Everything is read by offsets that the file gives; each is checked against the file's length, and each walk
has an end.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from ravenml.data.geometry import Size

TIFF_SIGNATURES = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")  # the last two: BigTIFF
JPEG2000_SIGNATURE = b"\0\0\0\x0cjP  \r\n\x87\n"
JPEG2000_CODESTREAM = b"\xff\x4f\xff\x51"

_WIDTH, _HEIGHT, _BITS, _SAMPLES, _TILE_WIDTH, _TILE_HEIGHT = 256, 257, 258, 277, 322, 323
_SUBFILE = 254  # what an image of a TIFF is; bit 0: a smaller copy, bit 2: a mask
_TAGS = frozenset({_SUBFILE, _WIDTH, _HEIGHT, _BITS, _SAMPLES, _TILE_WIDTH, _TILE_HEIGHT})
_LENGTHS = {1: 1, 3: 2, 4: 4, 16: 8}  # bytes of a TIFF's whole numbers, by type
_MOST = 1 << 12  # directories and boxes; real files have a few
# EXIF's number for a rotation (quarter turns anticlockwise) and a mirror behind it (0: top to bottom).
_ORIENTATIONS = {
    **{(0, -1): 1, (0, 1): 2, (2, -1): 3, (0, 0): 4, (1, 0): 5, (3, -1): 6, (3, 0): 7, (1, -1): 8},
    **{(2, 0): 2, (2, 1): 4, (3, 1): 5, (1, 1): 7},
}


def tiff_size(content: bytes) -> tuple[Size, int, bool] | None:
    """What a TIFF or BigTIFF says of its first image, which alone is decoded.

    Returns:
        (height, width), the bits of a sample, and whether further pages follow.  A tile may be larger than
        the image, and is decoded whole; the size is then the tile's.  None where there is no size.

    Raises:
        IndexError, ValueError: the directory is cut off or absurd.
    """
    first, following = _directory(content, None)
    if _WIDTH not in first or _HEIGHT not in first:
        return None
    bits = first.get(_BITS, 1)
    if first.get(_SAMPLES, 1) > 4 or bits > 64:
        raise ValueError("too many planes")
    height = max(first[_HEIGHT], first.get(_TILE_HEIGHT, 0))
    size = (height, max(first[_WIDTH], first.get(_TILE_WIDTH, 0)))
    return size, bits, _another_page(content, following)


def _another_page(content: bytes, at: int) -> bool:
    """Whether a directory is a page: neither a smaller copy nor a mask of another."""
    seen: set[int] = set()
    try:
        while at and at not in seen and len(seen) < _MOST:
            seen.add(at)
            fields, at = _directory(content, at)
            if _WIDTH in fields and not fields.get(_SUBFILE, 0) & 0b101:
                return True
    except (IndexError, ValueError):
        pass  # what follows the first image is not read
    return False


def _directory(content: bytes, at: int | None) -> tuple[dict[int, int], int]:
    """The fields that matter of the directory at ``at`` (None: the first), and where the next one is."""
    order: Literal["little", "big"] = "little" if content.startswith(b"II") else "big"
    big = content[2:4] in (b"+\0", b"\0+")
    word, entry_length = (8, 20) if big else (4, 12)

    def number(at: int, length: int) -> int:
        return int.from_bytes(read_part(content, at, length), order)

    start = at if at is not None else number(8 if big else 4, word)
    count = number(start, 8 if big else 2)
    if count > _MOST:
        raise ValueError("too many fields")
    entries = start + (8 if big else 2)
    fields: dict[int, int] = {}
    for entry in range(entries, entries + entry_length * count, entry_length):
        tag, kind, values = number(entry, 2), number(entry + 2, 2), number(entry + 4, word)
        if tag not in _TAGS:
            continue
        length = _LENGTHS.get(kind)
        if length is None or not 0 < values < 2**16:
            raise ValueError("not a number")
        place = entry + 4 + word
        if length * values > word:
            place = number(place, word)
        fields[tag] = max(fields.get(tag, 0), number(place, length))  # one may be there twice
    end = entries + entry_length * count
    return fields, number(end, word) if end + word <= len(content) else 0


def jpeg2000_size(content: bytes) -> Size | None:
    """(height, width) of a JPEG 2000 image, as its codestream says, by which decoders make room.

    Raises:
        IndexError, ValueError: it is cut off or absurd.
    """
    at = 0
    if not content.startswith(JPEG2000_CODESTREAM):
        found = next((start for kind, start, _ in _boxes(content, 0, len(content)) if kind == b"jp2c"), None)
        if found is None:
            return None
        at = found
    if content[at : at + 4] != JPEG2000_CODESTREAM:
        raise ValueError("no codestream")
    right, bottom, left, top = (read_big(content, at + offset, 4) for offset in (8, 12, 16, 20))
    return bottom - top, right - left


def jpeg2000_is_whole(content: bytes) -> bool:
    """Whether the codestream has its end; a decoder fills up what is missing without a word."""
    if content.startswith(JPEG2000_CODESTREAM):
        return b"\xff\xd9" in content[-64:]
    for kind, start, end in _boxes(content, 0, len(content)):
        if kind == b"jp2c":
            return end <= len(content) and b"\xff\xd9" in content[max(start, end - 64) : end]
    return False


def heif_brand(content: bytes) -> str | None:
    """``AVIF`` or ``HEIC`` for a file of one of these kinds, else None."""
    if content[4:8] != b"ftyp":
        return None
    length = int.from_bytes(content[:4], "big")
    listed = content[16 : min(length, 256)]
    brands = {content[8:12], *(listed[at : at + 4] for at in range(0, len(listed), 4))}
    if brands & {b"avif", b"avis"}:
        return "AVIF"
    return "HEIC" if brands & {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1"} else None


def heif_size(content: bytes) -> tuple[Size, int] | None:
    """(height, width) as the pixels lie in an AVIF or HEIC file, and EXIF's number for how it is turned.

    Raises:
        IndexError, ValueError: it is cut off or absurd.
    """
    sizes: list[Size] = []
    turned, mirrored = 0, -1
    for kind, start, _ in _within(content, (b"meta", b"iprp", b"ipco")):
        if kind == b"ispe":
            sizes.append((read_big(content, start + 8, 4), read_big(content, start + 4, 4)))
        elif kind == b"irot":
            turned = read_big(content, start, 1) & 3
        elif kind == b"imir":
            mirrored = read_big(content, start, 1) & 1
    if not sizes:
        return None
    # The parts of a grid and a thumbnail have sizes too; the image is the largest.
    return max(sizes, key=lambda size: size[0] * size[1]), _ORIENTATIONS[turned, mirrored]


def _within(content: bytes, path: tuple[bytes, ...]) -> Iterator[tuple[bytes, int, int]]:
    """The boxes in boxes of these kinds, one in the other."""
    start, end = 0, len(content)
    for wanted in path:
        found = next(((s, e) for kind, s, e in _boxes(content, start, end) if kind == wanted), None)
        if found is None:
            return
        start, end = found
        start += 4 if wanted == b"meta" else 0  # its version
    yield from _boxes(content, start, end)


def _boxes(content: bytes, at: int, end: int) -> Iterator[tuple[bytes, int, int]]:
    """Each box's kind, and where its content begins and ends, which may be behind the file's end."""
    for _ in range(_MOST):
        if at + 8 > min(end, len(content)):
            return
        length, kind, head = read_big(content, at, 4), content[at + 4 : at + 8], 8
        if length == 1:
            length, head = read_big(content, at + 8, 8), 16
        elif length == 0:  # to the end
            length = end - at
        if length < head:
            raise ValueError("a box is shorter than its own head")
        yield kind, at + head, at + length
        at += length


def read_part(content: bytes, at: int, length: int) -> bytes:
    """So many bytes at a place; raises IndexError where the content ends before."""
    part = content[at : at + length]
    if len(part) < length:
        raise IndexError("the header is cut off")
    return part


def read_big(content: bytes, at: int, length: int) -> int:
    """A big-endian whole number; raises IndexError where the content ends before."""
    return int.from_bytes(read_part(content, at, length), "big")
