"""Going on with an interrupted training: what must, and what should, be as it was."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ravenml.data.split import Split
from ravenml.errors import InputError
from ravenml_unet.augmentation.pipeline import Pipeline
from ravenml_unet.checkpoints import State, newest_state
from ravenml_unet.loop import TrainingLoop, machine
from ravenml_unet.settings import UNetSettings


def what_may_not_change(
    settings: UNetSettings, titles: Sequence[str], fold: int | None, split: Split, pipeline: Pipeline
) -> dict[str, Any]:
    """What a training must have kept to be gone on with."""
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
        "jaccard_weight": settings.jaccard_weight,
        "class_weights": settings.class_weights,
        "loss": settings.loss,
        "augmentations": pipeline.plain(),
        "max_grad_norm": settings.max_grad_norm,
        "seed": settings.seed,
        "fold": fold,
        "training images": hashlib.sha256(keys.encode()).hexdigest()[:16],
    }


def schedule_of(settings: UNetSettings) -> dict[str, Any]:
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


def state_to_resume(run_path: Path | None, identity: dict[str, Any]) -> State | None:
    """The state to go on from, or None where there is none yet.

    Raises:
        InputError: the interrupted training was another one.
    """
    state = newest_state(run_path / "checkpoints") if run_path is not None else None
    if state is None:
        return None
    for name, now in identity.items():
        before = state.identity.get(name, now)  # what an older version did not record, it did not have
        if before != now:
            raise InputError(
                f"{name}: the run in {run_path} was trained with {before!r} and cannot go on with {now!r}; "
                "resume it with its own settings, or begin a new run."
            )
    return state


def say_what_differs(loop: TrainingLoop, state: State) -> None:
    """Warn where the machine is not the one that the interrupted training ran on."""
    now = machine(loop.fabric, loop.settings)
    then = {"compiled": False, "workers": 1} | state.machine  # older versions knew neither
    changed = [f"{n} {then.get(n)} → {now[n]}" for n in now if then.get(n) != now[n]]
    if changed:
        loop.run.text(
            f"This machine differs ({', '.join(changed)}): the result may differ in the last bits "
            "from a training that was never interrupted.",
            level="warning",
        )
