"""Going on with an interrupted training: what must, and what should, be as it was."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ravenml.data.split import Split
from ravenml.toolkit.augmentation.pipeline import Pipeline
from ravenml.toolkit.resume_guard import check_identity, describe_machine_change, training_identity
from ravenml_unet.checkpoints import State, newest_state
from ravenml_unet.loop import TrainingLoop
from ravenml_unet.settings import UNetSettings


def unet_identity(
    settings: UNetSettings, titles: Sequence[str], fold: int | None, split: Split, pipeline: Pipeline
) -> dict[str, Any]:
    """What must be unchanged when a training resumes."""
    return {
        **training_identity(settings, titles, fold, split, pipeline),
        "jaccard_weight": settings.jaccard_weight,
        "class_weights": settings.class_weights,
        "loss": settings.loss,
    }


def find_state(run_path: Path | None, identity: dict[str, Any]) -> State | None:
    """The state to go on from, or None where there is none yet.

    Raises:
        InputError: the interrupted training was another one.
    """
    state = newest_state(run_path / "checkpoints") if run_path is not None else None
    if state is not None and run_path is not None:
        check_identity(run_path, state.identity, identity)
    return state


def warn_of_machine_change(loop: TrainingLoop, state: State) -> None:
    """Warn where the machine is not the one that the interrupted training ran on."""
    now = loop.machine()
    then = {
        "compiled": False,
        "workers": 1,
        "memory_format": now["memory_format"],
    }  # as older versions have it
    sentence = describe_machine_change(then | state.machine, now)
    if sentence is not None:
        loop.run.text(sentence, level="warning")
