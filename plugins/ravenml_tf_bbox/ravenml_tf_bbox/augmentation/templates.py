"""Templates for detection, beside those that all plugins have."""

from __future__ import annotations

from ravenml.toolkit.augmentation.pipeline import (
    Affine,
    Blur,
    Brightness,
    Contrast,
    FlipLR,
    FlipUD,
    Multiply,
    Noise,
    Pipeline,
)
from ravenml.toolkit.augmentation.reading import read_augmentations
from ravenml.toolkit.augmentation.templates import NONE

_COLOUR = [
    Brightness(multiply=(0.5, 1.3), add=(-0.1, 0.1), p=0.8),
    Multiply(factor=(0.5, 1.4), per_channel=True, p=0.7),
    Contrast(factor=(0.6, 1.5), p=0.5),
    Blur(sigma=(0, 1.5), p=0.2),
    Noise(deviation=(0, 0.04), p=0.3),
]


def _zoomed(smallest: float, largest: float) -> Affine:
    aside = (-0.1, 0.1)
    return Affine(scale_x=(smallest, largest), keep_aspect=True, translate_x=aside, translate_y=aside)


BOXES: dict[str, Pipeline] = {
    # What is seen from the side: up stays up, and sizes vary by a factor of about two.
    "upright": Pipeline(pipeline=[FlipLR(p=0.5), _zoomed(0.6, 1.3), *_COLOUR]),
    # What is seen from above, as through a microscope, at very different magnifications.
    "from_above": Pipeline(pipeline=[FlipLR(p=0.5), FlipUD(p=0.5), _zoomed(0.6, 1.4), *_COLOUR]),
}


def find_pipeline(value: str) -> Pipeline:
    """The pipeline that the setting ``augmentations`` names.

    Raises:
        InputError: there is no such template or file, or the file says what we do not know.
    """
    return BOXES[value] if value in BOXES and value != NONE else read_augmentations(value)
