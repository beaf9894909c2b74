"""A mask's pixels: read as numbers or colours, soft edges made hard, and written."""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path

import cv2
import numpy as np

from ravenml.data.bitmap import chunk
from ravenml.data.geometry import Size
from ravenml.data.image_header import KINDS, PNG_SIGNATURE, image_kind, why_not_decodable
from ravenml.data.images import has_more_pages, imdecode, read_bytes, read_image
from ravenml.data.problems import DataProblem

_PIXELS_PER_BYTE = 2000  # of a large mask; what is empty has about 1030 in 8 bits
_OPAQUE = 128  # the least alpha of a pixel that counts
_EDGE = 5  # pixels; what is narrower in both directions may be a soft edge
_FAINT, _STRONG = 32, 224  # shades of grey that are nearly black and nearly white
_MANY = 16  # dark shades, and as many bright ones, that soft edges may have
_LOSSY = ("JPEG", "AVIF", "HEIC")  # mostly compressed with a loss, so that neighbouring values appear
_NEAR = 48  # the largest difference in one channel between a colour and what compression made of it


def read_mask(path: Path) -> tuple[np.ndarray, np.ndarray | None]:
    """A mask's values (height, width), and its palette (N, 3) of RGB, if it has one.

    Numbers are uint8 or uint16; colours are uint32, ``0xRRGGBB``.  Black and white is 0 and 255, of 16 bits
    too.  A JPEG's grey is rounded to that.  Transparent pixels are 0; where all that is opaque is black,
    opaque ones are 255.

    Raises:
        DataProblem: it cannot be read, or its values were changed by compression.
    """
    content = read_bytes(path)
    kind = image_kind(content)
    if kind is None:
        raise DataProblem(path, "", f"is not a {KINDS} image", "convert it to PNG")
    palette = None
    grey = b""
    if content.startswith(PNG_SIGNATURE) and content[25:26] == b"\x03":
        try:
            grey, palette = _as_grey(content)
        except (ValueError, IndexError):
            raise DataProblem(path, "", "is a damaged PNG", "copy it again from where it came") from None
    problem = why_not_decodable(content, _PIXELS_PER_BYTE)
    if problem:
        raise DataProblem(path, "", problem, "copy it again from where it came")
    if has_more_pages(content):
        raise DataProblem(path, "", "holds several pages or frames", "save each as a mask of its own image")
    if kind == "HEIC":
        values: np.ndarray | None = read_image(path)[:, :, ::-1]
    else:
        values = imdecode(grey or content, cv2.IMREAD_UNCHANGED)
    if values is None:
        raise DataProblem(path, "", "is not a picture that can be read", "convert it to PNG")
    if values.dtype not in (np.uint8, np.uint16):
        problem = f"has values of the kind {values.dtype}"
        raise DataProblem(path, "", problem, "save the masks as PNG with whole numbers")
    if palette is not None:
        return values // _step(content), palette
    if values.ndim == 2:
        return _numbers(values, content, kind, path), None
    if values.shape[2] < 3:
        return _numbers(np.ascontiguousarray(values[:, :, 0]), content, kind, path), None
    parts = values.astype(np.uint32)
    if values.dtype == np.uint16:
        parts >>= 8
    blue, green, red = parts[:, :, 0], parts[:, :, 1], parts[:, :, 2]
    if parts.shape[2] == 4:
        opaque = parts[:, :, 3] >= _OPAQUE
        if not opaque.all() and not (parts[:, :, :3][opaque] > 0).any():
            return np.where(opaque, 255, 0).astype(np.uint8), None
        blue, green, red = (np.where(opaque, part, 0) for part in (blue, green, red))
    if (blue == green).all() and (green == red).all():
        return _numbers(red.astype(np.uint8), content, kind, path), None  # grey in three channels
    return red << 16 | green << 8 | blue, None


def _numbers(values: np.ndarray, content: bytes, kind: str, path: Path) -> np.ndarray:
    """The numbers that shades of grey stand for."""
    if kind in _LOSSY:
        white, between = int((values >= _STRONG).sum()), int(_inner(values).sum())
        if values.any() and (not white or between > white // 20):
            problem = f"is a {kind} of shades between black and white, which are not exact"
            raise DataProblem(path, "", problem, "save the masks as PNG")
        return hardened(values)
    if values.dtype == np.uint16 and (values.max() == 0xFFFF or values.max() >> 8 >= _STRONG):
        # White of 16 bits, unless there are classes beside it.
        coarse = (values >> 8).astype(np.uint8)
        return coarse if set(distinct(values)) <= {0, 0xFFFF} or has_soft_edges(coarse) else values
    if content.startswith(PNG_SIGNATURE) and content[24] in (2, 4) and content[25] == 0:
        numbers = values // _step(content)  # a decoder spreads shades of few bits over the whole range
        return values if set(distinct(values)) <= {0, 255} else numbers
    return values


def _step(png: bytes) -> int:
    """The difference in 8 bits between two neighbouring shades of a PNG of fewer bits."""
    return 255 // ((1 << png[24]) - 1) if png[24] < 8 else 1


def distinct(values: np.ndarray) -> list[int]:
    """The values that an array has, sorted."""
    if values.dtype == np.uint8:
        return [int(v) for v in np.flatnonzero(np.bincount(values.reshape(-1), minlength=256))]
    return [int(value) for value in np.unique(values)]


def hardened(values: np.ndarray) -> np.ndarray:
    """Black and white, uint8 0 and 255, of shades of grey."""
    return np.where(values > 127, 255, 0).astype(np.uint8)


def has_soft_edges(values: np.ndarray) -> bool:
    """Whether a mask is black and white with shades of grey along the edges, and not one of classes' numbers.

    Classes' numbers have areas; shades that come from smoothing or compressing are narrow where they are
    strong, there are many of them, and each has fewer pixels than white has.
    """
    if values.dtype != np.uint8:
        return False
    counts = np.bincount(values.reshape(-1), minlength=256)
    white = int(counts[_STRONG:].sum())
    between = counts[1:_STRONG]
    if not white or not counts[_FAINT:255].any() or white <= between.max():
        return False
    bright = np.count_nonzero(between[127:])
    if min(bright, np.count_nonzero(between) - bright) >= _MANY and between.max() < white / 10:
        return True  # wide and smooth
    return not _inner(values).any()


def _inner(values: np.ndarray) -> np.ndarray:
    """Where shades between black and white fill an area, and not an edge."""
    strong = ((values >= _FAINT) & (values < _STRONG)).astype(np.uint8)
    return cv2.erode(strong, np.ones((_EDGE, _EDGE), np.uint8), borderValue=0)


def nearest(values: np.ndarray, colours: Sequence[int]) -> np.ndarray | None:
    """Each colour replaced by the nearest of those that there are; None if one is too far from all.

    Soft edges between two colours are allowed where they are narrow.
    """
    known = np.array([0, *colours], np.int64)
    found, inverse = np.unique(values, return_inverse=True)
    parts = np.stack([found >> 16, found >> 8 & 255, found & 255], axis=1).astype(np.int64)
    wanted = np.stack([known >> 16, known >> 8 & 255, known & 255], axis=1)
    best = np.empty(len(found), np.int64)
    far = np.empty(len(found), bool)
    for at in range(0, len(found), 1 << 14):
        apart = np.abs(parts[at : at + (1 << 14), None] - wanted[None]).max(axis=2)
        best[at : at + (1 << 14)] = apart.argmin(axis=1)
        far[at : at + (1 << 14)] = apart.min(axis=1) > _NEAR
    odd = far[inverse].reshape(values.shape).astype(np.uint8)
    if cv2.erode(odd, np.ones((_EDGE, _EDGE), np.uint8), borderValue=0).any():
        return None
    return known[best][inverse].reshape(values.shape).astype(np.uint32)


def resized(values: np.ndarray, size: Size) -> np.ndarray | None:
    """A mask in an image's (height, width), nearest neighbour; None where it has other proportions."""
    height, width = values.shape
    expected = height * size[1] / width  # the height that a mask of this width would have
    if abs(expected - size[0]) > max(0.02 * size[0], 2 * max(size[1] / width, 1)):
        return None
    rows = np.minimum((np.arange(size[0]) + 0.5) * height / size[0], height - 1).astype(np.intp)
    columns = np.minimum((np.arange(size[1]) + 0.5) * width / size[1], width - 1).astype(np.intp)
    return np.asarray(values[rows[:, None], columns[None]])


def write_mask(values: np.ndarray, palette: np.ndarray) -> bytes:
    """A PNG of numbers (height, width): with a palette uint8 (N, 3) for uint8, grey for uint16."""
    if values.dtype != np.uint8:
        return bytes(cv2.imencode(".png", values)[1])
    height, width = values.shape
    rows = np.zeros((height, width + 1), np.uint8)  # each row begins with its filter: 0, none
    rows[:, 1:] = values
    header = width.to_bytes(4, "big") + height.to_bytes(4, "big") + b"\x08\x03\0\0\0"
    png = PNG_SIGNATURE + chunk(b"IHDR", header) + chunk(b"PLTE", palette.astype(np.uint8).tobytes())
    return png + chunk(b"IDAT", zlib.compress(rows.tobytes(), 6)) + chunk(b"IEND", b"")


def _as_grey(png: bytes) -> tuple[bytes, np.ndarray]:
    """The same picture with its numbers as shades of grey, and the palette."""
    header = bytearray(png[16:29])
    header[9] = 0  # grey
    out, palette = [PNG_SIGNATURE, chunk(b"IHDR", bytes(header))], None
    for kind, content in _chunks(png):
        if kind == b"PLTE":
            palette = np.frombuffer(content, np.uint8).reshape(-1, 3)
        elif kind in (b"IDAT", b"IEND"):
            out.append(chunk(kind, content))
    if palette is None or png[24] not in (1, 2, 4, 8):
        raise ValueError("no palette, or no such depth")
    return b"".join(out), palette


def _chunks(png: bytes) -> Iterator[tuple[bytes, bytes]]:
    at = 8
    while at + 8 <= len(png):
        length = int.from_bytes(png[at : at + 4], "big")
        yield png[at + 4 : at + 8], png[at + 8 : at + 8 + length]
        at += 12 + length
