"""The demo project: a small, made-up world seen from above, for first steps and for tests.

Gardens with ponds (bitmaps), hedges (polygons, most with a hole: the lawn that they enclose) and roofs
(rectangles), in spring and in autumn.  What stands where is decided here, how it looks in `demo_paint`.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np

from ravenml.data.bitmap import trim
from ravenml.data.demo_paint import Painter, noise
from ravenml.data.editable_annotation import EditableAnnotation, Label
from ravenml.data.formats.parallel import in_order
from ravenml.data.geometry import Bitmap, Geometry, Polygon, Rectangle
from ravenml.data.masks import draw
from ravenml.data.meta import ObjClass, TagMeta
from ravenml.data.project import Project
from ravenml.data.split import TRAIN, VAL, rank
from ravenml.data.writing import ProjectWriter, meta_json
from ravenml.errors import InputError

CLASSES = {"pond": ("bitmap", "#2D9CDB"), "hedge": ("polygon", "#F2C94C"), "roof": ("rectangle", "#EB5757")}
_TAGS = {  # their colours, and what they are for
    TRAIN: ("#27AE60", "imagesOnly"),
    VAL: ("#9B51E0", "imagesOnly"),
    "thatched": ("#C79A4B", "objectsOnly"),
}
SEASONS = ("autumn", "spring")
_HEIGHT, _WIDTH = 144, 192
_VAL_EVERY = 5  # a fifth of each season is tagged `val`
_TRIES = 25
_MARGIN = 9  # pixels around a thing that others keep away


def write_demo(directory: Path, images: int = 30, seed: int = 0) -> Project:
    """Write the demo project into a new or empty folder.

    Args:
        images: how many, at least 2; half of them are of each season, a dataset each.
        seed: the same seed gives the same pictures.

    Raises:
        InputError: the folder is not empty, or fewer than 2 images are asked for.
        RavenError: the disk is full or may not be written.
    """
    directory = Path(directory).expanduser().absolute()
    if images < 2:
        raise InputError(f"{images} images make no training and validation set; ask for at least 2.")
    if directory.is_file() or (directory.is_dir() and any(directory.iterdir())):
        raise InputError(f"{directory} is not empty; name a new folder.")
    writer = ProjectWriter(directory)
    classes = [ObjClass(title, shape, color) for title, (shape, color) in CLASSES.items()]
    meta = meta_json(classes, [TagMeta(name, color=color) for name, (color, _) in _TAGS.items()])
    for tag in meta["tags"]:
        tag["applicable_type"] = _TAGS[tag["name"]][1]
    writer.write_meta(meta)
    for index, (image, labels) in enumerate(in_order(lambda index: _make_image(seed, index), range(images))):
        tag = {"name": _set_of(index, images, seed)}
        annotation = EditableAnnotation((_HEIGHT, _WIDTH), tuple(labels), (tag,))
        writer.add(SEASONS[index % 2], f"garden_{index // 2 + 1:03d}.png", image, annotation)
    return Project.open(directory)


def _set_of(index: int, images: int, seed: int) -> str:
    """`train` or `val`: by chance, but the same share of each season, and at least one image of each."""
    season = [other for other in range(images) if other % 2 == index % 2]
    order = sorted(season, key=lambda other: rank(str(other), seed))
    held_out = max(round(len(season) / _VAL_EVERY), 1 if index % 2 == 0 and len(season) > 1 else 0)
    if images < 4:
        return VAL if index == 1 else TRAIN
    return VAL if index in order[:held_out] else TRAIN


class _Thing(NamedTuple):
    kind: str  # as `demo_paint.Painter` calls it
    geometry: Geometry


def _make_image(seed: int, number: int) -> tuple[np.ndarray, list[Label]]:
    """Place things on a meadow, without overlap, and paint them."""
    random = np.random.default_rng([seed, number])
    taken = np.zeros((_HEIGHT, _WIDTH), np.uint8)
    things: list[_Thing] = []
    for _ in range(int(random.integers(1, 3))):
        things += _make_garden(random, taken)
    for _ in range(int(random.integers(1, 3))):
        things += _place(taken, lambda: _make_pond(random))
    for _ in range(int(random.integers(1, 4))):
        things += _place(taken, lambda: _make_roof(random))
    painter = Painter(random, _HEIGHT, _WIDTH, SEASONS[number % 2])
    labels = []
    for thing in things:
        painter.add(thing.kind, _drawn(thing.geometry))
        thatched = thing.kind == "thatched"
        tags = [{"name": "thatched"}] if thatched else []
        labels.append(Label.make("roof" if thatched else thing.kind, thing.geometry, tags))
    return painter.finish(), labels


def _drawn(geometry: Geometry) -> np.ndarray:
    mask = np.zeros((_HEIGHT, _WIDTH), np.uint8)
    draw(mask, geometry, 1)
    return mask


def _place(taken: np.ndarray, make: Callable[[], _Thing]) -> list[_Thing]:
    """Make things until one has room; none after some tries."""
    for _ in range(_TRIES):
        thing = make()
        if _claim(taken, thing.geometry):
            return [thing]
    return []


def _claim(taken: np.ndarray, geometry: Geometry) -> bool:
    """Take a shape's place and what is near it, if nothing is there yet."""
    shape = _drawn(geometry)
    if (taken & shape).any():
        return False
    taken |= cv2.dilate(shape, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (_MARGIN, _MARGIN)))
    return True


def _make_garden(random: np.random.Generator, taken: np.ndarray) -> list[_Thing]:
    """A hedge; often around a lawn with a roof in it, sometimes a thicket without a hole."""
    for _ in range(_TRIES):
        open_inside = random.random() < 0.75
        size = random.uniform(24, 38) if open_inside else random.uniform(10, 17)
        center = random.uniform((22, 20), (_WIDTH - 22, _HEIGHT - 20))
        rings = [_make_ring(random, center, size)]
        if open_inside:
            inner = center + (rings[0] - center) * (1 - random.uniform(8, 11) / size)
            rings.append(np.round(inner).astype(np.int32))
        outer, *holes = (np.clip(ring, 0, (_WIDTH - 1, _HEIGHT - 1)) for ring in rings)
        if not _claim(taken, Polygon(outer)):
            continue
        found = [_Thing("hedge", Polygon(outer, tuple(holes)))]
        if open_inside and size > 30 and random.random() < 0.6:
            wide, high = random.integers(6, 10), random.integers(5, 8)
            x, y = np.round(center + random.uniform(-3, 3, 2)).astype(int)
            if wide < x < _WIDTH - wide and high < y < _HEIGHT - high:
                found.append(_as_roof(random, x - wide, y - high, x + wide, y + high))
        return found
    return []


def _make_ring(random: np.random.Generator, center: np.ndarray, size: float) -> np.ndarray:
    """A rounded, slightly squarish outline, int32 (N, 2)."""
    angles = np.linspace(0, 2 * np.pi, 28, endpoint=False)
    squareness = random.uniform(0.0, 0.16)
    turn = random.uniform(0, np.pi)
    radius = size * (1 - squareness * np.cos(4 * (angles - turn)))
    for waves in (2, 3, 5):
        radius += size * random.uniform(0, 0.16 / waves) * np.cos(waves * angles + random.uniform(0, 6.3))
    points = center + radius[:, None] * np.stack([np.cos(angles) * 1.12, np.sin(angles) * 0.9], axis=1)
    return np.round(points).astype(np.int32)


def _make_pond(random: np.random.Generator) -> _Thing:
    """A blob: noise above a threshold that falls off from a centre."""
    x, y = random.uniform((10, 10), (_WIDTH - 10, _HEIGHT - 10))
    rx, ry = random.uniform(14, 32), random.uniform(11, 22)
    rows, columns = np.mgrid[0:_HEIGHT, 0:_WIDTH].astype(np.float32)
    far = ((columns - x) / rx) ** 2 + ((rows - y) / ry) ** 2
    blob = (far + 1.1 * (noise(random, (_HEIGHT, _WIDTH), 30) - 0.5) < 0.85).astype(np.uint8)
    _, labels, stats, _ = cv2.connectedComponentsWithStats(blob)
    if len(stats) > 1:
        blob = (labels == 1 + int(stats[1:, cv2.CC_STAT_AREA].argmax())).astype(np.uint8)
    blob = cv2.morphologyEx(blob, cv2.MORPH_OPEN, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (5, 5)))
    if not blob.any():
        blob[int(y) - 4 : int(y) + 4, int(x) - 4 : int(x) + 4] = 1
    return _Thing("pond", Bitmap(*trim(blob)))


def _make_roof(random: np.random.Generator) -> _Thing:
    width, height = sorted(random.integers(12, 30, 2), reverse=bool(random.random() < 0.65))
    left, top = random.integers(-4, _WIDTH - width // 2), random.integers(-4, _HEIGHT - height // 2)
    right, bottom = min(left + width, _WIDTH - 1), min(top + height, _HEIGHT - 1)
    return _as_roof(random, max(left, 0), max(top, 0), right, bottom)


def _as_roof(random: np.random.Generator, *sides: int) -> _Thing:
    return _Thing("thatched" if random.random() < 0.3 else "roof", Rectangle(*(int(side) for side in sides)))
