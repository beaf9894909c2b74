"""Colours: red, green and blue from 0 to 255, and as text ``#RRGGBB``."""

from __future__ import annotations

import colorsys
import random
import re
from collections.abc import Sequence

Color = list[int]
_CANDIDATES = 100


def random_rgb() -> Color:
    """A light, unobtrusive colour."""
    return [round(255 * part) for part in colorsys.hls_to_rgb(random.random(), 0.3, 0.8)]


def generate_rgb(exist_colors: Sequence[Sequence[int]]) -> Color:
    """A colour whose hue is far from those of the others."""
    hues = [_hue(color) for color in exist_colors]
    candidates = [random_rgb() for _ in range(_CANDIDATES if hues else 1)]
    return max(candidates, key=lambda color: min((_distance(_hue(color), hue) for hue in hues), default=0.0))


def rgb2hex(color: Sequence[int]) -> str:
    """A colour as text.

    Raises:
        ValueError: it has not three parts from 0 to 255.
    """
    return "#" + "".join(f"{part:02X}" for part in _checked(color))


def hex2rgb(hex_value: str) -> Color:
    """A colour from text.

    Raises:
        ValueError: it is not ``#RRGGBB``.
    """
    if not re.fullmatch("#[0-9a-fA-F]{6}", hex_value):
        raise ValueError(f"A colour is written as #RRGGBB, not {hex_value!r}.")
    return [int(hex_value[i : i + 2], 16) for i in (1, 3, 5)]


def _checked(color: Sequence[int]) -> Sequence[int]:
    if not isinstance(color, list | tuple) or len(color) != 3 or not all(0 <= part <= 255 for part in color):
        raise ValueError(f"A colour has three parts from 0 to 255, not {color!r}.")
    return color


def _validate_color(color: Sequence[int]) -> None:
    _checked(color)


def _hue(color: Sequence[int]) -> float:
    return colorsys.rgb_to_hls(*(part / 255 for part in color))[0]


def _distance(one: float, other: float) -> float:
    apart = abs(one - other)
    return min(apart, 1 - apart)
