"""Reading and writing networks' weights: bare state dicts, float32, with the published names.

Files are as ``torch.save`` writes them, of which only tensors and plain values are read, or safetensors,
which can hold nothing but tensors.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn

from ravenml.common.io import atomic_open
from ravenml.errors import InputError
from ravenml.infer.model_folder import check_unpacked_size, find_weights
from ravenml.store.model_state import read_config, unpack_model
from ravenml.toolkit.pretrained import PretrainedWeights
from ravenml_unet.models.network import SegmentationNetwork
from ravenml_unet.pretrained import check_architecture

SAFETENSORS = ".safetensors"


def bare_state(model: nn.Module) -> dict[str, torch.Tensor]:
    """A copy of a network's weights as they are saved: on the CPU, float32 (counters int64), contiguous.

    Tensors that the network holds under two names stay one tensor under two names.
    """
    seen: dict[int, torch.Tensor] = {}
    state: dict[str, torch.Tensor] = {}
    for name, value in model.state_dict().items():
        if value.data_ptr() not in seen or value.numel() == 0:
            dtype = torch.float32 if value.is_floating_point() else value.dtype
            seen[value.data_ptr()] = value.detach().to(
                "cpu", dtype, copy=True, memory_format=torch.contiguous_format
            )
        state[name] = seen[value.data_ptr()]
    return state


def save_torch(path: Path, value: Any) -> Path:
    """``torch.save`` to a file beside ``path``, which is then renamed.  Returns ``path``."""
    with atomic_open(path) as file:
        torch.save(value, file)
    return path


def load_torch(path: Path) -> Any:
    """Read what ``torch.save`` wrote, tensors and plain values alone, onto the CPU.

    Raises:
        InputError: there is no such file, or it holds something else.
    """
    check_unpacked_size(path)
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise InputError(f"{path} does not exist.") from None
    except Exception as error:  # of many kinds: whichever byte is wrong, the file is broken
        raise InputError(
            f"{path} holds no weights that can be read safely: it is broken, or it holds more than tensors "
            "and plain values; save it with torch.save(model.state_dict(), …)."
        ) from error


def save_safetensors(path: Path, state: Mapping[str, torch.Tensor]) -> Path:
    """Write a state dict as safetensors to a file beside ``path``, which is then renamed.  Returns ``path``.

    A tensor under two names is written twice: the format knows no sharing.
    """
    from safetensors.torch import save

    with atomic_open(path) as file:
        file.write(save({name: value.clone() for name, value in state.items()}))
    return path


def load_safetensors(path: Path) -> Mapping[str, torch.Tensor]:
    """Read a safetensors file onto the CPU.

    Raises:
        InputError: there is no such file, or it holds something else.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    check_unpacked_size(path)  # here for what it says of a named pipe, for which the library would wait
    try:
        return load_file(path)
    except FileNotFoundError:
        raise InputError(f"{path} does not exist.") from None
    except (SafetensorError, OSError, ValueError, KeyError) as error:
        raise InputError(f"{path} is broken, or not a safetensors file: {error}.") from None


def state_dict(path: Path) -> Mapping[str, torch.Tensor]:
    """Read a state dict.

    Raises:
        InputError: the file cannot be read, or holds something else.
    """
    if path.suffix == SAFETENSORS:
        return load_safetensors(path)
    state = load_torch(path)
    if not isinstance(state, Mapping) or not all(
        isinstance(name, str) and isinstance(value, torch.Tensor) for name, value in state.items()
    ):
        raise InputError(f"{path} is not a state dict: it must map parameter names to tensors.")
    return state


def load_weights(model: nn.Module, path: Path, name: str, keep: Sequence[str] = ()) -> None:
    """Read a state dict into ``model``; ``name`` is what messages call the network.

    Args:
        keep: the names of layers that stay as they are, whatever the file says of them.

    Raises:
        InputError: the file cannot be read, or its parameters are not this network's; the sentence
            names the first that differs.
    """
    kept = tuple(f"{layer}." for layer in keep)
    state = {key: value for key, value in state_dict(path).items() if not kept or not key.startswith(kept)}
    state |= {key: value for key, value in model.state_dict().items() if kept and key.startswith(kept)}
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
    return next(
        ((f"it has {name}, which the network does not have") for name in found if name not in expected), None
    )


def load_initial_weights(
    model: SegmentationNetwork, start: PretrainedWeights, architecture: str, replace_head: bool = False
) -> None:
    """Begin with trained weights.

    Args:
        model: freshly initialised.
        start: where the weights are.
        architecture: what ``model`` is.
        replace_head: leave the last layer, which knows the classes, as it is (transfer learning).

    Raises:
        InputError: they are another architecture's, or cannot be read.
    """
    check_architecture(start, architecture)
    if not start.is_packed:
        load_weights(model, start.path, architecture, keep=model.head if replace_head else ())
        return
    with tempfile.TemporaryDirectory(prefix="ravenml-model-") as folder:
        unpacked = unpack_model(start.path, Path(folder))
        name = (read_config(unpacked).get("settings") or {}).get("weights", "model.pth")
        keep = model.head if replace_head else ()
        load_weights(model, find_weights(unpacked, name), architecture, keep)


def load_encoder(model: SegmentationNetwork, path: Path, architecture: str) -> None:
    """Begin the encoder with weights in torchvision's format (``resnet34-….pth``, ``vgg11-….pth`` …).

    The classifier behind torchvision's encoder is not needed and passed over where the network has none.

    Raises:
        InputError: the network has no such encoder, or the file is another network's.
    """
    if not model.torchvision_encoder:
        raise InputError(f"encoder_weights: {architecture} has no encoder of torchvision's; leave it out.")
    own, given = model.state_dict(), state_dict(path)
    copied: set[str] = set()
    for name, value in given.items():
        prefix = next((p for p in model.torchvision_encoder if name.startswith(p)), None)
        target = model.torchvision_encoder[prefix] + name.removeprefix(prefix) if prefix is not None else ""
        if target not in own and name.split(".")[0] in ("classifier", "fc"):
            continue
        if target not in own:
            raise InputError(f"{path} does not fit the encoder of {architecture}: it has {name}.")
        if own[target].shape != value.shape:
            raise InputError(
                f"{path} does not fit the encoder of {architecture}: {name} has the shape "
                f"{list(value.shape)} instead of {list(own[target].shape)}."
            )
        own[target].copy_(value)
        copied.add(target)
    places = tuple(model.torchvision_encoder.values())
    for name in own:
        # torchvision's older files do not count batches.
        if name.startswith(places) and name not in copied and not name.endswith("num_batches_tracked"):
            raise InputError(f"{path} does not fit the encoder of {architecture}: it lacks {name}.")
