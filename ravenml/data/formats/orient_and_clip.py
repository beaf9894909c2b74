"""Fitting objects to their image: turned as the image is, and cut to it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from ravenml.data.editable_annotation import Label
from ravenml.data.formats.base import Labels, LeftOut, Record, record_problem
from ravenml.data.geometry import AnyGeometry, Bitmap, Line, Point, Polygon, Rectangle, Size
from ravenml.data.image_header import Header
from ravenml.data.problems import DataProblem
from ravenml.data.transforms import bounds, crop, fliplr, overlap, transpose


@dataclass(frozen=True)
class Fitted:
    """An object as it stands in the image; ``cut`` where a part of it lay outside."""

    label: Label
    cut: bool = False


def frame_of(record: Record, header: Header) -> Size:
    """The (height, width) in which a record's coordinates are: the upright image's, or those of the pixels as
    they are stored, where the source says so.

    Raises:
        DataProblem: the source says another size.
    """
    if record.size is None or record.size == header.size:
        return header.size
    if record.size == header.stored:
        return header.stored
    said, there = (f"{width}×{height}" for height, width in (record.size, header.size))
    problem = f"says that {record.image} is {said}, but it is {there}"
    raise record_problem(record, problem, "correct the size, or put the right image there")


def fit(labels: Labels, frame: Size, header: Header, record: Record) -> Iterator[Fitted | LeftOut]:
    """Turn objects from their frame into the upright image, and cut them to it."""
    height, width = header.size
    window = Rectangle(0, 0, width - 1, height - 1)
    for number, label in enumerate(labels):
        if not isinstance(label, Label):
            yield label if isinstance(label, LeftOut) else LeftOut(label)
            continue
        geometry = label.geometry
        if geometry is None:
            yield Fitted(label)
            continue
        placed = upright(geometry, header.orientation, frame) if frame != header.size else geometry
        parts = _within(placed, window)
        if not parts:
            x, y = bounds(placed).left, bounds(placed).top
            problem = f'the {label.kind} of "{label.title}" at ({x}, {y}) lies outside of the image'
            file = label.file or record.file or record.image
            field = f"{record.field}, object {number + 1}" if record.field else f"object {number + 1}"
            yield LeftOut(DataProblem(file, field, problem, "move or remove it"), title=label.title)
        for part in parts:
            cut = part is not placed and _smaller(part, placed)
            yield Fitted(label if part is geometry else label.changed(geometry=part), cut)


def upright(geometry: AnyGeometry, orientation: int, size: Size) -> AnyGeometry:
    """Turn a shape of an image with this EXIF orientation (5 to 8) as the image is turned.

    Args:
        size: (height, width) of the pixels as they are stored.
    """
    height, width = size
    if orientation in (7, 8):
        geometry = fliplr(geometry, width)
    geometry = transpose(geometry)
    return fliplr(geometry, height) if orientation in (6, 7) else geometry


def _within(geometry: AnyGeometry, window: Rectangle) -> list[AnyGeometry]:
    extent = bounds(geometry)
    shared = overlap(extent, window)
    if shared == extent and not isinstance(geometry, Bitmap):  # whose mask may reach further than its pixels
        return [geometry]
    if isinstance(geometry, Polygon | Line | Point):
        # The border behind the last pixel is where tools put what touches the image's edge.
        geometry = _stepped_back(geometry, window)
        if overlap(bounds(geometry), window) == bounds(geometry):
            return [geometry]
    return crop(geometry, window)


def _stepped_back(geometry: Polygon | Line | Point, window: Rectangle) -> Polygon | Line | Point:
    edge, last = (window.right + 1, window.bottom + 1), (window.right, window.bottom)
    if isinstance(geometry, Point):
        x, y = (b if a == e else a for a, e, b in zip((geometry.x, geometry.y), edge, last, strict=True))
        return Point(x, y)

    def back(points: np.ndarray) -> np.ndarray:
        return np.where(points == edge, last, points).astype(np.int32)

    if isinstance(geometry, Line):
        return Line(back(geometry.points))
    return replace(geometry, exterior=back(geometry.exterior), interior=tuple(map(back, geometry.interior)))


def _smaller(part: AnyGeometry, whole: AnyGeometry) -> bool:
    """Whether more was cut than a border behind the last pixel."""
    one, other = bounds(part), bounds(whole)
    sides = zip(
        (one.left, one.top, one.right, one.bottom),
        (other.left, other.top, other.right, other.bottom),
        strict=True,
    )
    return any(abs(a - b) > 1 for a, b in sides)
