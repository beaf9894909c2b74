"""The files in ``checkpoints/``: weights for everyone, and what resuming needs beyond them.

Weights are bare state dicts: ``model_003.pth`` after epoch 3, ``model_002_best.pth``, and
``model_005_last.pth`` at the end.  ``state_003.pt`` names the weights that it belongs to.  A training
that is stopped within an epoch adds the step within it (``model_003_00017_last.pth``), so that no name
ever stands for two moments and a state can never meet weights that are not its own.

The order of writing makes a kill at any instant harmless: weights, then the state that names them, then
the event, and only then is what they replace removed.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from ravenml_unet.weights import load_torch, save_torch

STATE_NAME = re.compile(r"state_(\d+)(?:_(\d+))?\.pt")


@dataclass
class Best:
    """The best validated moment so far."""

    value: float
    epoch: float
    file: str


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


def moment(epoch: int, batch: int) -> str:
    """``003`` after epoch 3, ``003_00017`` after 17 further steps."""
    return f"{epoch:03d}_{batch:05d}" if batch else f"{epoch:03d}"


def state_name(state: State) -> str:
    """The name of a state's file."""
    return f"state_{moment(state.epoch, state.batch)}.pt"


def save_state(folder: Path, state: State) -> Path:
    """Write ``state_*.pt``; older ones stay until :func:`remove_older_states`."""
    return save_torch(folder / state_name(state), vars(state))  # asdict would copy all tensors once more


def states(folder: Path) -> list[Path]:
    """All states in the folder, the furthest one first."""

    def position(path: Path) -> tuple[int, int]:
        match = STATE_NAME.fullmatch(path.name)
        assert match is not None
        return int(match[1]), int(match[2] or 0)

    found = [path for path in folder.glob("state_*.pt") if STATE_NAME.fullmatch(path.name)]
    return sorted(found, key=position, reverse=True)


def newest_state(folder: Path) -> State | None:
    """The furthest state whose weights are there, or None.

    Raises:
        InputError: the file cannot be read.
    """
    for path in states(folder):
        state = State(**load_torch(path))
        if (folder / state.weights).exists():
            return state
    return None


def remove_others(folder: Path, pattern: str, keep: set[str]) -> None:
    """Remove the files that match ``pattern`` and whose names are not in ``keep``."""
    for path in folder.glob(pattern):
        if path.name not in keep:
            path.unlink(missing_ok=True)
