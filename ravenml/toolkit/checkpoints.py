"""The files in ``checkpoints/``: their names, which of them stay, and their writing beside the training.

Weights stand for themselves: ``model_003.pth`` after epoch 3, ``model_002_best.pth``, and
``model_005_last.pth`` at the end; their ending is the plugin's choice.  ``state_003.pt`` holds what resuming
needs beyond them, and names the weights that it belongs to.  A training that is stopped within an epoch adds
the step within it (``model_003_00017_last.pth``), so that no name ever stands for two moments and a state can
never meet weights that are not its own.

The order of writing makes a kill at any instant harmless: weights, then the state that names them, then the
event, and only then is what they replace removed.
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, Generic, Protocol, TypeVar

from ravenml.common.io import JsonObject, write_bytes
from ravenml.errors import InputError
from ravenml.renamed import former_names
from ravenml.runs import layout
from ravenml.runs.run import Run
from ravenml.toolkit.async_writer import AsyncWriter
from ravenml.toolkit.hyperparameters import LoopSettings

__getattr__ = former_names(
    __name__,
    {
        "states": "list_states",
        "chosen_checkpoint": "select_checkpoint",
        "link": "hard_link",
        "Keeper": "CheckpointWriter",
        "moment": "checkpoint_label",
    },
)


@dataclass
class Best:
    """The best validated moment so far."""

    value: float
    epoch: float
    file: str


class Position(Protocol):
    """What a plugin's state says of where the training stands.

    Attributes:
        epoch: how many epochs are complete.
        batch: how many steps of the next epoch are done.
        step: how many steps are done in all.
        weights: the name of the weights' file beside it.
        best: the best validation so far, as ``Best`` has it.
    """

    epoch: int
    batch: int
    step: int
    weights: str
    best: dict[str, Any] | None


Network = TypeVar("Network")
Weights = TypeVar("Weights")
State = TypeVar("State", bound=Position)


def checkpoint_label(epoch: int, batch: int) -> str:
    """``003`` after epoch 3, ``003_00017`` after 17 further steps."""
    return f"{epoch:03d}_{batch:05d}" if batch else f"{epoch:03d}"


def best_name(epochs_done: float, suffix: str) -> str:
    """The name of the best weights: within an epoch, as at its end, with the number of the running one."""
    return f"model_{math.ceil(epochs_done):03d}_best{suffix}"


def file_of_state(folder: Path, name: object) -> Path:
    """Where a file lies that a state names, which may be any file's content: a bare name in its folder.

    Raises:
        InputError: it is not one.
    """
    if not isinstance(name, str) or name != Path(name).name or "\0" in name:
        raise InputError(f"{folder}: a state names {name!r:.80}, which is not the name of a file beside it.")
    return folder / name


def list_states(folder: Path, suffix: str) -> list[Path]:
    """All states in the folder, the furthest one first."""
    name = re.compile(rf"state_(\d+)(?:_(\d+))?{re.escape(suffix)}")
    found = [
        (match, path) for path in folder.glob(f"state_*{suffix}") if (match := name.fullmatch(path.name))
    ]
    found.sort(key=lambda one: (int(one[0][1]), int(one[0][2] or 0)), reverse=True)
    return [path for _, path in found]


def remove_others(folder: Path, pattern: str, keep: set[str]) -> None:
    """Remove the files that match ``pattern`` and whose names are not in ``keep``."""
    for path in folder.glob(pattern):
        if path.name not in keep:
            path.unlink(missing_ok=True)


def select_checkpoint(folder: Path, suffix: str) -> Path | None:
    """The best weights in a folder of checkpoints, else the last, else the newest; None: there are none."""
    end = re.escape(suffix)
    names = (rf"model_(\d+)_best{end}", rf"model_(\d+)(_\d+)?_last{end}", rf"model_(\d+){end}")
    files = list(folder.glob(f"*{suffix}"))
    for name in names:
        found = [(int(match[1]), file) for file in files if (match := re.fullmatch(name, file.name))]
        if found:
            return max(found)[1]
    return None


def hard_link(source: Path, path: Path) -> None:
    """Give the file ``source`` a second name, or copy it where the file system knows no second names."""
    temporary = path.with_name(f".{path.name}.tmp")
    temporary.unlink(missing_ok=True)
    try:
        os.link(source, temporary)
    except OSError:
        write_bytes(path, source.read_bytes())
        return
    os.replace(temporary, path)
    temporary.unlink(missing_ok=True)  # it stays where both are names of one file already


class CheckpointWriter(Generic[Network, Weights, State]):
    """Writes a training's checkpoints and removes what they replace.

    What is to be written is copied at once, which takes milliseconds; the writing is done in the background.
    Checkpoints come into being in the order in which they were asked for, one at a time, so that at most one
    copy is held.

    A plugin says in a subclass what its files are called, and how they are written; the type's parameters are
    its network, a copy of the network's weights, and its state.

    Attributes:
        folder: where the checkpoints are.
        suffix: of the weights' names.
        state_suffix: of the states' names.
    """

    suffix: ClassVar[str]
    state_suffix: ClassVar[str]

    def __init__(self, run: Run, settings: LoopSettings, background: AsyncWriter) -> None:
        self.run, self.settings, self.background = run, settings, background
        self.folder = run.path / layout.CHECKPOINTS
        self.folder.mkdir(exist_ok=True)
        self._tidy()
        self._written: tuple[int, Path] | None = None  # the newest weights, and their step

    # What a plugin says.

    def copied(self, model: Network) -> Weights:
        """A copy of the weights, which no longer changes."""
        raise NotImplementedError

    def write_weights(self, path: Path, weights: Weights) -> None:
        """Write what :meth:`copied` gave."""
        raise NotImplementedError

    def write_state(self, path: Path, state: State) -> None:
        """Write a copy of the state that :meth:`keep_position` was given."""
        raise NotImplementedError

    # What all share.

    def state_name(self, state: State) -> str:
        """The name of a state's file."""
        return f"state_{checkpoint_label(state.epoch, state.batch)}{self.state_suffix}"

    def keep_best(self, model: Network, name: str, step: int, epoch: float, metric: JsonObject) -> None:
        """Write the weights of the best validation so far, which replace those of the one before."""
        path = self.folder / name
        weights = self._weights_now(model, step, path)
        self.background.do(partial(self._write_best, path, weights, step, epoch, metric))

    def keep_position(self, model: Network, name: str, state: State, epoch: float) -> None:
        """Write weights, and the state from which a training can resume there."""
        path = self.folder / name
        weights = self._weights_now(model, state.step, path)
        self.background.do(partial(self._write_position, path, weights, deepcopy(state), epoch))

    def announce(self, weights: Path, state: State, epoch: float) -> None:
        """Say that a checkpoint is complete, and remove what it replaces."""
        its = self.folder / self.state_name(state)
        self.run.checkpoint(state.step, [weights, its], epoch=epoch)
        remove_others(self.folder, f"state_*{self.state_suffix}", {its.name})
        remove_others(self.folder, f"model_*_last{self.suffix}", {weights.name})
        for old in self._too_old():
            if old != weights:
                old.unlink(missing_ok=True)

    def _tidy(self) -> None:
        """Remove what a kill cut off; nobody else writes here."""
        for path in self.folder.glob(".*.tmp"):
            path.unlink(missing_ok=True)

    def _too_old(self) -> Sequence[Path]:
        most = self.settings.max_keep_checkpoints
        name = re.compile(rf"model_(\d+){re.escape(self.suffix)}")
        found = [(int(m[1]), path) for path in self.folder.iterdir() if (m := name.fullmatch(path.name))]
        return [path for _, path in sorted(found)][:-most] if most else []

    def _weights_now(self, model: Network, step: int, path: Path) -> Weights | Path:
        """A copy of the weights; or the file that has the very same ones already."""
        before, self._written = self._written, (step, path)
        if before is not None and before[0] == step:
            return before[1]
        self.background.wait()
        return self.copied(model)

    def _write(self, path: Path, weights: Weights | Path) -> None:
        if isinstance(weights, Path):
            hard_link(weights, path)
        else:
            self.write_weights(path, weights)

    def _write_best(
        self, path: Path, weights: Weights | Path, step: int, epoch: float, metric: JsonObject
    ) -> None:
        self._write(path, weights)
        self.run.checkpoint(step, [path], best_now=True, epoch=epoch, optional=metric)
        remove_others(self.folder, f"model_*_best{self.suffix}", {path.name})

    def _write_position(self, path: Path, weights: Weights | Path, state: State, epoch: float) -> None:
        self._write(path, weights)
        self.write_state(self.folder / self.state_name(state), state)
        self.announce(path, state, epoch)
