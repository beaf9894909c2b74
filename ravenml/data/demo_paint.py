"""How the demo project's world looks: textures, light from the upper left, soft shadows."""

from __future__ import annotations

import copy
from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import ArrayLike

_FINE = 4  # painted this much finer, then averaged: smooth edges
_AROUND = 12  # pixels around a thing that its shadow or shore may reach
_PALETTES = {
    # lawn dark, lawn light, path, leaves dark, leaves light, flowers
    "spring": ((62, 112, 46), (134, 176, 76), (196, 176, 136), (22, 62, 30), (78, 132, 52), (250, 246, 236)),
    "autumn": ((112, 108, 48), (190, 172, 88), (184, 160, 124), (74, 54, 22), (172, 104, 40), (222, 96, 48)),
}
_TILES = ((0.74, 0.33, 0.24), (0.64, 0.27, 0.22), (0.46, 0.47, 0.52), (0.58, 0.40, 0.32))


def noise(random: np.random.Generator, shape: tuple[int, int], scale: float, octaves: int = 4) -> np.ndarray:
    """Smooth noise, float32 (height, width), from 0 to 1, with features of about ``scale`` pixels."""
    height, width = shape
    total = np.zeros(shape, np.float32)
    for octave in range(octaves):
        cell = max(scale / 2**octave, 1.0)
        rows, columns = int(height / cell) + 3, int(width / cell) + 3
        grid = random.random((rows, columns), dtype=np.float32)
        size = (int(columns * cell), int(rows * cell))
        top, left = (int(shift) for shift in random.random(2) * cell + cell / 2)
        large = cv2.resize(grid, size, interpolation=cv2.INTER_CUBIC)
        total += large[top : top + height, left : left + width] * 0.5**octave
    low, high = float(total.min()), float(total.max())
    return (total - low) / max(high - low, 1e-6)


class Painter:
    """A meadow, float32 RGB from 0 to 1, finer than the picture, onto which things are painted."""

    def __init__(self, random: np.random.Generator, height: int, width: int, season: str) -> None:
        self.random = random
        colors = [np.array(color, np.float32) / 255 for color in _PALETTES[season]]
        self.lawn, self.path, self.leaves, self.flower = colors[0:2], colors[2], colors[3:5], colors[5]
        self.canvas = np.zeros((height * _FINE, width * _FINE, 3), np.float32)
        self._paint_lawn()

    def add(self, kind: str, mask: np.ndarray) -> None:
        """Paint a ``pond``, ``hedge``, ``roof`` or ``thatched`` roof where ``mask``, uint8, is not zero."""
        x, y, width, height = cv2.boundingRect(mask)
        left, top = max(x - _AROUND, 0), max(y - _AROUND, 0)
        right, bottom = x + width + _AROUND, y + height + _AROUND
        part = copy.copy(self)
        part.canvas = self.canvas[top * _FINE : bottom * _FINE, left * _FINE : right * _FINE]
        part_mask: np.ndarray = (mask[top:bottom, left:right] > 0).astype(np.float32)
        inside: np.ndarray = np.kron(part_mask, np.ones((_FINE, _FINE), np.float32))
        if kind in ("pond", "hedge"):
            inside = np.clip((cv2.GaussianBlur(inside, (0, 0), 0.6 * _FINE) - 0.5) * 3 + 0.5, 0, 1)
            (part._paint_pond if kind == "pond" else part._paint_hedge)(inside)
        else:
            part._paint_roof(inside, thatched=kind == "thatched")

    def finish(self) -> np.ndarray:
        """The picture, uint8 RGB: warm light, a little falloff to the corners, a trace of sensor noise."""
        height, width = self.canvas.shape[:2]
        rows, columns = np.mgrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j].astype(np.float32)
        light = 1.07 - 0.06 * (columns + rows) - 0.07 * (columns**2 + rows**2)
        lit = self.canvas * light[..., None] * np.array((1.04, 1.0, 0.95), np.float32)
        small = cv2.resize(lit, (width // _FINE, height // _FINE), interpolation=cv2.INTER_AREA)
        noisy = small + self.random.normal(0, 0.008, small.shape)
        picture: np.ndarray = np.clip(noisy * 255 + 0.5, 0, 255).astype(np.uint8)
        return picture

    def _paint_lawn(self) -> None:
        """Grass in two tones, mown in stripes, with a trodden path, stones and flowers."""
        random, (height, width) = self.random, self.canvas.shape[:2]
        rows, columns = np.mgrid[0:height, 0:width].astype(np.float32)
        angle = random.uniform(0, np.pi)
        across = columns * np.cos(angle) + rows * np.sin(angle)
        stripes = random.uniform(0, 0.09) * np.tanh(3 * np.sin(across / random.uniform(11, 15)))
        tone = 0.55 * self._noise(150) + 0.35 * self._noise(7, 2) + stripes - 0.02
        self._blend(self.lawn, tone, np.ones_like(tone))
        if random.random() < 0.7:
            along = np.linspace(-0.05, 1.05, 40)
            bend = random.uniform(-0.25, 0.25) * np.sin(along * random.uniform(3, 6) + random.uniform(0, 6))
            bent = random.uniform(0.1, 0.9) + random.uniform(-0.3, 0.3) * along + bend
            points = np.stack((along, bent) if random.random() < 0.5 else (bent, along), axis=1)
            trace = np.zeros((height, width), np.float32)
            wide = int(random.integers(16, 26))
            cv2.polylines(trace, [(points * (width, height)).astype(np.int32)], False, 1, wide)
            worn = cv2.GaussianBlur(trace, (0, 0), 4) * 1.5 - 0.75 * self._noise(24, 3)
            self._blend((0.82 * self.path, 1.12 * self.path), self._noise(8, 2), worn)
        stones, flowers = (np.zeros((height, width), np.float32) for _ in range(2))
        for _ in range(int(random.integers(3, 9))):
            center, axes = random.integers((width, height)).tolist(), random.integers(5, 13, 2).tolist()
            cv2.ellipse(stones, center, axes, random.uniform(0, 180), 0, 360, 1, -1)
        for _ in range(int(random.integers(2, 5))):
            place = random.uniform((0, 0), (width, height))
            for center in random.normal(place, random.uniform(20, 50), (int(random.integers(8, 26)), 2)):
                cv2.circle(flowers, center.astype(int).tolist(), int(random.integers(2, 4)), 1, -1)
        self._shade(stones, length=4, soft=2, strength=0.45)
        dome = self._relief(cv2.GaussianBlur(stones, (0, 0), 4) * 30)
        tone = 0.5 + 0.3 * dome + 0.2 * self._noise(9, 2)
        self._blend(((0, 0, 0), (0.86, 0.84, 0.80)), tone, stones)
        self._shade(flowers, length=2, soft=1, strength=0.4)
        self._blend((self.flower, self.flower), flowers, flowers)

    def _paint_pond(self, inside: np.ndarray) -> None:
        """Water: a wet shore, darker where it is deep, glints, and the shadow of the bank."""
        shore = np.clip(cv2.GaussianBlur(inside, (0, 0), 5) * 1.7, 0, 1) * (0.6 + 0.2 * self._noise(12))
        self._blend((self.path * 0.66, self.path * 0.66), shore, shore)
        self._blend(((0.40, 0.62, 0.64), (0.08, 0.27, 0.42)), self._depth(inside, 13), inside)
        self._blend(((0.02, 0.1, 0.2), (0.7, 0.85, 0.9)), self._noise(26, 3), 0.16 * inside)
        glints = np.clip((self._noise(90, 2) - 0.56) * 3.2, 0, 1)
        self._blend(((0.80, 0.89, 0.95),) * 2, glints, 0.34 * glints * inside)
        bank = cv2.GaussianBlur(_moved(1 - inside, 7), (0, 0), 3)
        self.canvas *= 1 - 0.45 * (bank * inside)[..., None]

    def _paint_hedge(self, inside: np.ndarray) -> None:
        """Leaves along a rounded body, with a shadow beside it."""
        self._shade(inside, length=13, soft=5, strength=0.5)
        clumps, leaves = self._noise(20, 2), self._noise(7, 2)
        light = self._relief(np.sqrt(self._depth(inside, 5)) * 16 + clumps * 15 + leaves * 6)
        self._blend(self.leaves, 0.09 + 0.30 * light + 0.42 * leaves + 0.14 * clumps, inside)

    def _paint_roof(self, inside: np.ndarray, thatched: bool) -> None:
        """Two slopes that meet at a ridge, in rows of tiles or in straw."""
        self._shade(inside, length=20, soft=5, strength=0.62)
        left, top, width, height = cv2.boundingRect(inside.astype(np.uint8))
        rows, columns = np.mgrid[0 : inside.shape[0], 0 : inside.shape[1]].astype(np.float32)
        across, along = rows - top - height / 2, columns
        if width < height:
            across, along = columns - left - width / 2, rows
        color = np.array((0.76, 0.63, 0.40) if thatched else _TILES[int(self.random.integers(len(_TILES)))])
        shade = 0.70 + 0.34 * np.clip(0.5 - across / 2, 0, 1) - 0.12 * np.abs(across) / min(width, height)
        if thatched:
            straw = self.random.random(inside.shape, dtype=np.float32)
            shade += 1.1 * (cv2.GaussianBlur(straw, (0, 0), 1.2) - 0.5) + 0.14 * (self._noise(14, 2) - 0.5)
        else:
            shade -= 0.16 * (np.abs(across) % 7 < 1.6) + 0.05 * ((along + 4 * (across // 7)) % 9 < 1.4)
            shade += 0.20 * (self._noise(18, 3) - 0.5)
        shade += 0.20 * np.exp(-(across**2) / 5) - 0.16 * (cv2.erode(inside, np.ones((5, 5))) == 0)
        self._blend(((0, 0, 0), color * self.random.uniform(0.9, 1.1)), shade, inside)

    def _noise(self, scale: float, octaves: int = 4) -> np.ndarray:
        return noise(self.random, self.canvas.shape[:2], scale, octaves)

    def _depth(self, inside: np.ndarray, full: float) -> np.ndarray:
        """How far inside a shape each pixel lies, 1 from ``full`` pixels of the picture on."""
        depth = cv2.distanceTransform((inside > 0.5).astype(np.uint8), cv2.DIST_L2, 5)
        share: np.ndarray = cv2.GaussianBlur(depth, (0, 0), full / 2.6) / (full * _FINE)
        return share.clip(0, 1)

    def _relief(self, height: np.ndarray) -> np.ndarray:
        """How much a relief leans towards the light, -1 to 1."""
        dx, dy = cv2.Sobel(height, cv2.CV_32F, 1, 0) / 8, cv2.Sobel(height, cv2.CV_32F, 0, 1) / 8
        return np.clip((dx + dy) / np.sqrt(1 + dx**2 + dy**2), -1, 1)

    def _shade(self, shape: np.ndarray, length: int, soft: float, strength: float) -> None:
        """Let a shape throw a shadow, which is a little blue, as only the sky lights it."""
        swept = np.max([_moved(shape, length * part) for part in (0.25, 0.5, 0.75, 1)], axis=0)
        dark = cv2.GaussianBlur(swept, (0, 0), soft)[..., None]
        self.canvas *= 1 - np.float32(strength) * dark * np.array((1.0, 0.94, 0.80), np.float32)

    def _blend(self, colors: Sequence[ArrayLike], tone: np.ndarray, weight: np.ndarray) -> None:
        """Lay the mixture of two colours on the canvas; ``tone`` 0 is the first, ``weight`` 1 covers."""
        first, second = (np.asarray(color, np.float32) for color in colors)
        tone, weight = (np.clip(part, 0, 1)[..., None].astype(np.float32) for part in (tone, weight))
        self.canvas += (first + (second - first) * tone - self.canvas) * weight


def _moved(shape: np.ndarray, length: float) -> np.ndarray:
    """A shape moved away from the light by so many fine pixels."""
    step = np.array([[1, 0, length], [0, 1, length]], np.float32)
    return cv2.warpAffine(shape, step, shape.shape[::-1])
