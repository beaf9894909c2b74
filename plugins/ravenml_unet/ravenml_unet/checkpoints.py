"""What resuming needs beyond the weights: the state in ``checkpoints/``."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from ravenml.toolkit.checkpoints import list_states
from ravenml_unet.weights import load_torch

STATE_SUFFIX = ".pt"


@dataclass
class State:
    """Where a training stands, and all that it needs to go on exactly, beyond the weights.

    Attributes:
        epoch: how many epochs are complete.
        batch: how many steps of the next epoch are done.
        step: how many steps are done in all.
        weights: the name of the weights' file beside it.
        optimizer: the optimizer's state dict.
        precision: the gradient scaler's state dict, where there is one.
        sums: what the running epoch's training metrics were summed up from so far.
        identity: what must be the same for the training to go on (architecture, classes …).
        machine: what should be the same for it to go on to the last bit (versions, threads …).
        best: the best validation so far.
    """

    epoch: int
    batch: int
    step: int
    weights: str
    optimizer: dict[str, Any]
    precision: dict[str, Any]
    sums: dict[str, torch.Tensor]
    identity: dict[str, Any]
    machine: dict[str, Any]
    best: dict[str, Any] | None = None
    v: int = field(default=1)


def newest_state(folder: Path) -> State | None:
    """The furthest state whose weights are there, or None.

    Raises:
        InputError: the file cannot be read.
    """
    for path in list_states(folder, STATE_SUFFIX):
        state = State(**load_torch(path))
        if (folder / state.weights).exists():
            return state
    return None
