"""A training's checkpoints as PyTorch writes them: weights, and the state that resuming needs beyond them."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import nn

from ravenml.errors import InputError
from ravenml.toolkit.checkpoints import CheckpointWriter, file_of_state, list_states
from ravenml_unet.weights import bare_state, load_torch, save_torch

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
        state = _read_state(path)
        if file_of_state(folder, state.weights).exists():
            return state
    return None


def _read_state(path: Path) -> State:
    try:
        state = State(**load_torch(path))
    except TypeError:
        raise InputError(
            f"{path} is not a training's state; delete it to resume from an older one."
        ) from None
    if state.best is not None:
        file_of_state(path.parent, state.best.get("file"))
    return state


class TorchCheckpointWriter(CheckpointWriter[nn.Module, dict[str, torch.Tensor], State]):
    """Writes ``model_*.pth``, bare state dicts, and ``state_*.pt``."""

    suffix = ".pth"
    state_suffix = STATE_SUFFIX

    def copied(self, model: nn.Module) -> dict[str, torch.Tensor]:
        """A copy of the network's weights."""
        return bare_state(model)

    def write_weights(self, path: Path, weights: dict[str, torch.Tensor]) -> None:
        """Write a bare state dict."""
        save_torch(path, weights)

    def write_state(self, path: Path, state: State) -> None:
        """Write what resuming needs beyond the weights."""
        save_torch(path, vars(state))  # asdict would copy all tensors once more
