"""What can be set about a training by a loop of one's own: what such plugins' settings have in common."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from ravenml.renamed import former_names
from ravenml.toolkit.augmentation.templates import NONE, TEMPLATES
from ravenml.train.settings import TrainSettings, shown

__getattr__ = former_names(__name__, {"whole_path": "absolute_if_exists"})


class InputSize(BaseModel):
    """The size at which the network sees every image; a side that is not a multiple of the stride is padded.

    256×256 is what Supervisely's U-Net app begins with.  It is not taken from the data: a dataset may
    hold any mixture of sizes, and a run must not depend on which image comes first.
    """

    model_config = ConfigDict(extra="forbid")

    width: int = Field(
        default=256,
        ge=16,
        le=8192,
        description="Width in pixels.",
        json_schema_extra=shown(option="--input-width", title="Input width", unit="pixels"),
    )
    height: int = Field(
        default=256,
        ge=16,
        le=8192,
        description="Height in pixels.",
        json_schema_extra=shown(option="--input-height", title="Input height", unit="pixels"),
    )


class BatchSize(BaseModel):
    """How many images go through the network at once."""

    model_config = ConfigDict(extra="forbid")

    train: int = Field(
        default=8,
        ge=1,
        le=4096,
        description="Images per training step.",
        json_schema_extra=shown(option="--batch-size", title="Batch size", unit="images", role="batch_size"),
    )
    val: int = Field(
        default=8,
        ge=1,
        le=4096,
        description="Images per validation step.",
        json_schema_extra=shown(option="--val-batch-size", title="Batch size of validation", unit="images"),
    )


class DatasetTags(BaseModel):
    """Which image tags divide the images."""

    model_config = ConfigDict(extra="forbid")

    train: str = Field(
        default="train",
        min_length=1,
        description="Train on images with this tag.",
        json_schema_extra=shown(option="--train-tag", role="train_tag"),
    )
    val: str = Field(
        default="val",
        min_length=1,
        description="Validate on images with this tag.",
        json_schema_extra=shown(option="--val-tag", role="val_tag"),
    )

    @model_validator(mode="after")
    def _two_tags(self) -> Self:
        if self.train == self.val:
            raise ValueError(f"are both {self.train!r}; name two different tags")
        return self


def absolute_if_exists(value: str | None) -> str | None:
    """The absolute path of a file or folder that exists; anything else as it is."""
    if value is None or value in (NONE, *TEMPLATES):
        return value
    path = Path(value).expanduser()
    return str(path.absolute()) if path.exists() else value


class LoopSettings(TrainSettings):
    """The settings of a loop over epochs and steps that validates, keeps checkpoints and shows previews.

    A plugin gives those without a default one, narrows them where it can, and adds its own.
    ``best_by`` names the metric that decides which weights are best.
    """

    # What is trained, on what.
    model: str = Field(description="The network.")
    classes: list[str] | None = Field(
        default=None,
        description="Classes to learn; the others become background.  Default: all.",
        json_schema_extra=shown(role="classes"),
    )
    dataset_tags: DatasetTags = Field(
        default=DatasetTags(), description="Image tags of the training and validation sets."
    )
    input_size: InputSize = Field(default=InputSize(), description="The network's input size.")
    weights: str | None = Field(default=None, description="Initialise from these weights.")
    weights_init_type: Literal["transfer_learning", "continue_training"] = Field(
        default="transfer_learning",
        description="With --weights: replace the last layer for this dataset's classes, or require the same "
        "classes.",
        json_schema_extra=shown(title="Weights mode", role="weights_mode"),
    )

    # How it learns.
    epochs: int = Field(
        default=20,
        ge=1,
        le=100_000,
        description="Number of epochs.",
        json_schema_extra=shown(role="epochs", unit="epochs"),
    )
    batch_size: BatchSize = Field(default=BatchSize(), description="Images per step.")
    optimizer: str = Field(description="Optimizer.")
    lr: float = Field(
        default=0.001,
        gt=0,
        le=100,
        description="Learning rate.",
        json_schema_extra=shown(group="optimizer", title="Learning rate"),
    )
    momentum: float = Field(
        default=0.9,
        ge=0,
        lt=1,
        description="Momentum; SGD only.",
        json_schema_extra=shown(group="optimizer", when={"optimizer": ["SGD"]}),
    )
    nesterov: bool = Field(
        default=False,
        description="Nesterov momentum; SGD only.",
        json_schema_extra=shown(group="optimizer", title="Nesterov momentum", when={"optimizer": ["SGD"]}),
    )
    weight_decay: float = Field(
        default=0.0001, ge=0, lt=1, description="Weight decay.", json_schema_extra=shown(group="optimizer")
    )
    max_grad_norm: float = Field(
        default=1.0,
        ge=0,
        description="Clip gradients to this norm; 0 disables clipping.",
        json_schema_extra=shown(group="optimizer", title="Gradient clipping norm"),
    )
    lr_schedule: Literal["none", "StepLR", "MultiStepLR", "ExponentialLR", "cosine"] = Field(
        default="none",
        description="Learning rate schedule.",
        json_schema_extra=shown(group="schedule", title="Schedule"),
    )
    warmup_epochs: float = Field(
        default=0,
        ge=0,
        description="Linear warm-up, in epochs (fractions allowed).",
        json_schema_extra=shown(group="schedule", title="Warm-up", unit="epochs"),
    )
    step_size: int = Field(
        default=5,
        ge=1,
        description="StepLR: epochs between steps.",
        json_schema_extra=shown(
            group="schedule", title="Step", unit="epochs", when={"lr_schedule": ["StepLR"]}
        ),
    )
    milestones: list[Annotated[int, Field(ge=1)]] = Field(
        default=[5, 10, 15],
        description="MultiStepLR: epochs after which the rate drops.",
        json_schema_extra=shown(group="schedule", when={"lr_schedule": ["MultiStepLR"]}),
    )
    gamma_step: float = Field(
        default=0.1,
        gt=0,
        le=1,
        description="StepLR, MultiStepLR: factor per step.",
        json_schema_extra=shown(
            group="schedule", title="Factor", when={"lr_schedule": ["StepLR", "MultiStepLR"]}
        ),
    )
    gamma_exp: float = Field(
        default=0.9,
        gt=0,
        le=1,
        description="ExponentialLR: factor per epoch.",
        json_schema_extra=shown(group="schedule", title="Factor", when={"lr_schedule": ["ExponentialLR"]}),
    )
    min_lr: float = Field(
        default=0,
        ge=0,
        description="cosine: final learning rate.",
        json_schema_extra=shown(
            group="schedule", title="Final learning rate", when={"lr_schedule": ["cosine"]}
        ),
    )

    augmentations: str = Field(
        default=NONE,
        description=f"Augmentation of training images: {NONE}, {', '.join(TEMPLATES)}, a YAML file in "
        "ravenML's format, or JSON from ImgAug Studio.",
        json_schema_extra=shown(role="augmentations"),
    )

    # What is measured, kept and shown.
    val_every: float = Field(
        default=1.0,
        gt=0,
        description="Epochs between validations (0.5: twice per epoch); always validates at the end.",
        json_schema_extra=shown(group="logging", title="Validate every", unit="epochs"),
    )
    metrics_period: int = Field(
        default=0,
        ge=0,
        description="Also report the loss every N steps; 0 reports once per epoch.",
        json_schema_extra=shown(group="logging", title="Report every", unit="steps"),
    )
    checkpoint_every: Annotated[int, Field(ge=1)] | None = Field(
        default=None,
        description="Epochs between checkpoints.  Default: every epoch, but at least 15 seconds apart.",
        json_schema_extra=shown(group="checkpoints", title="Checkpoint every", unit="epochs"),
    )
    max_keep_checkpoints: int = Field(
        default=3,
        ge=0,
        description="Checkpoints to keep besides the best and the last; 0 keeps all.",
        json_schema_extra=shown(group="checkpoints", title="Checkpoints to keep"),
    )
    save_best: bool = Field(
        default=True,
        description="Save the best weights.",
        json_schema_extra=shown(group="checkpoints", title="Keep the best"),
    )
    best_by: str = Field(description="Metric that selects the best checkpoint.")
    best_is: Literal["auto", "max", "min"] = Field(
        default="auto",
        description="Whether higher is better; auto: lower only for losses.",
        json_schema_extra=shown(group="checkpoints", title="Best is"),
    )
    save_last: bool = Field(
        default=True,
        description="Save the last weights.",
        json_schema_extra=shown(group="checkpoints", title="Keep the last"),
    )
    previews: int = Field(
        default=2,
        ge=0,
        le=100,
        description="Preview images with predictions, for each of train and val.",
        json_schema_extra=shown(group="logging", unit="images"),
    )

    # Where and how it is computed.
    seed: int = Field(
        default=0,
        ge=0,
        lt=2**63,
        description="Random seed (initial weights and shuffling).",
        json_schema_extra=shown(group="system"),
    )
    workers: int = Field(
        default=1,
        ge=0,
        le=256,
        description="Data-loading threads; 0 loads in the training thread.",
        json_schema_extra=shown(group="system", unit="threads"),
    )

    @field_validator("weights", "augmentations", mode="after")
    @classmethod
    def _whole_path(cls, value: str | None) -> str | None:
        """Paths become absolute, so that a run can be resumed from another folder."""
        return absolute_if_exists(value)

    @field_validator("milestones", mode="after")
    @classmethod
    def _ascending(cls, value: list[int]) -> list[int]:
        if sorted(set(value)) != value:
            raise ValueError(f"should grow from one to the next, not {value}")
        return value

    @model_validator(mode="after")
    def _rates_fit_together(self) -> Self:
        if self.nesterov and (self.optimizer != "SGD" or self.momentum == 0):
            raise ValueError("nesterov needs optimizer SGD with a momentum above 0")
        if self.lr_schedule == "cosine" and self.min_lr > self.lr:
            raise ValueError(f"min_lr {self.min_lr:g} is above lr {self.lr:g}; cosine only lowers the rate")
        return self

    def learning_rates(self, steps: int) -> list[float]:
        """One rate per step."""
        return [learning_rate(self, step, steps) for step in range(steps * self.epochs)]

    @property
    def best_name(self) -> str:
        """The metric that decides, without its ``val/``."""
        return self.best_by.removeprefix("val/")

    def better(self, value: float, than: float) -> bool:
        """Whether ``value`` of the deciding metric is better; equal is not."""
        lowest = self.best_is == "min" or (self.best_is == "auto" and self.best_name == "loss")
        return value < than if lowest else value > than


def learning_rate(settings: LoopSettings, step: int, steps_per_epoch: int) -> float:
    """The rate for one step: a pure function of it, so that resuming needs no scheduler's state.

    StepLR, MultiStepLR and ExponentialLR change after whole epochs and give what PyTorch's schedulers of
    these names give; cosine falls with every step, from the end of the warm-up to the last step
    (Loshchilov and Hutter, "SGDR", 2016, without restarts).  The warm-up grows linearly and multiplies
    whatever the schedule says.

    Args:
        settings: the training's.
        step: how many steps are done, from 0.
        steps_per_epoch: how many an epoch has.
    """
    epoch = step // steps_per_epoch
    warmup = settings.warmup_epochs * steps_per_epoch
    factor = min(1.0, (step + 1) / (warmup + 1))
    if settings.lr_schedule == "StepLR":
        factor *= settings.gamma_step ** (epoch // settings.step_size)
    elif settings.lr_schedule == "MultiStepLR":
        factor *= settings.gamma_step ** sum(epoch >= milestone for milestone in settings.milestones)
    elif settings.lr_schedule == "ExponentialLR":
        factor *= settings.gamma_exp**epoch
    elif settings.lr_schedule == "cosine":
        last = settings.epochs * steps_per_epoch - 1
        done = min(1.0, max(0.0, step - warmup) / max(1.0, last - warmup))
        lowest = settings.min_lr / settings.lr
        factor *= lowest + (1 - lowest) * (1 + math.cos(math.pi * done)) / 2
    return settings.lr * factor
