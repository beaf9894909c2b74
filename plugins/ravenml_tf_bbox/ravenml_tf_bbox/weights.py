"""Weights and states on disk: arrays by the names of Keras' variables, in numpy's ``.npz``."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ravenml.common.io import atomic_open
from ravenml.errors import InputError
from ravenml.infer.model_folder import check_unpacked_size, find_weights
from ravenml.store.model_state import read_config, unpack_model
from ravenml.toolkit import checkpoints, pretrained
from ravenml.toolkit.checkpoints import file_of_state, list_states
from ravenml.toolkit.pretrained import PretrainedWeights

if TYPE_CHECKING:
    import keras

SUFFIX = ".npz"
KERAS = ".weights.h5"
HEADER = "header"
HEAD = "classes_head/logits_layer"  # the only layer that depends on the classes
Arrays = Mapping[str, NDArray[Any]]


@dataclass
class State:
    """Where a training stands, and all that it needs to go on exactly, beyond the weights.

    Attributes:
        epoch: how many epochs are complete.
        batch: how many steps of the next epoch are done.
        step: how many steps are done in all.
        weights: the name of the weights' file beside it.
        sums: what the running epoch's training metrics were summed up from so far.
        identity: what must be the same for the training to go on (architecture, classes …).
        machine: what should be the same for it to go on to the last bit (versions, threads …).
        best: the best validation so far.
        optimizer: its variables, in their order.
    """

    epoch: int
    batch: int
    step: int
    weights: str
    sums: dict[str, float]
    identity: dict[str, Any]
    machine: dict[str, Any]
    best: dict[str, Any] | None = None
    v: int = 1
    optimizer: list[NDArray[Any]] = field(default_factory=list)


class KerasCheckpointWriter(checkpoints.CheckpointWriter["keras.Model", Arrays, State]):
    """Writes ``model_*.npz`` and ``state_*.npz``."""

    suffix = SUFFIX
    state_suffix = SUFFIX

    def copied(self, model: keras.Model) -> Arrays:
        """A copy of the network's weights."""
        return model_arrays(model)

    def write_weights(self, path: Path, weights: Arrays) -> None:
        """Write the weights."""
        save_arrays(path, weights)

    def write_state(self, path: Path, state: State) -> None:
        """Write what resuming needs beyond the weights."""
        header = {name: value for name, value in asdict(state).items() if name != "optimizer"}
        arrays = {f"{number:05d}": value for number, value in enumerate(state.optimizer)}
        save_arrays(path, {HEADER: np.frombuffer(json.dumps(header).encode(), np.uint8), **arrays})


def newest_state(folder: Path) -> State | None:
    """The furthest state whose weights are there, or None.

    Raises:
        InputError: the file cannot be read.
    """
    for path in list_states(folder, SUFFIX):
        arrays = dict(load_arrays(path))
        state = _as_state(path, arrays)
        if file_of_state(folder, state.weights).exists():
            return state
    return None


def _as_state(path: Path, arrays: dict[str, NDArray[Any]]) -> State:
    try:
        header = json.loads(arrays.pop(HEADER).tobytes())
        state = State(**header, optimizer=[arrays[name] for name in sorted(arrays)])
    except (KeyError, TypeError, ValueError, RecursionError):
        raise InputError(
            f"{path} is not a training's state; delete it to resume from an older one."
        ) from None
    if state.best is not None:
        file_of_state(path.parent, state.best.get("file"))
    return state


def model_arrays(model: keras.Model) -> Arrays:
    """A copy of a network's weights by their names, which are unique within it."""
    return {variable.path: np.array(variable.numpy()) for variable in model.weights}


def save_arrays(path: Path, arrays: Arrays) -> Path:
    """Write arrays to a file beside ``path``, which is then renamed.  Returns ``path``."""
    with atomic_open(path) as file:
        np.savez(file, **{name.replace("/", "|"): array for name, array in arrays.items()})  # type: ignore[arg-type]
    return path


def load_arrays(path: Path) -> Arrays:
    """Read what :func:`save_arrays` wrote.

    Raises:
        InputError: there is no such file, or it holds something else.
    """
    check_unpacked_size(path)
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {name.replace("|", "/"): file[name] for name in file.files}
        for name, array in arrays.items():
            if not isinstance(array, np.ndarray) or array.dtype.kind not in "biuf":
                raise ValueError(f"{name} is not an array of numbers")
        return arrays
    except FileNotFoundError:
        raise InputError(f"{path} does not exist.") from None
    except Exception as error:  # of many kinds: whichever byte is wrong, the file is broken
        raise InputError(
            f"{path} holds no weights that can be read: it is broken, or not an .npz file written by ravenML."
        ) from error


def load_weights(model: keras.Model, path: Path, new_head: bool = False) -> None:
    """Read weights into ``model``.

    Args:
        path: a ``.npz`` of ours, or a ``.weights.h5`` that Keras wrote of the same network.
        new_head: leave the layer that names the classes as it is.

    Raises:
        InputError: the file cannot be read, or its weights are another network's; the first is named.
    """
    own = {v.path: v for v in model.weights if HEAD in v.path}
    before = {name: variable.numpy() for name, variable in own.items()} if new_head else {}
    if path.name.endswith(KERAS):
        _load_keras(model, path, skip=new_head)
    else:
        found = load_arrays(path)
        wanted = {v.path: tuple(v.shape) for v in model.weights if v.path not in before}
        for name, shape in wanted.items():
            if name not in found or found[name].shape != shape:
                says = f"has it as {found[name].shape}" if name in found else "lacks it"
                raise InputError(f"{path} does not fit {model.name}: {name} is {shape}, and the file {says}.")
        for variable in model.weights:
            if variable.path in wanted:
                variable.assign(found[variable.path])
    for name, value in before.items():
        own[name].assign(value)


def _load_keras(model: keras.Model, path: Path, skip: bool) -> None:
    try:
        model.load_weights(path, skip_mismatch=skip)
    except FileNotFoundError:
        raise InputError(f"{path} does not exist.") from None
    except (ValueError, OSError, KeyError) as error:
        why = str(error).splitlines()[0].rstrip(".")
        raise InputError(f"{path} does not fit {model.name}: {why}.") from None


def inspect_weights(path: Path) -> PretrainedWeights:
    """Look at what ``--weights`` names; see :func:`ravenml.toolkit.pretrained.inspect_weights`."""
    return pretrained.inspect_weights(path, SUFFIX)


def load_pretrained(model: keras.Model, start: PretrainedWeights, new_head: bool) -> None:
    """Let a network begin with trained weights.

    Raises:
        InputError: they are another network's.
    """
    if not start.is_packed:
        load_weights(model, start.path, new_head)
        return
    with tempfile.TemporaryDirectory(prefix="ravenml-model-") as folder:
        unpacked = unpack_model(start.path, Path(folder))
        name = (read_config(unpacked).get("settings") or {}).get("weights")
        load_weights(model, find_weights(unpacked, name), new_head)
