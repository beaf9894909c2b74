"""Reading images: whatever the file holds, out comes 8-bit RGB the right way up."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from ravenml.common import reading
from ravenml.common.reading import open_file
from ravenml.data.image_header import Header, parse_header, why_not_decodable
from ravenml.data.problems import DataProblem

# OpenCV prints on its own what is raised here as a sentence.
cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)

EXTENSIONS = frozenset({".png", ".jpg", ".jpeg", ".jfif", ".mpo", ".bmp", ".tif", ".tiff", ".webp"})

_PNG = b"\x89PNG\r\n\x1a\n"
_JPEG = b"\xff\xd8\xff"
_BEGINNING = 1 << 16  # bytes in which a header mostly ends
_PIXELS_PER_BYTE = 300  # of a large image; a photograph has about 4
_COPY_AGAIN = "copy the image again from where it came"
_COPY_AGAIN_OR_CONVERT = "copy it again, or convert it to 8 or 16 bits of grey or RGB"


def read_image(path: Path) -> np.ndarray:
    """Read a PNG, JPEG, BMP, TIFF or WebP file as uint8 RGB (height, width, 3).

    Grey is repeated in the three channels, transparency is dropped, 16 bits are scaled to 8 (the high
    byte is kept).  The EXIF orientation is applied, as Supervisely does: the array stands as a viewer
    shows it, and annotations are in its coordinates.

    Raises:
        DataProblem: the file is missing, empty, cut off, damaged or of another format.
    """
    return decode_image(read_bytes(path), path)


def read_header(path: Path) -> Header:
    """Read an image's size and orientation; only what is not a plain JPEG, PNG or BMP is decoded for it.

    Raises:
        DataProblem: the file is missing, or is not an image that is read.
    """
    try:
        with open_file(path) as file:
            beginning = file.read(_BEGINNING)
            header = _try_parse(beginning)
            if header is None and len(beginning) == _BEGINNING:
                header = _try_parse(beginning + file.read())
    except OSError:
        read_bytes(path)  # says what is wrong
        raise
    if header is not None and header.orientation:
        return header
    height, width = read_image(path).shape[:2]
    return Header((height, width))


def _try_parse(content: bytes) -> Header | None:
    try:
        return parse_header(content)
    except (IndexError, ValueError):
        return None


def read_bytes(path: Path) -> bytes:
    """Read a file of a project.

    Raises:
        DataProblem: it is missing or cannot be read.
    """
    try:
        return reading.read_bytes(path)
    except OSError as error:
        missing = isinstance(error, FileNotFoundError)
        problem = "does not exist" if missing else f"cannot be read ({error.strerror})"
        raise DataProblem(path, "", problem, "put it back, or make it readable") from None


def decode_image(content: bytes, path: Path) -> np.ndarray:
    """Decode an image file's content as `read_image` does; ``path`` is for the message alone."""
    problem = _cut_off(content) or why_not_decodable(content, _PIXELS_PER_BYTE)
    if problem:
        raise DataProblem(path, "", problem, _COPY_AGAIN)
    image = imdecode(content, _RGB)
    if image is None:
        if content.startswith((_PNG, _JPEG, b"BM", b"II*\0", b"MM\0*", b"RIFF")):
            problem = "the image is damaged, cut off, or of a kind that is not read"
            raise DataProblem(path, "", problem, _COPY_AGAIN_OR_CONVERT)
        raise DataProblem(
            path, "", "is not a PNG, JPEG, BMP, TIFF or WebP image", "convert it to one of these"
        )
    return image if _RGB != cv2.IMREAD_COLOR else cv2.cvtColor(image, cv2.COLOR_BGR2RGB)


_RGB: int = getattr(cv2, "IMREAD_COLOR_RGB", cv2.IMREAD_COLOR)  # OpenCV before 4.11 knows BGR alone


def imdecode(content: bytes, flags: int) -> np.ndarray | None:
    """What OpenCV makes of a file's content; None where it makes nothing."""
    try:
        return cv2.imdecode(np.frombuffer(content, np.uint8), flags)
    except cv2.error:
        return None


def encode_png(image: np.ndarray, level: int = 9) -> bytes:
    """Encode uint8 RGB (height, width, 3) or grey (height, width; uint16 too) as PNG.

    Args:
        image: the pixels.
        level: zlib's level: 9 is the smallest file, 1 comes five times as fast.
    """
    pixels = image if image.ndim == 2 else cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
    return bytes(cv2.imencode(".png", pixels, [cv2.IMWRITE_PNG_COMPRESSION, level])[1])


def _cut_off(content: bytes) -> str:
    """Say what shows that the file's end is missing, or an empty string.

    Decoders differ by version in what they let pass (libjpeg paints the missing part grey), so the
    formats' own end marks and lengths are looked at first.
    """
    if not content:
        return "the file is empty"
    problem = "the image is cut off"
    if content.startswith(_PNG):
        return "" if b"IEND" in content[-64:] or b"IEND" in content else problem
    if content.startswith(_JPEG):
        # A camera's thumbnail has an end mark of its own; only one behind the start of the scan counts.
        return "" if content.rfind(b"\xff\xd9") > _start_of_scan(content) else problem
    if content.startswith(b"RIFF"):
        return "" if len(content) >= int.from_bytes(content[4:8], "little") + 8 else problem
    return ""


def _start_of_scan(content: bytes) -> int:
    """Where a JPEG's image data begins, found by stepping over the segments before it."""
    position = 2
    while position + 4 <= len(content) and content[position] == 0xFF:
        if content[position + 1] == 0xDA:
            return position
        if content[position + 1] == 0xFF:  # a fill byte
            position += 1
            continue
        position += 2 + int.from_bytes(content[position + 2 : position + 4], "big")
    return len(content)
