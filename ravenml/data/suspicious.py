"""Objects that can be read, but that a person should look at before a training: outside, tiny, twice, …"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np

from ravenml.data.annotation import Annotation
from ravenml.data.geometry import Bitmap, Geometry, Polygon, Rectangle, Size
from ravenml.data.project import Item
from ravenml.data.transforms import bounds

OUTSIDE, TINY = "reaches outside the image", "tiny"
DUPLICATED, WHOLE_IMAGE = "drawn twice", "covers the whole image"
REASONS = (OUTSIDE, TINY, DUPLICATED, WHOLE_IMAGE)

_EXAMPLES = 100  # kept per reason
_PER_IMAGE = 2  # kept per reason and image, so that one image does not hide the others
_EDGE = 1  # pixel; tools that count edges instead of pixels write this one too many
_SPECK = 3  # pixels wide and high at most
_WHOLE = 0.99  # of the image
_RARE = 0.01  # of the objects of the most frequent class


@dataclass(frozen=True, slots=True)
class SuspiciousObject:
    """One object that looks wrong.

    Attributes:
        item: its image.
        number: its place in ``Annotation.objects``.
        class_title: its class.
        reason: one of `REASONS`.
        box: its bounding box in pixels of the image, both corners inclusive; it may reach outside.
        detail: the reason with its numbers, for people: ``tiny, 2×1 pixels``.
    """

    item: Item
    number: int
    class_title: str
    reason: str
    box: Rectangle
    detail: str


@dataclass
class SuspiciousObjects:
    """What was found in a project: all of it counted, examples kept.

    Attributes:
        counts: objects by reason, in the order of `REASONS`.
        examples: at most 100 per reason, and of those at most 2 per image.
    """

    counts: Counter[str] = field(default_factory=lambda: Counter(dict.fromkeys(REASONS, 0)))
    examples: dict[str, list[SuspiciousObject]] = field(
        default_factory=lambda: {reason: [] for reason in REASONS}
    )

    def add(self, found: list[SuspiciousObject]) -> None:
        """Count those of one image."""
        for reason in {one.reason for one in found}:
            those = [one for one in found if one.reason == reason]
            self.counts[reason] += len(those)
            room = _EXAMPLES - len(self.examples[reason])
            self.examples[reason] += those[: min(_PER_IMAGE, room)]


def find_suspicious(item: Item, annotation: Annotation) -> list[SuspiciousObject]:
    """The objects of one image that look wrong, each with the first reason of `REASONS` that fits.

    - It reaches more than a pixel outside the image.
    - It is tiny: at most 3 pixels wide and high, one pixel wide or high, or a bitmap without any pixel.
    - An object before it has the same shape in the same place, of whatever class.
    - It covers at least 99 % of the image.
    """
    found = []
    before: dict[tuple[type[Geometry], Rectangle], list[tuple[Geometry, str]]] = {}
    for number, one in enumerate(annotation.objects):
        box = bounds(one.geometry)
        same_place = before.setdefault((type(one.geometry), box), [])
        twin = next((title for other, title in same_place if _is_equal(one.geometry, other)), None)
        same_place.append((one.geometry, one.class_title))
        for reason, detail in _reasons(one.geometry, box, annotation.size, twin, one.class_title):
            found.append(SuspiciousObject(item, number, one.class_title, reason, box, detail))
            break
    return found


def _reasons(
    geometry: Geometry, box: Rectangle, size: Size, twin: str | None, title: str
) -> Iterator[tuple[str, str]]:
    """Each reason that fits, and its detail."""
    height, width = size
    out = max(-box.left, -box.top, box.right - width + 1, box.bottom - height + 1)
    if out > _EDGE:
        yield OUTSIDE, f"{OUTSIDE} by {out} pixels"
    wide, high = box.right - box.left + 1, box.bottom - box.top + 1
    if isinstance(geometry, Bitmap) and not geometry.mask.any():
        yield TINY, f"{TINY}, a bitmap without any pixel"
    elif max(wide, high) <= _SPECK or min(wide, high) <= 1:
        yield TINY, f"{TINY}, {wide}×{high} pixels"
    if twin is not None:
        yield DUPLICATED, DUPLICATED if twin == title else f'{DUPLICATED}, also as "{twin}"'
    if wide * high >= _WHOLE * width * height and _area(geometry) >= _WHOLE * width * height:
        yield WHOLE_IMAGE, WHOLE_IMAGE


def _is_equal(one: Geometry, other: Geometry) -> bool:
    if isinstance(one, Bitmap) and isinstance(other, Bitmap):
        return one.origin == other.origin and np.array_equal(one.mask, other.mask)
    if isinstance(one, Polygon) and isinstance(other, Polygon):
        rings, others = (one.exterior, *one.interior), (other.exterior, *other.interior)
        return len(rings) == len(others) and all(map(np.array_equal, rings, others))
    return one == other


def _area(geometry: Geometry) -> float:
    """In pixels, about as many as drawing sets."""
    if isinstance(geometry, Bitmap):
        return float(np.count_nonzero(geometry.mask))
    if isinstance(geometry, Rectangle):
        return (geometry.right - geometry.left + 1) * (geometry.bottom - geometry.top + 1)
    return _ring_area(geometry.exterior) - sum(map(_ring_area, geometry.interior))


def _ring_area(points: np.ndarray) -> float:
    """The pixels within a ring and on it, by Pick's theorem from the area that it encloses."""
    here, ahead = points.astype(np.int64), np.roll(points, -1, axis=0).astype(np.int64)
    enclosed = abs(int(np.sum(here[:, 0] * ahead[:, 1] - ahead[:, 0] * here[:, 1]))) / 2
    return enclosed + float(np.abs(ahead - here).max(axis=1).sum()) / 2 + 1


def rare_classes(objects: Mapping[str, int]) -> list[str]:
    """Titles with no object, or with less than 1 % of the objects of the most frequent class, rarest first.

    Args:
        objects: how many objects each class has.
    """
    most = max(objects.values(), default=0)
    return sorted(
        (title for title, count in objects.items() if count < _RARE * most or not count),
        key=lambda title: objects[title],
    )
