"""How the demo project's world looks: textures, light from the upper left, soft shadows."""

from __future__ import annotations

import copy

import cv2
import numpy as np

from ravenml.data.geometry import Polygon, Rectangle

FINE = 4  # painted this much finer, then averaged: smooth edges
_ROOM = 12  # pixels around a thing that its shadow or shore may reach
_PALETTES = {
    # lawn dark, lawn light, path, leaves dark, leaves light, flowers
    "spring": ((62, 112, 46), (134, 176, 76), (196, 176, 136), (22, 62, 30), (78, 132, 52), (250, 246, 236)),
    "autumn": ((112, 108, 48), (190, 172, 88), (184, 160, 124), (74, 54, 22), (172, 104, 40), (222, 96, 48)),
}


def noise(random: np.random.Generator, height: int, width: int, scale: float, octaves: int = 4) -> np.ndarray:
    """Smooth noise, float32 (height, width), from 0 to 1, with features of about ``scale`` pixels."""
    total = np.zeros((height, width), np.float32)
    for octave in range(octaves):
        cell = max(scale / 2**octave, 1.0)
        rows, columns = int(height / cell) + 3, int(width / cell) + 3
        grid = random.random((rows, columns), dtype=np.float32)
        size = (int(columns * cell), int(rows * cell))
        top, left = (int(shift) for shift in random.random(2) * cell + cell / 2)
        large = cv2.resize(grid, size, interpolation=cv2.INTER_CUBIC)
        layer = large[top : top + height, left : left + width]
        total += layer * 0.5**octave
    low, high = float(total.min()), float(total.max())
    return (total - low) / max(high - low, 1e-6)


class Painter:
    """A canvas, float32 RGB from 0 to 1, four times as fine as the picture."""

    def __init__(self, random: np.random.Generator, height: int, width: int, season: str) -> None:
        self.random = random
        self.height, self.width = height * FINE, width * FINE
        colors = [np.array(color, np.float32) / 255 for color in _PALETTES[season]]
        self.lawn, self.path, self.leaves, self.flower = colors[0:2], colors[2], colors[3:5], colors[5]
        self.canvas = np.zeros((self.height, self.width, 3), np.float32)

    def window(self, left: int, top: int, right: int, bottom: int) -> tuple[Painter, int, int]:
        """A painter of the part around a box (in the picture's pixels), and the part's left and top.

        It paints on the same canvas; there is room for the box's shadow.
        """
        left, top = max(left - _ROOM, 0), max(top - _ROOM, 0)
        right, bottom = (right + _ROOM) * FINE, (bottom + _ROOM) * FINE
        part = copy.copy(self)
        part.canvas = self.canvas[top * FINE : bottom, left * FINE : right]
        part.height, part.width = part.canvas.shape[:2]
        return part, left, top

    def ground(self) -> None:
        """A lawn in two tones, mown in stripes, with a trodden path, stones and flowers."""
        patches = self._noise(150)
        blades = self._noise(7, 2)
        tone = np.clip(0.15 + 0.55 * patches + 0.35 * (blades - 0.5) + self._stripes(), 0, 1)[..., None]
        self.canvas[:] = self.lawn[0] * (1 - tone) + self.lawn[1] * tone
        self._dim(1 - 0.25 * np.clip(self._noise(260, 2) - 0.5, 0, 1))
        if self.random.random() < 0.7:
            self._path()
        self._stones(int(self.random.integers(3, 9)))
        self._flowers(int(self.random.integers(2, 5)))

    def pond(self, shape: np.ndarray) -> None:
        """Water in ``shape``, uint8 (height, width): a wet shore, darker where it is deep, glints."""
        inside = self._smooth(shape)
        deep = cv2.distanceTransform((inside > 0.5).astype(np.uint8), cv2.DIST_L2, 5)
        deep = np.clip(cv2.GaussianBlur(deep, (0, 0), 5) / (13 * FINE), 0, 1)[..., None]
        shore = np.clip(cv2.GaussianBlur(inside, (0, 0), 5) * 1.7, 0, 1) * (0.75 + 0.25 * self._noise(12))
        self._blend(self.path * 0.66, 0.8 * shore)
        ripples = self._noise(26, 3)[..., None]
        shallow, depth = np.array((0.40, 0.62, 0.64)), np.array((0.08, 0.27, 0.42))
        water = (shallow * (1 - deep) + depth * deep) * (0.88 + 0.24 * ripples)
        sky = np.clip((self._noise(90, 2) - 0.56) * 3.2, 0, 1)[..., None]
        water = water * (1 - 0.34 * sky) + np.array((0.80, 0.89, 0.95)) * 0.34 * sky
        # The bank on the light's side throws its shadow on the water.
        bank = 1 - 0.45 * np.clip(1 - self._moved(inside, 7), 0, 1)[..., None]
        self._blend(water * bank, inside)

    def hedge(self, polygon: Polygon) -> None:
        """Leaves along a rounded body, with a shadow beside it."""
        inside = self._polygon(polygon)
        self._shadow(inside, length=13, soft=5, strength=0.5)
        body = cv2.distanceTransform((inside > 0.5).astype(np.uint8), cv2.DIST_L2, 5)
        body = np.sqrt(np.clip(body / (5.0 * FINE), 0, 1))
        clumps, leaves = self._noise(20, 2), self._noise(7, 2)
        relief = body * 16 + clumps * 15 + leaves * 6
        light = np.clip(0.48 + self._slope(relief, 1.2) * 0.42, 0, 1)
        tone = np.clip(light * 0.72 + 0.42 * (leaves - 0.45) + 0.14 * (clumps - 0.5), 0, 1)[..., None]
        self._blend(self.leaves[0] * (1 - tone) + self.leaves[1] * tone, inside)

    def roof(self, place: Rectangle, thatched: bool) -> None:
        """Two slopes that meet at a ridge, in rows of tiles or in straw."""
        inside = np.zeros((self.height, self.width), np.float32)
        left, top = place.left * FINE, place.top * FINE
        right, bottom = (place.right + 1) * FINE, (place.bottom + 1) * FINE
        inside[top:bottom, left:right] = 1
        self._shadow(inside, length=20, soft=5, strength=0.62)
        lying = right - left >= bottom - top
        rows, columns = np.mgrid[0 : self.height, 0 : self.width].astype(np.float32)
        across, begin, end = (rows, top, bottom) if lying else (columns, left, right)
        along = columns if lying else rows
        middle = (begin + end) / 2
        lit = np.clip((middle - across) / 2 + 0.5, 0, 1)  # the slope towards the light
        color = self._roof_color(thatched)
        shade = 0.70 + 0.34 * lit - 0.12 * np.abs(across - middle) / max(end - begin, 1)
        if thatched:
            straw = cv2.GaussianBlur(self.random.random(inside.shape, dtype=np.float32), (0, 0), 1.2)
            shade += 1.1 * (straw - 0.5) + 0.14 * (self._noise(14, 2) - 0.5)
        else:
            shade -= 0.16 * (np.abs(across - middle) % 7 < 1.6)
            shade -= 0.05 * ((along + 4 * (across // 7)) % 9 < 1.4)
            shade += 0.20 * (self._noise(18, 3) - 0.5)
        shade += 0.20 * np.exp(-((across - middle) ** 2) / 5)
        edge = np.minimum(np.minimum(rows - top, bottom - rows), np.minimum(columns - left, right - columns))
        shade -= 0.16 * (edge < 2)
        self._blend(color * shade[..., None], inside)

    def finish(self) -> np.ndarray:
        """The picture, uint8 RGB: warm light, a little falloff to the corners, a trace of sensor noise."""
        rows, columns = np.mgrid[-1 : 1 : self.height * 1j, -1 : 1 : self.width * 1j].astype(np.float32)
        light = 1.07 - 0.06 * (columns + rows) - 0.07 * (columns**2 + rows**2)
        self._dim(light)
        size = (self.width // FINE, self.height // FINE)
        small = cv2.resize(np.ascontiguousarray(self.canvas), size, interpolation=cv2.INTER_AREA)
        small = small * np.array((1.04, 1.0, 0.95), np.float32)
        small = small + self.random.normal(0, 0.008, small.shape)
        return np.clip(small * 255 + 0.5, 0, 255).astype(np.uint8)

    def _roof_color(self, thatched: bool) -> np.ndarray:
        if thatched:
            return np.array((0.76, 0.63, 0.40)) * self.random.uniform(0.9, 1.05)
        colors = ((0.74, 0.33, 0.24), (0.64, 0.27, 0.22), (0.46, 0.47, 0.52), (0.58, 0.40, 0.32))
        return np.array(colors[int(self.random.integers(len(colors)))]) * self.random.uniform(0.9, 1.1)

    def _noise(self, scale: float, octaves: int = 4) -> np.ndarray:
        return noise(self.random, self.height, self.width, scale, octaves)

    def _stripes(self) -> np.ndarray:
        angle = self.random.uniform(0, np.pi)
        rows, columns = np.mgrid[0 : self.height, 0 : self.width].astype(np.float32)
        where = columns * np.cos(angle) + rows * np.sin(angle)
        return self.random.uniform(0, 0.09) * np.tanh(3 * np.sin(where / self.random.uniform(11, 15)))

    def _path(self) -> None:
        along = np.linspace(-0.05, 1.05, 40)
        waves, phase = self.random.uniform(3, 6), self.random.uniform(0, 6)
        bend = self.random.uniform(-0.25, 0.25) * np.sin(along * waves + phase)
        across = self.random.uniform(0.1, 0.9) + bend + self.random.uniform(-0.3, 0.3) * along
        points = np.stack([along * self.width, across * self.height], axis=1)
        if self.random.random() < 0.5:
            points = np.stack([across * self.width, along * self.height], axis=1)
        trace = np.zeros((self.height, self.width), np.uint8)
        wide = int(self.random.integers(16, 26))
        cv2.polylines(trace, [np.round(points).astype(np.int32)], False, 255, wide)
        soft = cv2.GaussianBlur(trace.astype(np.float32) / 255, (0, 0), 4)
        worn = np.clip(soft * 1.5 - 0.75 * self._noise(24, 3), 0, 1)
        self._blend(self.path * (0.82 + 0.3 * self._noise(8, 2))[..., None], worn)

    def _stones(self, count: int) -> None:
        for _ in range(count):
            x, y = (int(self.random.integers(side // FINE)) for side in (self.width, self.height))
            part, left, top = self.window(x, y, x, y)
            part._stone(((x - left) * FINE, (y - top) * FINE))

    def _stone(self, center: tuple[int, int]) -> None:
        stone = np.zeros((self.height, self.width), np.uint8)
        axes = tuple(int(v) for v in self.random.integers(5, 13, 2))
        cv2.ellipse(stone, center, axes, float(self.random.uniform(0, 180)), 0, 360, 255, -1, cv2.LINE_AA)
        inside = stone.astype(np.float32) / 255
        self._shadow(inside, length=4, soft=2, strength=0.45)
        dome = cv2.GaussianBlur(inside, (0, 0), 4) * 30
        tone = np.clip(0.60 + 0.30 * self._slope(dome, 1.0) + 0.2 * (self._noise(9, 2) - 0.5), 0, 1)
        self._blend(np.array((0.86, 0.84, 0.80)) * tone[..., None], inside)

    def _flowers(self, patches: int) -> None:
        layer = np.zeros((self.height, self.width), np.uint8)
        for _ in range(patches):
            center = self.random.uniform((0, 0), (self.width, self.height))
            spread, count = self.random.uniform(20, 50), int(self.random.integers(8, 26))
            for x, y in self.random.normal(center, spread, (count, 2)):
                cv2.circle(layer, (int(x), int(y)), int(self.random.integers(2, 4)), 255, -1, cv2.LINE_AA)
        inside = layer.astype(np.float32) / 255
        self._shadow(inside, length=2, soft=1, strength=0.4)
        self._blend(self.flower, inside)

    def _polygon(self, polygon: Polygon) -> np.ndarray:
        """A polygon's pixels on the canvas, float32 from 0 to 1."""
        shape = np.zeros((self.height, self.width), np.uint8)
        cv2.fillPoly(shape, [self._fine(polygon.exterior)], 255)
        cv2.polylines(shape, [self._fine(polygon.exterior)], True, 255, FINE)  # its outline belongs to it
        for hole in polygon.interior:
            cv2.fillPoly(shape, [self._fine(hole)], 0)
            cv2.polylines(shape, [self._fine(hole)], True, 0, FINE)
        return cv2.GaussianBlur(shape.astype(np.float32) / 255, (0, 0), 1)

    def _fine(self, points: np.ndarray) -> np.ndarray:
        return points * FINE + FINE // 2

    def _smooth(self, shape: np.ndarray) -> np.ndarray:
        """A mask of the picture's size as a smooth shape on the canvas."""
        large = cv2.resize(shape, (self.width, self.height), interpolation=cv2.INTER_NEAREST)
        soft = cv2.GaussianBlur(large.astype(np.float32) / 255, (0, 0), FINE * 0.6)
        return np.clip((soft - 0.5) * 3 + 0.5, 0, 1)

    def _moved(self, shape: np.ndarray, length: int) -> np.ndarray:
        """A shape moved away from the light by ``length`` fine pixels, and softened."""
        step = np.array([[1, 0, length], [0, 1, length]], np.float32)
        moved = cv2.warpAffine(shape, step, (self.width, self.height), borderMode=cv2.BORDER_REPLICATE)
        return cv2.GaussianBlur(moved, (0, 0), max(length / 2.5, 0.8))

    def _shadow(self, shape: np.ndarray, length: int, soft: float, strength: float) -> None:
        step = np.array([[1, 0, length], [0, 1, length]], np.float32)
        swept = np.zeros_like(shape)
        for part in np.linspace(0.25, 1, 4):
            step[:, 2] = length * part
            swept = np.maximum(swept, cv2.warpAffine(shape, step, (self.width, self.height)))
        dark = cv2.GaussianBlur(swept, (0, 0), soft)[..., None]
        # Shadows are lit by the sky alone, so they are a little blue.
        self.canvas *= 1 - np.float32(strength) * dark * np.array((1.0, 0.94, 0.80), np.float32)

    def _slope(self, relief: np.ndarray, scale: float) -> np.ndarray:
        """How much a relief leans towards the light, about -1 to 1."""
        dx = cv2.Sobel(relief, cv2.CV_32F, 1, 0) / 8
        dy = cv2.Sobel(relief, cv2.CV_32F, 0, 1) / 8
        return np.clip(scale * (dx + dy) / np.sqrt(1 + dx**2 + dy**2), -1, 1)

    def _dim(self, factor: np.ndarray) -> None:
        self.canvas *= factor[..., None].astype(np.float32)

    def _blend(self, color: np.ndarray, weight: np.ndarray) -> None:
        weight = weight[..., None].astype(np.float32)
        self.canvas += (np.asarray(color, np.float32) - self.canvas) * weight
