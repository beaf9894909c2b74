"""Images as arrays, uint8 RGB (height, width, 3).

Sizes are (height, width); one side may be ``KEEP_ASPECT_RATIO``, or factors may be given instead.  Paths may
be bytes, as TensorFlow hands them on.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from ravenml.common.io import write_bytes as write_file
from ravenml.data.images import decode_image, read_image
from ravenml.data.problems import DataProblem
from ravenml.sly.fs import ensure_base_path, get_bytes_hash
from ravenml.sly.geometry import Rectangle
from ravenml.sly.rotation import RotateMode as RotateMode
from ravenml.sly.rotation import rotate as rotate
from ravenml.sly.text import CornerAnchorMode as CornerAnchorMode
from ravenml.sly.text import draw_text as draw_text
from ravenml.sly.text import draw_text_sequence as draw_text_sequence

Image = np.ndarray
Size = Sequence[int]

KEEP_ASPECT_RATIO = -1
SUPPORTED_IMG_EXTS = [".jpg", ".jpeg", ".mpo", ".bmp", ".png", ".webp"]
DEFAULT_IMG_EXT = ".png"


class ImageExtensionError(Exception):
    """A file's extension is not an image's."""


class UnsupportedImageFormat(Exception):
    """An image is of a format that is not read or written."""


class ImageReadException(Exception):
    """A file cannot be read as an image."""


def is_valid_ext(ext: str) -> bool:
    """Whether an extension is an image's, whatever its case."""
    return ext.lower() in SUPPORTED_IMG_EXTS


def has_valid_ext(path: str | bytes) -> bool:
    """Whether a path's extension is an image's."""
    return is_valid_ext(os.path.splitext(os.fsdecode(path))[1])


def validate_ext(path: str | bytes) -> None:
    """Refuse a path whose extension is not an image's.

    Raises:
        ImageExtensionError: it is not.
    """
    if not has_valid_ext(path):
        known = ", ".join(SUPPORTED_IMG_EXTS)
        raise ImageExtensionError(f"{os.fsdecode(path)} should have one of these extensions: {known}.")


def validate_format(path: str | bytes) -> None:
    """Refuse a file that cannot be read as an image.

    Raises:
        ImageReadException: it cannot.
    """
    try:
        read_image(Path(os.fsdecode(path)))
    except DataProblem as error:
        raise ImageReadException(str(error)) from None


def read(path: str | bytes) -> Image:
    """Read an image file."""
    return read_image(Path(os.fsdecode(path)))


def read_bytes(image_bytes: bytes) -> Image:
    """Read an image from a file's content."""
    return decode_image(bytes(image_bytes), Path("image"))


def write(path: str | bytes, img: Image) -> None:
    """Write an image file, of the kind that its name says; the folder is made.

    Raises:
        ValueError: the name says none.
    """
    name = os.fsdecode(path)
    ensure_base_path(name)
    write_file(Path(name), _encode(img, Path(name).suffix, name))


def write_bytes(img: Image, ext: str) -> bytes:
    """The content of an image file of the kind that an extension says.

    Raises:
        UnsupportedImageFormat: it says none.
    """
    ext = f".{ext.lstrip('.')}"
    if not is_valid_ext(ext):
        raise UnsupportedImageFormat(f"{ext} is not one of {', '.join(SUPPORTED_IMG_EXTS)}.")
    return _encode(img, ext, f"*{ext}")


def get_hash(img: Image, ext: str) -> str:
    """The SHA-256 of an image's file, in base64."""
    return get_bytes_hash(write_bytes(img, ext))


def _encode(img: Image, ext: str, path: str) -> bytes:
    try:
        written, content = cv2.imencode(ext, cv2.cvtColor(img.astype(np.uint8), cv2.COLOR_RGB2BGR))
    except cv2.error:
        written = False
    if not written:
        raise ValueError(f"{path} cannot be written; give it another extension, such as .png.")
    return bytes(content.tobytes())


def crop(img: Image, rect: Rectangle) -> Image:
    """The part of an image in a rectangle; a view.

    Raises:
        ValueError: it reaches out of the image.
    """
    if not Rectangle.from_array(img).contains(rect):
        raise ValueError(f"{rect} reaches out of an image of {img.shape[0]} rows and {img.shape[1]} columns.")
    return rect.get_cropped_numpy_slice(img)


def crop_with_padding(img: Image, rect: Rectangle) -> Image:
    """The part of an image in a rectangle, black where that reaches out of the image."""
    height, width = img.shape[:2]
    padded = np.zeros((rect.height, rect.width, *img.shape[2:]), img.dtype)
    for part in rect.crop(Rectangle.from_array(img)) if height and width else []:
        inner = part.translate(-rect.top, -rect.left)
        inner.get_cropped_numpy_slice(padded)[:] = part.get_cropped_numpy_slice(img)
    return padded


def restore_proportional_size(
    in_size: Size,
    out_size: Size | None = None,
    frow: float | None = None,
    fcol: float | None = None,
    f: float | None = None,
) -> tuple[int, int]:
    """The size that an image is scaled to.

    Args:
        in_size: its own size.
        out_size: the size; one side may be ``KEEP_ASPECT_RATIO``.
        frow: or the factor of its height …
        fcol: … and of its width.
        f: or one factor for both.

    Raises:
        ValueError: a size and factors were given, or none, or one that is not positive.
    """
    factors = [given for given in (frow, fcol, f) if given is not None]
    if out_size is not None:
        if factors:
            raise ValueError("Give a size or factors, not both.")
        sides = [int(side) for side in out_size[:2]]
        if max(sides) == KEEP_ASPECT_RATIO or any(side <= 0 and side != KEEP_ASPECT_RATIO for side in sides):
            raise ValueError(
                f"The sides of {tuple(out_size)} must be positive; one may be KEEP_ASPECT_RATIO."
            )
        row, col = sides
        height = row if row > 0 else max(1, round(col / in_size[1] * in_size[0]))
        return height, col if col > 0 else max(1, round(row / in_size[0] * in_size[1]))
    frow, fcol = (f, f) if f is not None else (frow, fcol)
    if frow is None or fcol is None or frow < 0 or fcol < 0:
        raise ValueError("Give a size, both factors (frow and fcol), or one for both (f); none is negative.")
    return round(frow * in_size[0]), round(fcol * in_size[1])


def resize(
    img: Image, out_size: Size | None = None, frow: float | None = None, fcol: float | None = None
) -> Image:
    """Scale an image, between pixels bicubically."""
    height, width = restore_proportional_size(img.shape[:2], out_size, frow, fcol)
    return np.asarray(cv2.resize(img, (width, height), interpolation=cv2.INTER_CUBIC))


def resize_inter_nearest(
    img: Image, out_size: Size | None = None, frow: float | None = None, fcol: float | None = None
) -> Image:
    """Scale an array; each pixel is the old one that its centre lies in."""
    size = restore_proportional_size(img.shape[:2], out_size, frow, fcol)
    rows, columns = (
        np.minimum(((np.arange(new) + 0.5) * old / new).astype(int), old - 1)
        for new, old in zip(size, img.shape[:2], strict=True)
    )
    return np.asarray(img[rows][:, columns])


def scale(img: Image, factor: float) -> Image:
    """Scale an image by a factor."""
    return resize(img, (round(img.shape[0] * factor), round(img.shape[1] * factor)))


def fliplr(img: Image) -> Image:
    """Mirrored: the first column becomes the last."""
    return np.flip(img, 1)


def flipud(img: Image) -> Image:
    """Upside down: the first row becomes the last."""
    return np.flip(img, 0)


def random_contrast(image: Image, min_factor: float, max_factor: float) -> Image:
    """With its contrast multiplied by a random factor, around its mean."""
    mean = round(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY).mean())
    return _clipped(_factor(min_factor, max_factor) * (image.astype(np.float32) - mean) + mean)


def random_brightness(image: Image, min_factor: float, max_factor: float) -> Image:
    """Multiplied by a random factor."""
    return _clipped(image.astype(np.float32) * _factor(min_factor, max_factor))


def random_noise(image: Image, mean: float, std: float) -> Image:
    """With normally distributed noise added."""
    return _clipped(image + np.random.normal(mean, std, image.shape))


def random_color_scale(image: Image, min_factor: float, max_factor: float) -> Image:
    """With each channel multiplied by a random factor of its own."""
    return _clipped(image * np.random.uniform(min_factor, max_factor, (1, 1, image.shape[2])))


def blur(image: Image, kernel_size: int) -> Image:
    """Each pixel becomes the mean of a square around it."""
    return np.asarray(cv2.blur(image, (kernel_size, kernel_size)))


def median_blur(image: Image, kernel_size: int) -> Image:
    """Each pixel becomes the median of a square around it."""
    return np.asarray(cv2.medianBlur(image, kernel_size))


def gaussian_blur(image: Image, sigma_min: float, sigma_max: float) -> Image:
    """Blurred with a Gaussian of a random width, in pixels."""
    return np.asarray(cv2.GaussianBlur(image, (0, 0), np.random.uniform(sigma_min, sigma_max)))


def drop_image_alpha_channel(img: Image) -> Image:
    """RGB of RGBA.

    Raises:
        ValueError: there are not four channels.
    """
    if img.ndim != 3 or img.shape[2] != 4:
        raise ValueError(f"An image with four channels is needed, not one of the shape {img.shape}.")
    return img[:, :, :3].copy()


def _factor(least: float, most: float) -> float:
    if not 0 <= least <= most:
        raise ValueError(f"The factors should be 0 or more, and the first the smaller one: {least}, {most}.")
    return float(np.random.uniform(least, most))


def _clipped(values: Any) -> Image:
    return np.asarray(np.clip(values, 0, 255), np.uint8)
