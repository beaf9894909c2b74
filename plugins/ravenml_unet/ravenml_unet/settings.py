"""What can be set about a training: one model, from which options, checks and presets are made."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from ravenml.train.settings import TrainSettings

ModelName = Literal["UNet", "UNet11", "UNet16", "AlbuNet", "LinkNet34"]


def option(name: str) -> dict[str, Any]:
    """Name a field's option on the command line."""
    return {"option": name}


class InputSize(BaseModel):
    """The size at which the network sees every image; a side that is no multiple of the stride is padded.

    256×256 is what Supervisely's U-Net app begins with.  It is not taken from the data: a dataset may
    hold any mixture of sizes, and a run must not depend on which image comes first.
    """

    model_config = ConfigDict(extra="forbid")

    width: int = Field(
        default=256, ge=16, le=8192, description="Width in pixels.", json_schema_extra=option("--input-width")
    )
    height: int = Field(
        default=256,
        ge=16,
        le=8192,
        description="Height in pixels.",
        json_schema_extra=option("--input-height"),
    )


class BatchSize(BaseModel):
    """How many images go through the network at once."""

    model_config = ConfigDict(extra="forbid")

    train: int = Field(
        default=8,
        ge=1,
        le=4096,
        description="Images per training step.",
        json_schema_extra=option("--batch-size"),
    )
    val: int = Field(
        default=8,
        ge=1,
        le=4096,
        description="Images per validation step.",
        json_schema_extra=option("--val-batch-size"),
    )


class UNetSettings(TrainSettings):
    """The settings of the U-Net plugin.  ``val/miou``, the mean over all classes, decides what is best."""

    best_metric: ClassVar[str] = "val/miou"
    best_mode: ClassVar[str] = "max"

    model: ModelName = Field(default="UNet", description="The network's architecture.")
    epochs: int = Field(default=20, ge=1, le=100_000, description="How often every training image is seen.")
    input_size: InputSize = Field(default=InputSize(), description="The network's input size.")
    batch_size: BatchSize = Field(default=BatchSize(), description="Images per step.")
    classes: list[str] | None = Field(
        default=None, description="Learn only these classes; the others become background.  Default: all."
    )
    weights: str | None = Field(
        default=None, description="Begin with these weights: a .pth state dict or a model-state.tar."
    )
    optimizer: Literal["SGD", "Adam", "AdamW"] = Field(
        default="AdamW", description="How weights are updated."
    )
    lr: float = Field(default=0.001, gt=0, le=100, description="Learning rate.")
    momentum: float = Field(default=0.9, ge=0, lt=1, description="Momentum; SGD only.")
    weight_decay: float = Field(default=0.0001, ge=0, lt=1, description="Weight decay.")
    max_grad_norm: float = Field(
        default=1.0, ge=0, description="Shrink larger gradients to this norm; 0 leaves them as they are."
    )
    val_every: float = Field(
        default=1.0, gt=0, description="Validate every so many epochs (0.5: twice in each), and at the end."
    )
    checkpoint_every: int = Field(default=1, ge=1, description="Keep a checkpoint every so many epochs.")
    max_keep_checkpoints: int = Field(
        default=3, ge=0, description="How many of those stay, beside the best and the last; 0 keeps all."
    )
    previews: int = Field(
        default=2,
        ge=0,
        le=100,
        description="How many images of each kind, train and val, to show predictions of.",
    )
    seed: int = Field(
        default=0, ge=0, lt=2**63, description="Decides the first weights and the order of images."
    )
    device: Literal["auto", "cpu", "cuda", "mps"] = Field(
        default="auto", description="Where to compute; auto takes a GPU where there is one."
    )
    precision: Literal["auto", "32", "bf16", "16"] = Field(
        default="auto",
        description="Number format; auto is bf16 where the hardware has units for it, else 32.",
    )
    workers: int = Field(
        default=1, ge=0, le=256, description="Threads that prepare images beside the training; 0: none."
    )

    @field_validator("precision", mode="before")
    @classmethod
    def _precision_as_text(cls, value: Any) -> Any:
        """YAML reads ``precision: 32`` as a number."""
        return str(value) if isinstance(value, int) and not isinstance(value, bool) else value
