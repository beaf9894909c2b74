"""A training's checkpoints as PyTorch writes them."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import nn

from ravenml.toolkit import checkpoints
from ravenml_unet.checkpoints import STATE_SUFFIX, State
from ravenml_unet.weights import bare_state, save_torch


class TorchCheckpointWriter(checkpoints.CheckpointWriter):
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
