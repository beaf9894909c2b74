"""Going on with an interrupted training: what must, and what should, be as it was."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ravenml.data.split import Split
from ravenml.toolkit.augmentation.pipeline import Pipeline
from ravenml.toolkit.resume_guard import check_identity, identity_of, machine_difference
from ravenml_unet.checkpoints import State, newest_state
from ravenml_unet.loop import TrainingLoop, machine
from ravenml_unet.settings import UNetSettings


def what_may_not_change(
    settings: UNetSettings, titles: Sequence[str], fold: int | None, split: Split, pipeline: Pipeline
) -> dict[str, Any]:
    """What a training must have kept to be gone on with."""
    return {
        **identity_of(settings, titles, fold, split, pipeline),
        "jaccard_weight": settings.jaccard_weight,
        "class_weights": settings.class_weights,
        "loss": settings.loss,
    }


def state_to_resume(run_path: Path | None, identity: dict[str, Any]) -> State | None:
    """The state to go on from, or None where there is none yet.

    Raises:
        InputError: the interrupted training was another one.
    """
    state = newest_state(run_path / "checkpoints") if run_path is not None else None
    if state is not None and run_path is not None:
        check_identity(run_path, state.identity, identity)
    return state


def say_what_differs(loop: TrainingLoop, state: State) -> None:
    """Warn where the machine is not the one that the interrupted training ran on."""
    then = {"compiled": False, "workers": 1} | state.machine  # older versions knew neither
    sentence = machine_difference(then, machine(loop.fabric, loop.settings))
    if sentence is not None:
        loop.run.text(sentence, level="warning")
