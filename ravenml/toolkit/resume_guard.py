"""What must, and what should, be unchanged when a training resumes."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path

from ravenml.common.io import JsonObject
from ravenml.data.split import Split
from ravenml.errors import InputError
from ravenml.renamed import former_names
from ravenml.toolkit.augmentation.pipeline import Pipeline
from ravenml.toolkit.hyperparameters import LoopSettings

__getattr__ = former_names(
    __name__, {"identity_of": "training_identity", "machine_difference": "describe_machine_change"}
)


def training_identity(
    settings: LoopSettings, titles: Sequence[str], fold: int | None, split: Split, pipeline: Pipeline
) -> JsonObject:
    """What must be unchanged when a training resumes, as far as all loops share it."""
    keys = "\n".join(item.key for item in split.train)
    return {
        "model": settings.model,
        "classes": list(titles),
        "input_size": settings.input_size.model_dump(),
        "batch_size.train": settings.batch_size.train,
        "optimizer": settings.optimizer,
        "lr": settings.lr,
        "momentum": settings.momentum,
        "nesterov": settings.nesterov,
        "weight_decay": settings.weight_decay,
        "learning rate": schedule_of(settings),
        "augmentations": pipeline.plain(),
        "max_grad_norm": settings.max_grad_norm,
        "seed": settings.seed,
        "fold": fold,
        "training images": hashlib.sha256(keys.encode()).hexdigest()[:16],
    }


def schedule_of(settings: LoopSettings) -> JsonObject:
    """The settings that decide the learning rate of a step; what the schedule does not read is left out."""
    read = {
        "none": (),
        "StepLR": ("step_size", "gamma_step"),
        "MultiStepLR": ("milestones", "gamma_step"),
        "ExponentialLR": ("gamma_exp",),
        "cosine": ("epochs", "min_lr"),  # such a training cannot be prolonged: its rate falls to the end
    }[settings.lr_schedule]
    names = ("lr_schedule", "warmup_epochs", *read)
    return {name: getattr(settings, name) for name in names}


def check_identity(run_path: Path, before: Mapping[str, object], now: Mapping[str, object]) -> None:
    """Refuse to resume with other settings.

    Raises:
        InputError: something differs; it is named.
    """
    for name, value in now.items():
        was = before.get(name, value)  # what an older version did not record, it did not have
        if was != value:
            raise InputError(
                f"{name}: the run in {run_path} was trained with {was!r}, and cannot resume with {value!r}; "
                "resume it with its own settings, or start a new run."
            )


def describe_machine_change(then: Mapping[str, object], now: Mapping[str, object]) -> str | None:
    """A sentence about what differs where a training resumes, or None."""
    changed = [f"{n} {then.get(n)} → {now[n]}" for n in now if then.get(n) != now[n]]
    if not changed:
        return None
    return (
        f"This machine differs ({', '.join(changed)}): the result may differ in the last bits "
        "from a training that was never interrupted."
    )
