"""One picture of the demo project: where its things stand; `demo_paint` says how they look."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np

from ravenml.data.bitmap import trim
from ravenml.data.demo_paint import FINE, Painter, noise
from ravenml.data.geometry import Bitmap, Geometry, Polygon, Rectangle
from ravenml.data.masks import draw

HEIGHT, WIDTH = 144, 192


@dataclass(frozen=True, slots=True)
class Thing:
    """An object of the picture with its class and tags."""

    title: str
    geometry: Geometry
    tags: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Scene:
    """A picture, uint8 RGB (144, 192, 3), and what is to be seen in it, in the order of drawing."""

    image: np.ndarray
    things: list[Thing]


def make_scene(seed: int, number: int, season: str) -> Scene:
    """Place things on a meadow, without overlap, and paint them."""
    random = np.random.default_rng([seed, number])
    taken = np.zeros((HEIGHT, WIDTH), np.uint8)
    things: list[Thing] = []
    for _ in range(int(random.integers(1, 3))):
        things += _garden(random, taken)
    for _ in range(int(random.integers(1, 3))):
        things += _place(taken, lambda: _pond(random))
    for _ in range(int(random.integers(1, 4))):
        things += _place(taken, lambda: _roof(random))
    painter = Painter(random, HEIGHT, WIDTH, season)
    painter.ground()
    for thing in things:
        _paint(painter, thing)
    return Scene(painter.finish(), things)


def _paint(painter: Painter, thing: Thing) -> None:
    shape = np.zeros((HEIGHT, WIDTH), np.uint8)
    draw(shape, thing.geometry, 255)
    x, y, width, height = cv2.boundingRect(shape)
    part, left, top = painter.window(x, y, x + width, y + height)
    place = thing.geometry
    if isinstance(place, Polygon):
        holes = tuple(hole - (left, top) for hole in place.interior)
        part.hedge(Polygon(place.exterior - (left, top), holes))
    elif isinstance(place, Rectangle):
        moved = Rectangle(place.left - left, place.top - top, place.right - left, place.bottom - top)
        part.roof(moved, thatched="thatched" in thing.tags)
    else:
        part.pond(shape[top : top + part.height // FINE, left : left + part.width // FINE])


def _place(taken: np.ndarray, make: Callable[[], Thing]) -> list[Thing]:
    """Make things until one has room; none after 25 tries."""
    for _ in range(25):
        thing = make()
        if _claim(taken, thing.geometry, margin=9):
            return [thing]
    return []


def _claim(taken: np.ndarray, geometry: Geometry, margin: int) -> bool:
    shape = np.zeros_like(taken)
    draw(shape, geometry, 1)
    if (taken & shape).any():
        return False
    around = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (margin, margin))
    taken |= cv2.dilate(shape, around)
    return True


def _garden(random: np.random.Generator, taken: np.ndarray) -> list[Thing]:
    """A hedge; often around a lawn with a roof in it, sometimes a thicket without a hole."""
    for _ in range(25):
        open_inside = random.random() < 0.75
        size = random.uniform(24, 38) if open_inside else random.uniform(10, 17)
        center = random.uniform((22, 20), (WIDTH - 22, HEIGHT - 20))
        outer = _ring(random, center, size)
        holes: tuple[np.ndarray, ...] = ()
        if open_inside:
            inner = center + (outer - center) * (1 - random.uniform(8, 11) / size)
            holes = (np.round(inner).astype(np.int32),)
        outer = np.clip(outer, 0, (WIDTH - 1, HEIGHT - 1))
        holes = tuple(np.clip(hole, 0, (WIDTH - 1, HEIGHT - 1)) for hole in holes)
        hedge = Polygon(outer, holes)
        whole = Polygon(outer)
        inside = np.zeros_like(taken)
        draw(inside, whole, 1)
        if (taken & inside).any():
            continue
        _claim(taken, whole, margin=9)
        found = [Thing("hedge", hedge)]
        if open_inside and size > 30 and random.random() < 0.6:
            half_width, half_height = random.integers(6, 10), random.integers(5, 8)
            x, y = np.round(center + random.uniform(-3, 3, 2)).astype(int)
            if half_width < x < WIDTH - half_width and half_height < y < HEIGHT - half_height:
                place = Rectangle(x - half_width, y - half_height, x + half_width, y + half_height)
                found.append(_as_roof(random, place))
        return found
    return []


def _ring(random: np.random.Generator, center: np.ndarray, size: float) -> np.ndarray:
    """A rounded, slightly squarish outline, int32 (N, 2)."""
    angles = np.linspace(0, 2 * np.pi, 28, endpoint=False)
    squareness = random.uniform(0.0, 0.16)
    turn = random.uniform(0, np.pi)
    radius = size * (1 - squareness * np.cos(4 * (angles - turn)))
    for waves in (2, 3, 5):
        radius += size * random.uniform(0, 0.16 / waves) * np.cos(waves * angles + random.uniform(0, 6.3))
    points = center + radius[:, None] * np.stack([np.cos(angles) * 1.12, np.sin(angles) * 0.9], axis=1)
    return np.round(points).astype(np.int32)


def _pond(random: np.random.Generator) -> Thing:
    """A blob: noise above a threshold that falls off from a centre."""
    x, y = random.uniform((10, 10), (WIDTH - 10, HEIGHT - 10))
    rx, ry = random.uniform(14, 32), random.uniform(11, 22)
    rows, columns = np.mgrid[0:HEIGHT, 0:WIDTH].astype(np.float32)
    far = ((columns - x) / rx) ** 2 + ((rows - y) / ry) ** 2
    blob = (far + 1.1 * (noise(random, HEIGHT, WIDTH, 30) - 0.5) < 0.85).astype(np.uint8)
    _, labels, stats, _ = cv2.connectedComponentsWithStats(blob)
    if len(stats) > 1:
        blob = (labels == 1 + int(stats[1:, cv2.CC_STAT_AREA].argmax())).astype(np.uint8)
    blob = cv2.morphologyEx(blob, cv2.MORPH_OPEN, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (5, 5)))
    if not blob.any():
        blob[int(y) - 4 : int(y) + 4, int(x) - 4 : int(x) + 4] = 1
    origin, mask = trim(blob)
    return Thing("pond", Bitmap(origin, mask))


def _roof(random: np.random.Generator) -> Thing:
    width, height = sorted(random.integers(12, 30, 2), reverse=bool(random.random() < 0.65))
    left, top = random.integers(-4, WIDTH - width // 2), random.integers(-4, HEIGHT - height // 2)
    right, bottom = min(left + width, WIDTH - 1), min(top + height, HEIGHT - 1)
    return _as_roof(random, Rectangle(max(int(left), 0), max(int(top), 0), int(right), int(bottom)))


def _as_roof(random: np.random.Generator, place: Rectangle) -> Thing:
    rectangle = Rectangle(int(place.left), int(place.top), int(place.right), int(place.bottom))
    return Thing("roof", rectangle, ("thatched",) if random.random() < 0.3 else ())
