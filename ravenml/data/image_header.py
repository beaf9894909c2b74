"""An image's size without decoding it, and how its file says that it is to be turned."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Literal

from ravenml.data.images import read_bytes, read_image

_JPEG, _PNG = b"\xff\xd8", b"\x89PNG\r\n\x1a\n"
_SIZED = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}  # start of frame, whatever the coding
_ORIENTATION = 0x0112


@dataclass(frozen=True, slots=True)
class Header:
    """What the beginning of an image file says.

    Attributes:
        stored: (height, width) as the pixels lie in the file; for kinds that had to be decoded, those of
            the upright image.
        orientation: EXIF's number, 1 to 8; from 5 on height and width change places.
    """

    stored: tuple[int, int]
    orientation: int = 1

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) of the upright image, as `ravenml.data.images.read_image` returns it."""
        return self.stored if self.orientation < 5 else self.stored[::-1]


def read_header(path: Path) -> Header:
    """Read an image's size and orientation; only what is not a JPEG, PNG or BMP is decoded for it.

    Raises:
        DataProblem: the file is missing, or is not an image that is read.
    """
    try:
        with path.open("rb") as file:
            begin = file.read(30)
            found = None
            if begin.startswith(_JPEG):
                found = _jpeg(file)
            elif begin.startswith(_PNG) and begin[12:16] == b"IHDR":
                found = _png(file, begin)
            elif begin.startswith(b"BM") and len(begin) == 30 and begin[14] >= 40:
                width, height = (int.from_bytes(begin[at : at + 4], "little", signed=True) for at in (18, 22))
                found = Header((abs(height), width))
    except OSError:
        read_bytes(path)  # says what is wrong
    if found is not None and min(found.stored) > 0:
        return found
    height, width = read_image(path).shape[:2]
    return Header((height, width))


def _jpeg(file: BinaryIO) -> Header | None:
    file.seek(2)
    orientation = 1
    while True:
        head = file.read(4)
        if len(head) < 4 or head[0] != 0xFF:
            return None
        if head[1] == 0xFF:  # a fill byte
            file.seek(-3, 1)
            continue
        length = int.from_bytes(head[2:], "big") - 2
        if head[1] in _SIZED:
            frame = file.read(5)
            size = int.from_bytes(frame[1:3], "big"), int.from_bytes(frame[3:5], "big")
            return Header(size, orientation)
        if head[1] == 0xE1:
            content = file.read(length)
            if content.startswith(b"Exif\0\0"):
                orientation = _orientation(content[6:])
        else:
            file.seek(length, 1)
        if head[1] == 0xDA or length < 0:
            return None


def _orientation(tiff: bytes) -> int:
    """The orientation in EXIF's block, which is laid out as a TIFF file; 1 where it says none."""
    if tiff[:2] not in (b"II", b"MM"):
        return 1
    order: Literal["little", "big"] = "little" if tiff[:2] == b"II" else "big"

    def number(at: int, length: int) -> int:
        return int.from_bytes(tiff[at : at + length], order)

    first = number(4, 4)
    for entry in range(first + 2, first + 2 + 12 * number(first, 2), 12):
        if number(entry, 2) == _ORIENTATION:
            value = number(entry + 8, 2)
            return value if 1 <= value <= 8 else 1
    return 1


def _png(file: BinaryIO, begin: bytes) -> Header | None:
    size = int.from_bytes(begin[20:24], "big"), int.from_bytes(begin[16:20], "big")
    file.seek(8)
    while len(head := file.read(8)) == 8:
        if head[4:] == b"eXIf":
            return None  # rare; whether it is obeyed is the decoder's to say
        if head[4:] == b"IDAT":
            return Header(size)
        file.seek(int.from_bytes(head[:4], "big") + 4, 1)
    return None
