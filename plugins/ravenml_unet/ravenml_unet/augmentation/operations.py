"""What the operations do to a batch: image and mask together, on the device that they lie on.

Parameters are drawn on the CPU, so that the same step draws the same on every device; only noise, a number
per pixel, is drawn where the images are.  Of a batch only the images that chance has chosen are computed.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from kornia.color import hsv_to_rgb, rgb_to_hsv
from kornia.enhance import jpeg_codec_differentiable
from kornia.filters import gaussian_blur2d, motion_blur
from torch.nn import functional as F

from ravenml.toolkit.augmentation import pipeline as p

LUMA = (0.299, 0.587, 0.114)  # of ITU-R BT.601, as in YCrCb
PADDING = {"constant": "zeros", "reflect": "reflection", "edge": "border"}
SMALLEST = 1e-3  # of a blur's sigma, and of a window's side


class Draw:
    """The random numbers of one step; each call goes on where the last one ended."""

    def __init__(self, seed: int, device: torch.device) -> None:
        self.device = device
        self._parameters = torch.Generator().manual_seed(seed)
        on_cpu = device.type == "cpu"
        self._pixels = self._parameters if on_cpu else torch.Generator(device).manual_seed(seed)

    def chosen(self, chance: float, count: int) -> torch.Tensor:
        """The indices of the images to change, on the CPU."""
        return (torch.rand(count, generator=self._parameters) < chance).nonzero().flatten()

    def order(self, count: int) -> list[int]:
        """A permutation."""
        return torch.randperm(count, generator=self._parameters).tolist()

    def uniform(self, between: tuple[float, float], *shape: int) -> torch.Tensor:
        """Float32 on the CPU."""
        low, high = between
        return low + (high - low) * torch.rand(*shape, generator=self._parameters)

    def per_image(self, between: tuple[float, float], count: int) -> torch.Tensor:
        """A number for every image: float32 ``(count, 1, 1, 1)`` on the device."""
        return self.uniform(between, count, 1, 1, 1).to(self.device, non_blocking=True)

    def noise(self, *shape: int) -> torch.Tensor:
        """Normally distributed, on the device."""
        return torch.randn(*shape, generator=self._pixels, device=self.device)

    def rand(self, *shape: int) -> torch.Tensor:
        """Evenly distributed in 0 … 1, on the device."""
        return torch.rand(*shape, generator=self._pixels, device=self.device)


# Colours: float32 RGB (N, 3, H, W) in 0 … 1 to the same; the caller clamps.


def _luma(x: torch.Tensor) -> torch.Tensor:
    red, green, blue = x.unbind(1)
    return (LUMA[0] * red + LUMA[1] * green + LUMA[2] * blue).unsqueeze(1)


def _brightness(o: p.Brightness, x: torch.Tensor, draw: Draw) -> torch.Tensor:
    factor, added = draw.per_image(o.multiply, len(x)), draw.per_image(o.add, len(x))
    if o.random_order:  # added to first: (Y + a)·m is Y·m + a·m
        first = draw.per_image((0, 1), len(x)) < 0.5
        added = torch.where(first, added * factor, added)
    return x + _luma(x) * (factor - 1) + added


def _multiply(o: p.Multiply, x: torch.Tensor, draw: Draw) -> torch.Tensor:
    return x * draw.uniform(o.factor, len(x), 3 if o.per_channel else 1, 1, 1).to(x.device, non_blocking=True)


def _contrast(o: p.Contrast, x: torch.Tensor, draw: Draw) -> torch.Tensor:
    return (x - 0.5) * draw.per_image(o.factor, len(x)) + 0.5


def _gamma(o: p.Gamma, x: torch.Tensor, draw: Draw) -> torch.Tensor:
    return x.pow(draw.per_image(o.gamma, len(x)))


def _saturation(o: p.Saturation, x: torch.Tensor, draw: Draw) -> torch.Tensor:
    grey = _luma(x)
    return grey + (x - grey) * draw.per_image(o.factor, len(x))


def _hue(o: p.Hue, x: torch.Tensor, draw: Draw) -> torch.Tensor:
    hue, saturation, value = rgb_to_hsv(x).split(1, dim=1)
    turned = (hue + draw.per_image(o.degrees, len(x)) * (math.pi / 180)) % (2 * math.pi)
    return hsv_to_rgb(torch.cat([turned, saturation, value], dim=1))


def _grayscale(o: p.Grayscale, x: torch.Tensor, draw: Draw) -> torch.Tensor:
    return torch.lerp(x, _luma(x).expand_as(x), draw.per_image(o.alpha, len(x)))


def _invert(o: p.Invert, x: torch.Tensor, draw: Draw) -> torch.Tensor:
    return 1 - x


def _blur(o: p.Blur, x: torch.Tensor, draw: Draw) -> torch.Tensor:
    radius = min(max(1, math.ceil(2 * o.sigma[1])), min(x.shape[-2:]) - 1)
    # On the CPU: kornia looks at the values, and takes them to the device itself.
    sigma = draw.uniform(o.sigma, len(x), 1).clamp_min(SMALLEST).expand(-1, 2)
    return gaussian_blur2d(x, (2 * radius + 1, 2 * radius + 1), sigma)


def _motion_blur(o: p.MotionBlur, x: torch.Tensor, draw: Draw) -> torch.Tensor:
    angle, direction = (
        draw.uniform(r, len(x)).to(x.device, non_blocking=True) for r in (o.angle, o.direction)
    )
    return motion_blur(x, o.size, angle, direction, border_type="replicate")


def _noise(o: p.Noise, x: torch.Tensor, draw: Draw) -> torch.Tensor:
    channels = 3 if o.per_channel else 1
    return x + draw.noise(len(x), channels, *x.shape[-2:]) * draw.per_image(o.deviation, len(x))


def _salt_pepper(o: p.SaltPepper, x: torch.Tensor, draw: Draw) -> torch.Tensor:
    number = draw.rand(len(x), 3 if o.per_channel else 1, *x.shape[-2:])
    amount = draw.per_image(o.amount, len(x))
    x = torch.where(number < amount / 2, torch.zeros_like(x), x)
    return torch.where(number > 1 - amount / 2, torch.ones_like(x), x)


def _jpeg(o: p.Jpeg, x: torch.Tensor, draw: Draw) -> torch.Tensor:
    quality = draw.uniform(o.quality, len(x))  # on the CPU, for the same reason
    return jpeg_codec_differentiable(x.contiguous(), quality)


def _cutout(o: p.Cutout, x: torch.Tensor, draw: Draw) -> torch.Tensor:
    height, width = x.shape[-2:]
    rows = torch.arange(height, device=x.device).view(1, 1, -1, 1) / height
    columns = torch.arange(width, device=x.device).view(1, 1, 1, -1) / width
    most = math.floor(o.count[1])
    counts = draw.uniform((o.count[0], o.count[1] + 1), len(x), 1, 1, 1).floor().clamp(max=most)
    counts = counts.to(x.device, non_blocking=True)
    for number in range(most):
        size, top, left = (draw.per_image(between, len(x)) for between in (o.size, (0, 1), (0, 1)))
        inside = (rows - top).abs() * 2 <= size
        inside = inside & ((columns - left).abs() * 2 <= size) & (number < counts)
        x = torch.where(inside, torch.full_like(x, o.value), x)
    return x


# Geometry: where in the image, in its own pixels, each pixel of the result comes from.


def _rotate(o: p.Rotate, height: int, width: int, count: int, draw: Draw) -> torch.Tensor:
    zeros, ones = torch.zeros(count), torch.ones(count)
    return _inverse(draw.uniform(o.degrees, count), ones, ones, zeros, zeros, zeros, zeros, height, width)


def _affine(o: p.Affine, height: int, width: int, count: int, draw: Draw) -> torch.Tensor:
    degrees, scale_x, scale_y = (draw.uniform(r, count) for r in (o.degrees, o.scale_x, o.scale_y))
    shear_x, shear_y = (draw.uniform(r, count) for r in (o.shear_x, o.shear_y))
    move_x, move_y = (draw.uniform(r, count) for r in (o.translate_x, o.translate_y))
    scale_y = scale_x if o.keep_aspect else scale_y
    return _inverse(degrees, scale_x, scale_y, shear_x, shear_y, move_x, move_y, height, width)


def _inverse(
    degrees: torch.Tensor,
    scale_x: torch.Tensor,
    scale_y: torch.Tensor,
    shear_x: torch.Tensor,
    shear_y: torch.Tensor,
    move_x: torch.Tensor,
    move_y: torch.Tensor,
    height: int,
    width: int,
) -> torch.Tensor:
    """From what is to be done to an image, the map from the result's coordinates to the image's."""
    angle = torch.deg2rad(degrees)
    turn = _matrix(angle.cos(), -angle.sin(), angle.sin(), angle.cos())
    shear = _matrix(
        torch.ones_like(angle), torch.deg2rad(shear_x).tan(), torch.deg2rad(shear_y).tan(), 1 + 0 * angle
    )
    scale = _matrix(scale_x.clamp_min(SMALLEST), 0 * angle, 0 * angle, scale_y.clamp_min(SMALLEST))
    # From coordinates in -1 … 1 to pixels and back, because a right angle is one in pixels only.
    to_pixels = torch.diag(torch.tensor([width / 2, height / 2]))
    linear = torch.linalg.inv(to_pixels) @ torch.linalg.inv(turn @ shear @ scale) @ to_pixels
    moved = torch.stack([2 * move_x, 2 * move_y], dim=1).unsqueeze(2)
    return torch.cat([linear, -linear @ moved], dim=2)


def _matrix(a: torch.Tensor, b: torch.Tensor, c: torch.Tensor, d: torch.Tensor) -> torch.Tensor:
    return torch.stack([torch.stack([a, b], dim=1), torch.stack([c, d], dim=1)], dim=1)


def _crop_pad(o: p.CropPad, height: int, width: int, count: int, draw: Draw) -> torch.Tensor:
    sides = (
        draw.uniform(o.percent, count, 1).expand(-1, 4)
        if o.same_on_all_sides
        else draw.uniform(o.percent, count, 4)
    )
    top, right, bottom, left = sides.unbind(1)
    zeros = torch.zeros(count)
    rows = [
        torch.stack([(1 + left + right).clamp_min(2 / width), zeros, right - left], dim=1),
        torch.stack([zeros, (1 + top + bottom).clamp_min(2 / height), bottom - top], dim=1),
    ]
    return torch.stack(rows, dim=1)


COLOURS: dict[type[p.Operation], Callable[[Any, torch.Tensor, Draw], torch.Tensor]] = {
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
GEOMETRY: dict[type[p.Operation], Callable[[Any, int, int, int, Draw], torch.Tensor]] = {
    p.Rotate: _rotate,
    p.Affine: _affine,
    p.CropPad: _crop_pad,
}
FLIPS: dict[type[p.Operation], int] = {p.FlipLR: -1, p.FlipUD: -2}


def change(
    operation: p.Operation, images: torch.Tensor, labels: torch.Tensor, background: int, draw: Draw
) -> tuple[torch.Tensor, torch.Tensor]:
    """Do one operation to all of these images and labels.

    Args:
        operation: what to do.
        images: float32 RGB ``(N, 3, H, W)`` in 0 … 1.
        labels: int64 ``(N, H, W)``.
        background: the label of what comes in from outside.
        draw: random numbers.

    Returns:
        Both new, of the same shapes; labels are taken from the nearest pixel, never mixed.
    """
    kind = type(operation)
    if kind in COLOURS:
        return COLOURS[kind](operation, images, draw).clamp(0, 1), labels
    if kind in FLIPS:
        return images.flip(FLIPS[kind]), labels.flip(FLIPS[kind])
    height, width = images.shape[-2:]
    maps = GEOMETRY[kind](operation, height, width, len(images), draw).to(images.device, non_blocking=True)
    grid = F.affine_grid(maps, list(images.shape), align_corners=False)
    padding = PADDING[operation.fill] if isinstance(operation, p.Geometric) else "zeros"
    images = F.grid_sample(images, grid, "bilinear", padding, align_corners=False)
    # Float32 holds every label exactly; what grid_sample puts outside is 0, which is made the background.
    moved = F.grid_sample(
        (labels - background).unsqueeze(1).float(), grid, "nearest", padding, align_corners=False
    )
    return images, moved.squeeze(1).round().long() + background
