"""Operations that change colours and leave boxes alone: float32 RGB ``(H, W, 3)`` in 0 … 1 to the same.

The caller clamps what they give.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from ravenml.toolkit.augmentation import pipeline as p

Image = NDArray[Any]
LUMA = np.array((0.299, 0.587, 0.114), np.float32)  # of ITU-R BT.601, as in YCrCb
SMALLEST = 1e-3  # of a blur's sigma


def _luma(image: Image) -> Image:
    return (image @ LUMA)[..., None]


def _brightness(o: p.Brightness, image: Image, draw: np.random.Generator) -> Image:
    factor, added = draw.uniform(*o.multiply), draw.uniform(*o.add)
    if o.random_order and draw.random() < 0.5:  # added to first: (Y + a)·m is Y·m + a·m
        added *= factor
    return image + _luma(image) * np.float32(factor - 1) + np.float32(added)


def _multiply(o: p.Multiply, image: Image, draw: np.random.Generator) -> Image:
    return image * draw.uniform(*o.factor, 3 if o.per_channel else 1).astype(np.float32)


def _contrast(o: p.Contrast, image: Image, draw: np.random.Generator) -> Image:
    return (image - 0.5) * np.float32(draw.uniform(*o.factor)) + 0.5


def _gamma(o: p.Gamma, image: Image, draw: np.random.Generator) -> Image:
    return image ** np.float32(draw.uniform(*o.gamma))


def _saturation(o: p.Saturation, image: Image, draw: np.random.Generator) -> Image:
    grey = _luma(image)
    return grey + (image - grey) * np.float32(draw.uniform(*o.factor))


def _hue(o: p.Hue, image: Image, draw: np.random.Generator) -> Image:
    hue, saturation, value = cv2.split(cv2.cvtColor(image, cv2.COLOR_RGB2HSV))
    turned = (hue + np.float32(draw.uniform(*o.degrees))) % np.float32(360)
    return cv2.cvtColor(cv2.merge([turned, saturation, value]), cv2.COLOR_HSV2RGB)


def _grayscale(o: p.Grayscale, image: Image, draw: np.random.Generator) -> Image:
    return image + (_luma(image) - image) * np.float32(draw.uniform(*o.alpha))


def _invert(o: p.Invert, image: Image, draw: np.random.Generator) -> Image:
    return 1 - image


def _blur(o: p.Blur, image: Image, draw: np.random.Generator) -> Image:
    return cv2.GaussianBlur(image, (0, 0), max(draw.uniform(*o.sigma), SMALLEST))


def _motion_blur(o: p.MotionBlur, image: Image, draw: np.random.Generator) -> Image:
    line: Image = np.zeros((o.size, o.size), np.float32)
    direction = (draw.uniform(*o.direction) + 1) / 2
    line[o.size // 2] = np.linspace(direction, 1 - direction, o.size)
    middle = (o.size - 1) / 2
    turn = cv2.getRotationMatrix2D((middle, middle), draw.uniform(*o.angle), 1)
    line = cv2.warpAffine(line, turn, (o.size, o.size))
    return cv2.filter2D(image, -1, line / line.sum(), borderType=cv2.BORDER_REPLICATE)


def _noise(o: p.Noise, image: Image, draw: np.random.Generator) -> Image:
    shape = (*image.shape[:2], 3 if o.per_channel else 1)
    deviation = np.float32(draw.uniform(*o.deviation))
    return image + draw.standard_normal(shape, np.float32) * deviation


def _salt_pepper(o: p.SaltPepper, image: Image, draw: np.random.Generator) -> Image:
    number = draw.random((*image.shape[:2], 3 if o.per_channel else 1), np.float32)
    amount = draw.uniform(*o.amount)
    return np.where(
        number > 1 - amount / 2, np.float32(1), np.where(number < amount / 2, np.float32(0), image)
    )


def _jpeg(o: p.Jpeg, image: Image, draw: np.random.Generator) -> Image:
    pixels = (image.clip(0, 1) * 255).round().astype(np.uint8)
    quality = [cv2.IMWRITE_JPEG_QUALITY, round(draw.uniform(*o.quality))]
    coded = cv2.imencode(".jpg", pixels[..., ::-1], quality)[1]
    decoded: Image = np.asarray(cv2.imdecode(coded, cv2.IMREAD_COLOR))
    return decoded[..., ::-1].astype(np.float32) / 255


def _cutout(o: p.Cutout, image: Image, draw: np.random.Generator) -> Image:
    height, width = image.shape[:2]
    image = image.copy()
    for _ in range(min(math.floor(draw.uniform(o.count[0], o.count[1] + 1)), math.floor(o.count[1]))):
        size, row, column = draw.uniform(*o.size), draw.random(), draw.random()
        top, bottom = round((row - size / 2) * height), round((row + size / 2) * height)
        left, right = round((column - size / 2) * width), round((column + size / 2) * width)
        image[max(top, 0) : max(bottom, 0), max(left, 0) : max(right, 0)] = o.value
    return image


COLOURS: dict[type[p.Operation], Callable[[Any, Image, np.random.Generator], Image]] = {
    p.Brightness: _brightness,
    p.Multiply: _multiply,
    p.Contrast: _contrast,
    p.Gamma: _gamma,
    p.Saturation: _saturation,
    p.Hue: _hue,
    p.Grayscale: _grayscale,
    p.Invert: _invert,
    p.Blur: _blur,
    p.MotionBlur: _motion_blur,
    p.Noise: _noise,
    p.SaltPepper: _salt_pepper,
    p.Jpeg: _jpeg,
    p.Cutout: _cutout,
}
