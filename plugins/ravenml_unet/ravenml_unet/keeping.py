"""Which checkpoints a training keeps, and their writing beside it."""

from __future__ import annotations

from copy import deepcopy
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import nn

from ravenml.runs.run import Run
from ravenml_unet.background import Background
from ravenml_unet.checkpoints import State, remove_others, save_state, state_name
from ravenml_unet.settings import UNetSettings
from ravenml_unet.weights import bare_state, link_weights, save_torch


class Keeper:
    """Writes a training's checkpoints and removes what they replace.

    What is to be written is copied at once, which takes milliseconds; the writing is done in the background.
    Checkpoints come into being in the order in which they were asked for, one at a time, so that at most one
    copy is held.

    Attributes:
        folder: where the checkpoints are.
    """

    def __init__(self, run: Run, settings: UNetSettings, background: Background) -> None:
        self.run, self.settings, self.background = run, settings, background
        self.folder = run.path / "checkpoints"
        self.folder.mkdir(exist_ok=True)
        self._written: tuple[int, Path] | None = None  # the newest weights, and their step

    def keep_best(self, model: nn.Module, name: str, step: int, epoch: float, metric: dict[str, Any]) -> None:
        """Write the weights of the best validation so far, which replace those of the one before."""
        path = self.folder / name
        weights = self._copied(model, step, path)
        self.background.do(partial(self._write_best, path, weights, step, epoch, metric))

    def keep_position(self, model: nn.Module, name: str, state: State, epoch: float) -> None:
        """Write weights, and the state that a training can be gone on with from there."""
        path = self.folder / name
        weights = self._copied(model, state.step, path)
        self.background.do(partial(self._write_position, path, weights, deepcopy(state), epoch))

    def announce(self, weights: Path, state: State, epoch: float) -> None:
        """Say that a checkpoint is complete, and remove what it replaces."""
        its = self.folder / state_name(state)
        self.run.checkpoint(state.step, [weights, its], epoch=epoch)
        remove_others(self.folder, "state_*.pt", {its.name})
        remove_others(self.folder, "model_*_last.pth", {weights.name})
        periodic = sorted(self.folder.glob("model_*[0-9].pth"), key=lambda p: int(p.stem.split("_")[1]))
        if self.settings.max_keep_checkpoints:
            for old in periodic[: -self.settings.max_keep_checkpoints]:
                if old != weights:
                    old.unlink(missing_ok=True)

    def tidy(self) -> None:
        """Remove what a kill cut off; nobody else writes here."""
        for path in self.folder.glob(".*.tmp"):
            path.unlink(missing_ok=True)

    def _copied(self, model: nn.Module, step: int, path: Path) -> dict[str, torch.Tensor] | Path:
        """A copy of the weights; or the file that has the very same ones already."""
        before, self._written = self._written, (step, path)
        if before is not None and before[0] == step:
            return before[1]
        self.background.wait()
        return bare_state(model)

    def _write(self, path: Path, weights: dict[str, torch.Tensor] | Path) -> None:
        if isinstance(weights, Path):
            link_weights(weights, path)
        else:
            save_torch(path, weights)

    def _write_best(
        self,
        path: Path,
        weights: dict[str, torch.Tensor] | Path,
        step: int,
        epoch: float,
        metric: dict[str, Any],
    ) -> None:
        self._write(path, weights)
        self.run.checkpoint(step, [path], best_now=True, epoch=epoch, optional=metric)
        remove_others(self.folder, "model_*_best.pth", {path.name})

    def _write_position(
        self, path: Path, weights: dict[str, torch.Tensor] | Path, state: State, epoch: float
    ) -> None:
        self._write(path, weights)
        save_state(self.folder, state)
        self.announce(path, state, epoch)
