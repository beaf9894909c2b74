"""What can be set about a training: one model, from which options, checks and presets are made."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, Self

from pydantic import Field, field_validator, model_validator

from ravenml.errors import InputError
from ravenml.plugin.user_code import REFERENCE
from ravenml.toolkit.augmentation.templates import TEMPLATES, template_choices
from ravenml.toolkit.hyperparameters import InputSize, LoopSettings, absolute_if_exists
from ravenml.train.settings import Choice, shown
from ravenml_unet.models.registry import ARCHITECTURES, check_model_name, check_named_by_file, list_offered

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

    from ravenml.data.project import Project

BALANCED = "balanced"


class UNetSettings(LoopSettings):
    """The settings of the U-Net plugin, under the names of Supervisely's contract and of its U-Net app.

    ``best_by`` names the metric that decides which weights are best.
    """

    best_metric: ClassVar[str] = "val/miou"
    best_mode: ClassVar[str] = "max"
    learns: ClassVar[str] = "segmentation"
    data_parallel: ClassVar[bool] = True

    # What is trained, on what.
    model: str = Field(
        default="UNet",
        description=f"Network: {', '.join(ARCHITECTURES)}, one from another package (see "
        "`raven train unet models`), or package.module:Class.",
        json_schema_extra=shown(title="Architecture", role="architecture", code=True),
    )
    weights: str | None = Field(
        default=None,
        description="Initialise from these weights: a .pth or .safetensors state dict, a model-state.tar, a "
        "run's folder, or the folder of a training in Supervisely's U-Net app.",
        json_schema_extra=shown(title="Initial weights", role="weights"),
    )
    encoder_weights: str | None = Field(
        default=None,
        description="Initialise the encoder from this file of ImageNet weights in torchvision's format.",
        json_schema_extra=shown(title="Encoder weights"),
    )

    # How it learns.
    optimizer: Literal["SGD", "Adam", "AdamW"] = Field(
        default="AdamW", description="Optimizer.", json_schema_extra=shown(group="optimizer")
    )
    jaccard_weight: float = Field(
        default=0,
        ge=0,
        le=1,
        description="Weight w in the loss (1-w)·NLL - w·Σ log(soft Jaccard per class); 0 is plain NLL.",
        json_schema_extra=shown(group="loss"),
    )
    class_weights: dict[str, Annotated[float, Field(ge=0)]] | Literal["balanced"] | None = Field(
        default=None,
        description="Class weights in the NLL: sky=0.5,car=2 (others 1), or balanced, which gives rare "
        "classes more weight.",
        json_schema_extra=shown(group="loss"),
    )
    loss: str | None = Field(
        default=None,
        description="Custom loss: package.module:function of log-probabilities and labels.",
        json_schema_extra=shown(group="loss", title="Custom loss", code=True),
    )
    metric: list[str] = Field(
        default=[],
        description="Custom metrics: package.module:function of log-probabilities and labels.",
        json_schema_extra=shown(group="logging", title="Custom metrics", code=True),
    )

    # What is measured, kept and shown.
    best_by: str = Field(
        default="val/miou",
        description="Metric that selects the best checkpoint: loss, miou, mdice, miou_fg, mdice_fg, "
        "pixel_accuracy, iou/CLASS or dice/CLASS.",
        json_schema_extra=shown(group="checkpoints", title="Best metric"),
    )

    # Where and how it is computed.
    device: Literal["auto", "cpu", "cuda", "mps"] = Field(
        default="auto",
        description="Device; auto uses a GPU if there is one.",
        json_schema_extra=shown(group="system", role="device"),
    )
    precision: Literal["auto", "32", "bf16", "16"] = Field(
        default="auto",
        description="Precision; auto is bf16 where it is faster (on a CPU, this is measured), else 32.",
        json_schema_extra=shown(group="system"),
    )
    compile: bool = Field(
        default=False,
        description="Compile the network with torch.compile if that is faster (needs a C++ compiler).",
        json_schema_extra=shown(group="system", title="Compile the network"),
    )

    def parallel_folds(self, project: Project, folds: int) -> int:
        """How many folds are trained fastest at the same time; measured in a process of its own."""
        from ravenml_unet.fold_speed import fastest_parallel_folds

        return fastest_parallel_folds(self, project, folds)

    @field_validator("precision", mode="before")
    @classmethod
    def _precision_as_text(cls, value: Any) -> Any:
        """YAML reads ``precision: 32`` as a number."""
        return str(value) if isinstance(value, int) and not isinstance(value, bool) else value

    @field_validator("class_weights", mode="before")
    @classmethod
    def _weights_from_text(cls, value: Any) -> Any:
        """``sky=0.5,car=2``, as the command line has it."""
        if not isinstance(value, str) or value == BALANCED:
            return value
        pairs = [part.partition("=") for part in value.split(",") if part.strip()]
        try:
            return {title.strip(): float(weight) for title, _, weight in pairs}
        except ValueError:
            raise ValueError(f"should be {BALANCED}, or like sky=0.5,car=2, not {value!r}") from None

    @field_validator("model", mode="after")
    @classmethod
    def _known_model(cls, value: str) -> str:
        try:
            return check_model_name(value)
        except InputError as error:
            raise ValueError(str(error)) from None

    @field_validator("encoder_weights", mode="after")
    @classmethod
    def _whole_encoder_path(cls, value: str | None) -> str | None:
        return absolute_if_exists(value)

    @field_validator("loss", "metric", mode="after")
    @classmethod
    def _named_functions(cls, value: str | list[str] | None) -> str | list[str] | None:
        for reference in [value] if isinstance(value, str) else value or []:
            if not REFERENCE.fullmatch(reference):
                raise ValueError(f"should be like package.module:function, not {reference!r}")
        return value

    @model_validator(mode="after")
    def _fit_together(self) -> Self:
        if self.loss is not None and (self.jaccard_weight or self.class_weights is not None):
            raise ValueError("loss takes the place of jaccard_weight and class_weights; leave those out")
        return self

    @model_validator(mode="after")
    def _as_begun(self) -> Self:
        """What trained weights say of architecture and input size holds where nothing else was asked for."""
        if self.weights is not None and self.encoder_weights is not None:
            raise ValueError("weights and encoder_weights cannot be combined; give one of them")
        wants_model = "model" not in self.model_fields_set
        wants_size = not self.input_size.model_fields_set
        if (
            self.weights is None
            or not (wants_model or wants_size)
            or not Path(self.weights).expanduser().exists()
        ):
            return self
        from ravenml_unet.pretrained import inspect_weights  # OpenCV comes with it

        start = inspect_weights(Path(self.weights))
        if wants_model and start.architecture is not None:
            where = f"weights: {start.path}: the architecture"
            self.model = check_named_by_file(start.architecture, where)
        if wants_size and start.size is not None:
            self.input_size = InputSize(width=start.size[0], height=start.size[1])
        return self

    @classmethod
    def choices(cls, field: str) -> list[Choice]:
        """The architectures and the templates of augmentation."""
        if field == "model":
            return [Choice(name, known.text, known.parameters) for name, known in ARCHITECTURES.items()] + [
                Choice(name, f"of the package {point.dist.name}" if point.dist else "")
                for name, point in list_offered().items()
            ]
        return template_choices(TEMPLATES) if field == "augmentations" else []

    def find_problems(self, classes: Sequence[str]) -> dict[str, str]:
        """What the files that are named, and the project's classes, do not allow."""
        from ravenml_unet.checks import find_problems

        return find_problems(self, classes)

    def augmented(self, image: NDArray[np.uint8], count: int, seed: int) -> list[NDArray[np.uint8]]:
        """As the training changes them."""
        from ravenml.toolkit.augmentation.reading import read_augmentations
        from ravenml_unet.augmentation.preview import augment_images

        return augment_images(read_augmentations(self.augmentations), image, count, seed)

    def augmented_with_mask(
        self, image: NDArray[np.uint8], mask: NDArray[np.uint8], count: int, seed: int
    ) -> list[tuple[NDArray[np.uint8], NDArray[np.uint8]]]:
        """As the training changes both."""
        from ravenml.toolkit.augmentation.reading import read_augmentations
        from ravenml_unet.augmentation.preview import augment_pairs

        return augment_pairs(read_augmentations(self.augmentations), image, mask, count, seed)

    def augmentation_code(self) -> str:
        """The pipeline as Python."""
        from ravenml.toolkit.augmentation.reading import pipeline_as_python, read_augmentations

        return pipeline_as_python(read_augmentations(self.augmentations))
