"""Which augmentations run: the operations there are, as validated plain data.  Imports no framework.

A file is YAML or JSON::

    random_order: false
    pipeline:
      - {name: brightness, multiply: [0.7, 1.3], p: 0.2}
      - {name: rotate, degrees: [-30, 30], p: 0.2}
      - {name: flip_lr, p: 0.5}

A range ``[low, high]`` is drawn from evenly, again for every image; a single number is always taken.  ``p``
is the chance that an image is changed at all.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, SerializeAsAny

from ravenml.common.io import JsonObject


def _as_pair(value: object) -> object:
    return (value, value) if isinstance(value, int | float) and not isinstance(value, bool) else value


def _ascending(value: tuple[float, float]) -> tuple[float, float]:
    if value[0] > value[1]:
        raise ValueError(f"should be [low, high], not {list(value)}")
    return value


Range = Annotated[tuple[float, float], BeforeValidator(_as_pair), AfterValidator(_ascending)]
Fill = Literal["constant", "reflect", "edge"]
FILL = "What lies outside: black and background, the image mirrored, or its border continued."


class Operation(BaseModel):
    """One step; ``name`` says which."""

    model_config = ConfigDict(extra="forbid")

    name: str
    p: float = Field(default=1.0, ge=0, le=1, description="The chance that an image is changed.")


# What changes colours, and leaves masks alone.  Channels lie in 0 … 1.


class Brightness(Operation):
    """Luminance: first multiplied, then added to (either first with ``random_order``)."""

    name: Literal["brightness"] = "brightness"
    multiply: Range = (0.8, 1.2)
    add: Range = (0, 0)
    random_order: bool = False


class Multiply(Operation):
    """All channels times one factor, or each times its own."""

    name: Literal["multiply"] = "multiply"
    factor: Range = (0.8, 1.2)
    per_channel: bool = False


class Contrast(Operation):
    """The distance from middle grey times ``factor``."""

    name: Literal["contrast"] = "contrast"
    factor: Range = (0.8, 1.2)


class Gamma(Operation):
    """Every channel to the power of ``gamma``."""

    name: Literal["gamma"] = "gamma"
    gamma: Range = (0.7, 1.7)


class Saturation(Operation):
    """Saturation times ``factor``: 0 is grey."""

    name: Literal["saturation"] = "saturation"
    factor: Range = (0.5, 1.5)


class Hue(Operation):
    """Hue turned by ``degrees``."""

    name: Literal["hue"] = "hue"
    degrees: Range = (-15, 15)


class Grayscale(Operation):
    """Mixed with its grey image: ``alpha`` 1 is grey."""

    name: Literal["grayscale"] = "grayscale"
    alpha: Range = (1, 1)


class Invert(Operation):
    """The negative."""

    name: Literal["invert"] = "invert"


class Blur(Operation):
    """A Gaussian blur of ``sigma`` pixels."""

    name: Literal["blur"] = "blur"
    sigma: Range = (0, 3)


class MotionBlur(Operation):
    """Blurred along a line of ``size`` pixels (odd) at ``angle`` degrees."""

    name: Literal["motion_blur"] = "motion_blur"
    size: int = Field(default=7, ge=3, le=51)
    angle: Range = (0, 360)
    direction: Range = (-1, 1)


class Noise(Operation):
    """Gaussian noise of deviation ``deviation``."""

    name: Literal["noise"] = "noise"
    deviation: Range = (0, 0.05)
    per_channel: bool = False


class SaltPepper(Operation):
    """A share ``amount`` of the pixels becomes black or white."""

    name: Literal["salt_pepper"] = "salt_pepper"
    amount: Range = (0, 0.1)
    per_channel: bool = False


class Jpeg(Operation):
    """Compressed as JPEG of ``quality`` 1 … 100."""

    name: Literal["jpeg"] = "jpeg"
    quality: Range = (20, 80)


class Cutout(Operation):
    """``count`` rectangles of a share ``size`` of both sides are painted over; the mask stays."""

    name: Literal["cutout"] = "cutout"
    count: Range = (1, 1)
    size: Range = (0.2, 0.2)
    value: float = Field(default=0.5, ge=0, le=1)


# What moves pixels, of image and mask together.


class Geometric(Operation):
    """A step that moves pixels."""

    fill: Fill = Field(default="constant", description=FILL)


class Rotate(Geometric):
    """Turned by ``degrees`` about the middle, clockwise."""

    name: Literal["rotate"] = "rotate"
    degrees: Range = (-30, 30)


class Affine(Geometric):
    """Scaled, sheared (degrees), turned and moved (parts of the sides) about the middle."""

    name: Literal["affine"] = "affine"
    degrees: Range = (0, 0)
    scale_x: Range = (1, 1)
    scale_y: Range = (1, 1)
    keep_aspect: bool = Field(default=False, description="scale_x for both sides.")
    shear_x: Range = (0, 0)
    shear_y: Range = (0, 0)
    translate_x: Range = (0, 0)
    translate_y: Range = (0, 0)


class CropPad(Geometric):
    """Each side moved outwards by a part of its length (negative: inwards), then resized back."""

    name: Literal["crop_pad"] = "crop_pad"
    percent: Range = (-0.2, 0.2)
    same_on_all_sides: bool = False


class FlipLR(Operation):
    """Left becomes right."""

    name: Literal["flip_lr"] = "flip_lr"


class FlipUD(Operation):
    """Up becomes down."""

    name: Literal["flip_ud"] = "flip_ud"


OPERATIONS: dict[str, type[Operation]] = {
    kind.model_fields["name"].default: kind
    for kind in (
        Brightness,
        Multiply,
        Contrast,
        Gamma,
        Saturation,
        Hue,
        Grayscale,
        Invert,
        Blur,
        MotionBlur,
        Noise,
        SaltPepper,
        Jpeg,
        Cutout,
        Rotate,
        Affine,
        CropPad,
        FlipLR,
        FlipUD,
    )
}


class Pipeline(BaseModel):
    """Operations one after the other; with ``random_order``, in another order in every step.

    Attributes:
        v: the schema of ``info/augs_config.json``.
    """

    model_config = ConfigDict(extra="forbid")

    v: int = Field(default=1, le=1)
    random_order: bool = False
    pipeline: list[SerializeAsAny[Operation]] = []

    def plain(self) -> JsonObject:
        """What ``info/augs_config.json`` holds; reading it gives the same pipeline."""
        return self.model_dump(mode="json")
