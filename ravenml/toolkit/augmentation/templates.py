"""The five templates, each with all of those before it."""

from __future__ import annotations

from collections.abc import Mapping

from ravenml.toolkit.augmentation.pipeline import (
    Blur,
    Brightness,
    CropPad,
    FlipLR,
    FlipUD,
    Gamma,
    Jpeg,
    Operation,
    Pipeline,
    Rotate,
    SaltPepper,
)
from ravenml.train.settings import Choice

# Kinds, ranges and chances are those of the templates in Supervisely's U-Net app.
_STEPS: dict[str, list[Operation]] = {
    "colour": [
        SaltPepper(amount=(0, 0.23), p=0.2),
        Brightness(multiply=(0.7, 1.3), add=(-30 / 255, 30 / 255), random_order=True, p=0.2),
        Blur(sigma=(0, 3), p=0.2),
        Gamma(gamma=(0.7, 1.7), p=0.2),
        Jpeg(quality=(1, 16), p=0.2),
    ],
    "rotate": [Rotate(degrees=(-30, 30), p=0.2)],
    "crop": [CropPad(percent=(-0.5, 0.5), p=0.2)],
    "fliplr": [FlipLR(p=0.3)],
    "flipud": [FlipUD(p=0.3)],
}


def _all_templates() -> dict[str, Pipeline]:
    found: dict[str, Pipeline] = {}
    name = ""
    steps: list[Operation] = []
    for added, more in _STEPS.items():
        name, steps = f"{name}+{added}" if name else added, [*steps, *more]
        found[name] = Pipeline(pipeline=steps)
    return found


TEMPLATES = _all_templates()
NONE = "none"


def template_choices(templates: Mapping[str, Pipeline]) -> list[Choice]:
    """What a form offers: no augmentation, and the templates with their steps."""
    kinds = {
        name: ", ".join(step.name.replace("_", " ") for step in one.pipeline)
        for name, one in templates.items()
    }
    return [Choice(NONE, "images as they are"), *(Choice(name, text) for name, text in kinds.items())]
