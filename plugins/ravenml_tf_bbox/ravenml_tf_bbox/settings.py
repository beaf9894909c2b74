"""What can be set about a training: one model, from which options, checks and presets are made."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal, Self

from pydantic import Field, model_validator

from ravenml.toolkit.augmentation.templates import NONE, TEMPLATES, template_choices
from ravenml.toolkit.hyperparameters import BatchSize, InputSize, LoopSettings
from ravenml.train.settings import Choice, shown
from ravenml_tf_bbox.augmentation.templates import BOXES, find_pipeline
from ravenml_tf_bbox.models import ARCHITECTURES

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

STRIDE = 32  # of the backbone: the input's sides are multiples of it


class BoxSettings(LoopSettings):
    """The settings of the bounding-box plugin.

    ``best_by`` names the metric that decides which weights are best.
    """

    best_metric: ClassVar[str] = "val/ap"
    best_mode: ClassVar[str] = "max"
    learns: ClassVar[str] = "detection"

    # What is trained, on what.
    model: str = Field(
        default="RetinaNetSmall",
        description=f"Network: {', '.join(ARCHITECTURES)}.",
        json_schema_extra=shown(title="Architecture", role="architecture"),
    )
    classes: list[str] | None = Field(
        default=None,
        description="Classes to learn.  Default: all.",
        json_schema_extra=shown(role="classes"),
    )
    input_size: InputSize = Field(
        default=InputSize(width=512, height=384),
        description="Network input size; images are resized to fit.",
    )
    weights: str | None = Field(
        default=None,
        description="Initialise from these weights: an .npz file of ravenML, a .weights.h5 file of Keras, a "
        "model-state.tar, or a run's folder.",
        json_schema_extra=shown(title="Initial weights", role="weights"),
    )
    anchor_size: float = Field(
        default=1.5,
        gt=0,
        le=32,
        description="Side of the smallest anchors, in cells of 8 pixels; about that of the smallest objects.",
        json_schema_extra=shown(group="anchors", title="Smallest size", unit="cells"),
    )
    aspect_ratios: list[Annotated[float, Field(gt=0)]] = Field(
        default=[0.5, 1.0, 2.0],
        min_length=1,
        description="Aspect ratios of the anchors, height / width.",
        json_schema_extra=shown(group="anchors"),
    )

    # How it learns.
    batch_size: BatchSize = Field(default=BatchSize(train=4, val=4), description="Images per step.")
    optimizer: Literal["SGD", "Adam", "AdamW", "RMSProp"] = Field(
        default="AdamW", description="Optimizer.", json_schema_extra=shown(group="optimizer")
    )
    momentum: float = Field(
        default=0.9,
        ge=0,
        lt=1,
        description="Momentum; SGD and RMSProp only.",
        json_schema_extra=shown(group="optimizer", when={"optimizer": ["SGD", "RMSProp"]}),
    )
    augmentations: str = Field(
        default=NONE,
        description=f"Augmentation of images and boxes: {NONE}, {', '.join([*BOXES, *TEMPLATES])}, a "
        "YAML file in ravenML's format, or JSON from ImgAug Studio.",
        json_schema_extra=shown(role="augmentations"),
    )
    mosaic: float = Field(
        default=0,
        ge=0,
        le=1,
        description="Probability that a training image is a mosaic of four.",
        json_schema_extra=shown(group="optimizer", title="Mosaics"),
    )

    # What is measured, kept and shown.
    best_by: str = Field(
        default="val/ap",
        description="Metric that selects the best checkpoint: loss, ap, ap50, ap75, ar100, ap/CLASS …",
        json_schema_extra=shown(group="checkpoints", title="Best metric"),
    )

    # Where and how it is computed.
    device: Literal["auto", "cpu", "cuda"] = Field(
        default="auto",
        description="Device; auto uses a GPU if there is one.",
        json_schema_extra=shown(group="system", role="device"),
    )

    @model_validator(mode="after")
    def _known(self) -> Self:
        if self.model not in ARCHITECTURES:
            raise ValueError(f"model: there is no {self.model!r}; choose one of {', '.join(ARCHITECTURES)}")
        return self

    @model_validator(mode="after")
    def _as_begun(self) -> Self:
        """What trained weights say of architecture and input size holds where nothing else was asked for."""
        wants_model = "model" not in self.model_fields_set
        wants_size = "input_size" not in self.model_fields_set
        path = Path(self.weights).expanduser() if self.weights is not None else None
        if path is not None and (wants_model or wants_size) and path.exists():
            from ravenml_tf_bbox.weights import inspect_weights  # OpenCV comes with it

            start = inspect_weights(path)
            if wants_model and start.architecture is not None and start.architecture in ARCHITECTURES:
                self.model = start.architecture
            if wants_size and start.size is not None:
                self.input_size = InputSize(width=start.size[0], height=start.size[1])
        return self

    @model_validator(mode="after")
    def _whole_cells(self) -> Self:
        for side, pixels in (("width", self.input_size.width), ("height", self.input_size.height)):
            if pixels % STRIDE:
                near = max(STRIDE, round(pixels / STRIDE) * STRIDE)
                raise ValueError(
                    f"input_size.{side} must be a multiple of {STRIDE}, such as {near}, not {pixels}"
                )
        return self

    @classmethod
    def choices(cls, field: str) -> list[Choice]:
        """The architectures and the templates of augmentation."""
        if field == "model":
            return [Choice(name, its.description, its.parameters) for name, its in ARCHITECTURES.items()]
        return template_choices({**BOXES, **TEMPLATES}) if field == "augmentations" else []

    def find_problems(self, classes: Sequence[str]) -> dict[str, str]:
        """What the files that are named, and the project's classes, do not allow."""
        from ravenml.data.classes import BACKGROUND
        from ravenml.toolkit.preflight import check_best_by, check_classes, find_problems
        from ravenml_tf_bbox.metrics import list_metrics

        titles = [c for c in classes if c != BACKGROUND and (self.classes is None or c in self.classes)]
        return find_problems(
            {
                "classes": lambda: check_classes(self.classes, classes),
                "augmentations": lambda: find_pipeline(self.augmentations),
                "weights": lambda: self._check_weights(titles),
                "best_by": lambda: check_best_by(self, list_metrics(titles)),
            }
        )

    def _check_weights(self, titles: Sequence[str]) -> None:
        if self.weights is None:
            return
        from ravenml.data.project import ObjClass
        from ravenml.toolkit.pretrained import match_classes
        from ravenml_tf_bbox.weights import inspect_weights

        start = inspect_weights(Path(self.weights))
        classes = [ObjClass(title, "rectangle", "#000000") for title in titles]  # only titles are compared
        match_classes(start, classes, self.weights_init_type)

    def augmented(self, image: NDArray[np.uint8], count: int, seed: int) -> list[NDArray[np.uint8]]:
        """As the training changes them."""
        import numpy as np

        from ravenml.data.boxes import BoxedImage
        from ravenml_tf_bbox.augmentation.augmenter import augment

        pipeline = find_pipeline(self.augmentations)
        whole = BoxedImage(image, np.zeros((0, 4), np.float32), np.zeros(0, np.int64))
        return [augment(whole, pipeline, seed + number).image for number in range(count)]

    def augmentation_code(self) -> str:
        """The pipeline as Python."""
        from ravenml.toolkit.augmentation.reading import pipeline_as_python

        return pipeline_as_python(find_pipeline(self.augmentations))
