"""Images that strangers send: their size is read from the header before a decoder may make room for them."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ravenml.data.image_header import KINDS, PNG_SIGNATURE, check_chunks, parse_header
from ravenml.data.images import decode_image
from ravenml.errors import InputError

MAX_BYTES = 2**26  # 64 MiB
MAX_PIXELS = 2**26  # 67 million: 8192 × 8192, which is 201 MB of RGB
_KINDS = f"send a {KINDS} image"


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
        raise Refused(f"{name}: the image is larger than its header says; {_KINDS}.", 415)
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
        raise Refused(f"{name}: the image is truncated or damaged; send it again.", 415) from None
    except ValueError:
        size = None
    if size is None:
        raise Refused(f"{name} is not a supported image; {_KINDS}.", 415)
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
    """Width and height as an image's header says; None for what `image_kind` does not know.

    Raises:
        IndexError, ValueError: the header is cut off or absurd, see `ravenml.data.image_header.parse_header`.
    """
    if content.startswith(PNG_SIGNATURE):
        check_chunks(content)
    header = parse_header(content)
    return header.stored[::-1] if header is not None else None
