"""Text on images, such as the tags of objects; drawn with Pillow, which plugins bring themselves."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from functools import cache
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from ravenml.sly.geometry import Rectangle
from ravenml.utils.plugins import lazy_import

if TYPE_CHECKING:
    from PIL import Image, ImageDraw, ImageFont
else:
    Image, ImageDraw, ImageFont = (
        lazy_import(f"PIL.{name}", "pip install pillow") for name in ("Image", "ImageDraw", "ImageFont")
    )

Font: TypeAlias = "ImageFont.FreeTypeFont | ImageFont.ImageFont"
_BEHIND, _INK = (255, 255, 255, 128), (0, 0, 0, 255)


class CornerAnchorMode:
    """Which corner of a text lies at its anchor point."""

    TOP_LEFT, TOP_RIGHT, BOTTOM_LEFT, BOTTOM_RIGHT = "tl", "tr", "bl", "br"


@cache
def get_font(font_file_name: str | None = None, font_size: int = 12) -> Font:
    """A font.

    Args:
        font_file_name: a TrueType file, or the name of one among the system's; by default Pillow's own font.
        font_size: in pixels.

    Raises:
        ValueError: there is no such file, or it is not a font.
        MissingPackage: Pillow is not installed.
    """
    if font_file_name is None:
        return ImageFont.load_default(font_size)
    try:
        return ImageFont.truetype(font_file_name, font_size)
    except OSError:
        raise ValueError(f"{font_file_name} is not a TrueType font that can be found.") from None


def load_font(font_file_name: str, font_size: int = 12) -> Font:
    """As `get_font`."""
    return get_font(font_file_name, font_size)


def get_readable_font_size(img_size: Sequence[int]) -> int:
    """The size, in pixels, of a text that can be read on an image of (height, width): 14 on 512 x 512."""
    return max(6, round(14 * (img_size[0] + img_size[1]) / 2 / 512))


def draw_text(
    bitmap: np.ndarray,
    text: str,
    anchor_point: Sequence[int],
    corner_snap: str = CornerAnchorMode.TOP_LEFT,
    font: Font | None = None,
    fill_background: bool = True,
) -> tuple[int, int]:
    """Write on an image, in black.  What reaches out of the image is cut off.

    Args:
        bitmap: the image, uint8 RGB (height, width, 3).
        text: one line.
        anchor_point: the place, (row, column).
        corner_snap: which corner of the text lies there.
        font: the font; by default one of 12 pixels.
        fill_background: whether the image is brightened behind the text.

    Returns:
        The text's (height, width) in pixels.

    Raises:
        ValueError: the image is of another kind.
        MissingPackage: Pillow is not installed.
    """
    if bitmap.dtype != np.uint8 or bitmap.ndim != 3 or bitmap.shape[2] != 3:
        raise ValueError(f"Text needs an RGB image of uint8, not {bitmap.dtype} of the shape {bitmap.shape}.")
    font = font or get_font()
    _, _, right, bottom = font.getbbox(text)
    height, width = math.ceil(bottom), math.ceil(right)
    row = int(anchor_point[0]) - (height if corner_snap[0] == "b" else 0)
    col = int(anchor_point[1]) - (width if corner_snap[1] == "r" else 0)
    for part in Rectangle(row, col, row + height, col + width + 1).crop(Rectangle.from_array(bitmap)):
        under = part.get_cropped_numpy_slice(bitmap)
        canvas = Image.fromarray(under)
        drawer = ImageDraw.Draw(canvas, "RGBA")
        if fill_background:
            drawer.rectangle(((0, 0), canvas.size), fill=_BEHIND)
        drawer.text((col + 1 - part.left, row - part.top), text, fill=_INK, font=font)
        under[:] = np.asarray(canvas)
    return height, width


def draw_text_sequence(
    bitmap: np.ndarray,
    texts: Iterable[str],
    anchor_point: Sequence[int],
    corner_snap: str = CornerAnchorMode.TOP_LEFT,
    col_space: int = 12,
    font: Font | None = None,
    fill_background: bool = True,
) -> None:
    """Write some texts side by side, from left to right, ``col_space`` pixels apart; see `draw_text`."""
    row, col = anchor_point
    for text in texts:
        _, width = draw_text(bitmap, text, (row, col), corner_snap, font, fill_background)
        col += width + col_space
