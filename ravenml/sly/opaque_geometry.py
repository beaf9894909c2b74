"""Shapes that are not drawn into masks: scores for every pixel, any shape, and those that we do not know."""

from __future__ import annotations

from typing import Any, Self

import numpy as np

from ravenml.sly.geometry import Bitmap, Geometry, Point, Polygon, Polyline, Rectangle


class AnyGeometry(Geometry):
    """A class's shape where its objects may have any."""

    _name = "any"


class MultichannelBitmap(Geometry):
    """Numbers for every pixel, such as probabilities: (height, width, channels) with a place.

    It is never written into an annotation.
    """

    _name = "multichannel_bitmap"

    def __init__(self, origin: Point, data: np.ndarray) -> None:
        if data.ndim != 3:
            raise ValueError(
                f"A multichannel bitmap's data must be (height, width, channels), not {data.shape}."
            )
        self.origin, self.data = origin, data

    def to_json(self) -> dict[str, Any]:
        """It has no form in JSON."""
        raise NotImplementedError("Scores of pixels are not written into annotations.")

    def to_bbox(self) -> Rectangle:
        """The smallest rectangle that holds it."""
        height, width = self.data.shape[:2]
        return Rectangle(
            self.origin.row, self.origin.col, self.origin.row + height - 1, self.origin.col + width - 1
        )

    def translate(self, drow: int, dcol: int) -> Self:
        """Moved down and to the right."""
        return type(self)(self.origin.translate(drow, dcol), self.data)

    def crop(self, rect: Rectangle) -> list[Self]:
        """What of it lies in a rectangle."""
        found = []
        for part in self.to_bbox().crop(rect):
            here = part.translate(-self.origin.row, -self.origin.col)
            found.append(type(self)(Point(part.top, part.left), here.get_cropped_numpy_slice(self.data)))
        return found


class OtherGeometry(Geometry):
    """A shape that is not known here: it is kept as it was read, and neither drawn nor moved."""

    def __init__(self, name: str, fields: dict[str, Any]) -> None:
        self.name, self.fields = name, fields

    def to_json(self) -> dict[str, Any]:
        """As it was read."""
        return {**self.fields, "geometryType": self.name}

    def crop(self, rect: Rectangle) -> list[Self]:
        """The same."""
        return [self]

    def translate(self, drow: int, dcol: int) -> Self:
        """It cannot be moved."""
        raise NotImplementedError(f"An object of the shape {self.name} cannot be moved here.")

    def draw(self, bitmap: np.ndarray, color: Any, thickness: int = 1) -> None:
        """It is not drawn."""


KINDS: dict[str, type[Geometry]] = {
    kind.geometry_name(): kind for kind in (Bitmap, Polygon, Rectangle, Polyline, Point, AnyGeometry)
}


def geometry_type(name: str) -> type[Geometry]:
    """The class of shapes that JSON calls ``name``."""
    return KINDS.get(name, AnyGeometry if name == "any_geometry" else OtherGeometry)
