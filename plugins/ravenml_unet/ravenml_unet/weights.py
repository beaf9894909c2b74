"""Reading and writing networks' weights: bare state dicts, float32, with the published names."""

from __future__ import annotations

import pickle
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

from ravenml.errors import InputError
from ravenml.files import write_beside
from ravenml.store.model_state import read_config, unpack_model


def bare_state(model: nn.Module) -> dict[str, torch.Tensor]:
    """A network's weights as they are saved: on the CPU, float32 (counters int64), contiguous.

    Tensors that the network holds under two names stay one tensor under two names.
    """
    seen: dict[int, torch.Tensor] = {}
    state: dict[str, torch.Tensor] = {}
    for name, value in model.state_dict().items():
        if value.data_ptr() not in seen or value.numel() == 0:
            value_out = value.detach().to("cpu", torch.float32 if value.is_floating_point() else value.dtype)
            seen[value.data_ptr()] = value_out.contiguous(memory_format=torch.contiguous_format)
        state[name] = seen[value.data_ptr()]
    return state


def save_torch(path: Path, value: Any) -> Path:
    """``torch.save`` to a file beside ``path``, which is then renamed.  Returns ``path``."""
    with write_beside(path) as file:
        torch.save(value, file)
    return path


def load_torch(path: Path) -> Any:
    """Read what ``torch.save`` wrote, tensors and plain values alone, onto the CPU.

    Raises:
        InputError: there is no such file, or it holds something else.
    """
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise InputError(f"{path} does not exist.") from None
    except (pickle.UnpicklingError, RuntimeError, EOFError, OSError, ValueError, KeyError) as error:
        raise InputError(
            f"{path} holds no weights that can be read safely: it is broken, or it holds more than tensors "
            "and plain values; save it with torch.save(model.state_dict(), …)."
        ) from error


def load_weights(model: nn.Module, path: Path, name: str) -> None:
    """Read a state dict into ``model``; ``name`` is what messages call the network.

    Raises:
        InputError: the file cannot be read, or its parameters are not this network's; the sentence
            names the first that differs.
    """
    state = load_torch(path)
    if not isinstance(state, Mapping) or not all(isinstance(v, torch.Tensor) for v in state.values()):
        raise InputError(f"{path} is no state dict: it must map parameter names to tensors.")
    difference = first_difference(model.state_dict(), state)
    if difference:
        raise InputError(f"{path} does not fit {name}: {difference}.")
    model.load_state_dict(state)


def first_difference(expected: Mapping[str, torch.Tensor], found: Mapping[str, torch.Tensor]) -> str | None:
    """In words, the first parameter in which two state dicts differ by name or shape."""
    for name, value in expected.items():
        if name not in found:
            return f"it lacks {name}"
        if found[name].shape != value.shape:
            return f"{name} has the shape {list(found[name].shape)} instead of {list(value.shape)}"
    return next((f"it has {name}, which the network has not" for name in found if name not in expected), None)


def is_packed_model(path: Path) -> bool:
    """Whether ``path`` is a ``model-state.tar`` (by its name's end) rather than a bare state dict."""
    return path.suffix == ".tar"


def load_initial_weights(model: nn.Module, path: Path, architecture: str) -> None:
    """Begin with the weights of a ``.pth`` file or a ``model-state.tar``.

    Raises:
        InputError: they are another architecture's, or cannot be read.
    """
    if not path.is_file():
        raise InputError(f"weights: {path} does not exist; give a .pth state dict or a model-state.tar.")
    if not is_packed_model(path):
        load_weights(model, path, architecture)
        return
    packed = read_config(path).get("settings", {})
    if packed.get("architecture") != architecture:
        raise InputError(
            f"weights: {path} holds a {packed.get('architecture')} and not a {architecture}; "
            f"train with --model {packed.get('architecture')} or give other weights."
        )
    with tempfile.TemporaryDirectory() as folder:
        unpack_model(path, Path(folder))
        load_weights(model, Path(folder) / packed.get("weights", "model.pth"), architecture)
