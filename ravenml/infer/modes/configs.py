"""What can be set for each inference mode, as Supervisely's plugins document it.

A mode's config says on which parts of an image the network is run, what of its results is kept, and under
which names.  The defaults here are the contract's (``make_default_config``).
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator

ALL: Literal["__all__"] = "__all__"
Titles = Literal["__all__"] | list[str]
Amount = Annotated[
    str, Field(pattern=r"^(-?\d+px|-?\d+(\.\d+)?%)$", description='Pixels ("100px") or a share ("10%").')
]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid")


class ModelClasses(_Part):
    """Which of the model's classes are kept, and what is added to their names."""

    save_classes: Titles = ALL
    add_suffix: str = ""


class ModelTags(_Part):
    """Which of the model's tags are kept, and what is added to their names."""

    save_names: Titles = ALL
    add_suffix: str = ""


class Sides(_Part):
    """An amount at each side of an area."""

    left: Amount = "0px"
    top: Amount = "0px"
    right: Amount = "0px"
    bottom: Amount = "0px"


class Window(_Part):
    """A window's size in pixels."""

    width: int = Field(default=128, ge=1)
    height: int = Field(default=128, ge=1)


class Overlap(_Part):
    """By how many pixels neighbouring windows overlap at least."""

    x: int = Field(default=0, ge=0)
    y: int = Field(default=0, ge=0)


class NmsAfter(_Part):
    """Non-maximum suppression over the boxes of all windows."""

    enable: bool = False
    iou_threshold: float = Field(default=0.0, ge=0)
    confidence_tag_name: str = Field(default="confidence", min_length=1)


class ModeConfig(_Part):
    """What all modes have."""

    name: str
    model_classes: ModelClasses = ModelClasses()
    model_tags: ModelTags = ModelTags()
    save_probabilities: bool = False


class FullImageConfig(ModeConfig):
    """The whole image at once."""

    name: Literal["full_image"] = "full_image"


class RoiConfig(ModeConfig):
    """One area: the image without ``bounds`` at its sides."""

    name: Literal["roi"] = "roi"
    bounds: Sides = Sides()
    save: bool = False
    class_name: str = Field(default="inference_roi", min_length=1)


class BboxesConfig(ModeConfig):
    """The bounding boxes of the objects that are there, each with ``padding`` around it."""

    name: Literal["bboxes"] = "bboxes"
    from_classes: Titles = ALL
    padding: Sides = Sides()
    save: bool = False
    add_suffix: str = "_input_bbox"


class SlidingWindowConfig(ModeConfig):
    """Overlapping windows over the whole image, whose probabilities are blended."""

    name: Literal["sliding_window"] = "sliding_window"
    window: Window = Window()
    min_overlap: Overlap = Overlap()
    save: bool = False
    class_name: str = Field(default="sliding_window", min_length=1)

    @field_validator("min_overlap")
    @classmethod
    def _smaller_than_the_window(cls, overlap: Overlap, info: ValidationInfo) -> Overlap:
        window = info.data.get("window")
        if window is not None and (overlap.x >= window.width or overlap.y >= window.height):
            raise ValueError(
                f"must be smaller than the window of {window.width}×{window.height}, "
                f"not {overlap.x}×{overlap.y}"
            )
        return overlap


class SlidingWindowDetConfig(SlidingWindowConfig):
    """Overlapping windows over the whole image, whose boxes are put together."""

    name: Literal["sliding_window_det"] = "sliding_window_det"  # type: ignore[assignment]
    nms_after: NmsAfter = NmsAfter()
