"""Reading images: whatever the file holds, out comes 8-bit RGB the right way up."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from ravenml.common import reading
from ravenml.common.extras import install_command
from ravenml.common.reading import open_file
from ravenml.data.image_containers import heif_size, jpeg2000_is_whole
from ravenml.data.image_header import (
    KINDS,
    Header,
    image_kind,
    parse_header,
    why_not_decodable,
    why_too_large,
)
from ravenml.data.problems import DataProblem

# OpenCV prints on its own what is raised here as a sentence.
cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)

EXTENSIONS = frozenset(
    {".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".mpo", ".bmp", ".tif", ".tiff", ".webp", ".gif"}
) | {".jp2", ".j2k", ".jpx", ".jpf", ".avif", ".heic", ".heif", ".hif", ".ppm", ".pgm", ".pbm", ".pnm"}
# Images too, but of kinds that are not read; what finds images finds these, so that each is named.
UNREAD_EXTENSIONS = (
    frozenset({".jxl", ".svg", ".psd", ".xcf", ".tga", ".pcx", ".dds", ".exr", ".eps", ".dcm"})
    | {".dicom", ".nrrd", ".mha", ".czi", ".nd2", ".lif", ".svs", ".dng", ".cr2", ".cr3", ".nef", ".arw"}
    | {".orf", ".rw2", ".raf", ".sgi", ".ras", ".jxr", ".wdp"}
)

_BEGINNING = 1 << 16  # bytes in which a header mostly ends
_PIXELS_PER_BYTE = 300  # of a large image; a photograph has about 4
_DAMAGED = "the image is damaged, cut off, or of a kind that is not read"
_COPY_AGAIN = "copy the image again from where it came"
_CONVERT = "convert it to PNG or JPEG"
_COPY_AGAIN_OR_CONVERT = "copy it again, or convert it to 8 or 16 bits of grey or RGB"


def read_image(path: Path) -> np.ndarray:
    """Read an image file of one of `EXTENSIONS` as uint8 RGB (height, width, 3).

    Grey is repeated in the three channels, transparency is dropped, 16 bits are scaled to 8 (the high
    byte is kept), and of several pages or frames the first is read.  The EXIF orientation is applied, as
    Supervisely does: the array stands as a viewer shows it, and annotations are in its coordinates.

    Raises:
        DataProblem: the file is missing, empty, cut off, damaged or of another format.
    """
    return decode_image(read_bytes(path), path)


def read_header(path: Path) -> Header:
    """Read an image's size and orientation; only what is not a plain JPEG, PNG or BMP is decoded for it.

    Raises:
        DataProblem: the file is missing, is not an image that is read, or says that it has far more pixels
            than such a file can hold.
    """
    try:
        with open_file(path) as file:
            beginning = file.read(_BEGINNING)
            header = _try_parse(beginning)
            if header is None and len(beginning) == _BEGINNING:
                header = _try_parse(beginning + file.read())
            length = os.fstat(file.fileno()).st_size
    except OSError:
        read_bytes(path)  # says what is wrong
        raise
    if header is not None and header.orientation:
        problem = why_too_large(header, length, _PIXELS_PER_BYTE)
        if problem:
            raise DataProblem(path, "", problem, _COPY_AGAIN)
        return header
    height, width = read_image(path).shape[:2]
    return Header((height, width), more=header is not None and header.more)


def _try_parse(content: bytes) -> Header | None:
    try:
        return parse_header(content)
    except (IndexError, ValueError):
        return None


def unread_kind(path: Path) -> DataProblem:
    """What is wrong with an image of one of `UNREAD_EXTENSIONS`."""
    return DataProblem(path, "", f'images of the kind "{path.suffix.lower()}" are not read', _CONVERT)


def has_more_pages(content: bytes) -> bool:
    """Whether an image file holds further pages or frames, which are not read."""
    header = _try_parse(content)
    return header is not None and header.more


def more_pages_notice(images: Sequence[Path]) -> str:
    """What to tell of images with further pages or frames."""
    if len(images) == 1:
        return f"{images[0]} holds several pages or frames, of which the first is used."
    return f"{len(images)} images, such as {images[0]}, hold several pages or frames; the first is used."


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
    kind = image_kind(content)
    if kind is None and content:
        raise DataProblem(path, "", f"is not a {KINDS} image", _CONVERT)
    problem = _cut_off(content, kind) or why_not_decodable(content, _PIXELS_PER_BYTE)
    if problem:
        raise DataProblem(path, "", problem, _COPY_AGAIN)
    if kind == "HEIC":
        return _decode_heic(content, path)
    image = imdecode(content, _RGB)
    if image is not None:
        if kind == "AVIF":  # OpenCV leaves it as it lies
            said = heif_size(content)
            image = turned(image, said[1] if said is not None else 1)
        return image if _RGB != cv2.IMREAD_COLOR else cv2.cvtColor(image, cv2.COLOR_BGR2RGB)
    bare = imdecode(content, cv2.IMREAD_UNCHANGED)
    if bare is not None:
        problem = f"has samples of the kind {bare.dtype}, whose range is not known"
        raise DataProblem(path, "", problem, "scale them to 8 or 16 bits")
    raise DataProblem(path, "", _DAMAGED, _COPY_AGAIN_OR_CONVERT)


def _decode_heic(content: bytes, path: Path) -> np.ndarray:
    """Decode what OpenCV does not; it comes out upright."""
    try:
        import pillow_heif
    except ImportError:
        fix = f"install that with `{install_command('formats')}`, or convert the image to PNG or JPEG"
        raise DataProblem(path, "", "is HEIC, which takes the extra `formats` to read", fix) from None
    try:
        return np.array(pillow_heif.open_heif(content, convert_hdr_to_8bit=True).to_pillow().convert("RGB"))
    except Exception:  # it raises almost anything
        raise DataProblem(path, "", _DAMAGED, _COPY_AGAIN_OR_CONVERT) from None


def turned(image: np.ndarray, orientation: int) -> np.ndarray:
    """An image, (height, width) or with channels, turned upright as EXIF's number (1 to 8) says."""
    if orientation >= 5:
        image = image.swapaxes(0, 1)
    if orientation in (2, 3, 6, 7):
        image = image[:, ::-1]
    if orientation in (3, 4, 7, 8):
        image = image[::-1]
    return np.ascontiguousarray(image)


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


def _cut_off(content: bytes, kind: str | None) -> str:
    """Say what shows that the file's end is missing, or an empty string.

    Decoders differ by version in what they let pass (libjpeg paints the missing part grey), so the
    formats' own end marks and lengths are looked at first.
    """
    if not content:
        return "the file is empty"
    problem = "the image is cut off"
    if kind == "PNG":
        return "" if b"IEND" in content[-64:] or b"IEND" in content else problem
    if kind == "JPEG":
        # A camera's thumbnail has an end mark of its own; only one behind the start of the scan counts.
        return "" if content.rfind(b"\xff\xd9") > _start_of_scan(content) else problem
    if kind == "WebP":
        return "" if len(content) >= int.from_bytes(content[4:8], "little") + 8 else problem
    if kind == "JPEG 2000":
        try:
            return "" if jpeg2000_is_whole(content) else problem
        except (IndexError, ValueError):
            return problem
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
