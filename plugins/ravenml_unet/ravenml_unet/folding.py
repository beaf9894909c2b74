"""Batch normalisation computed into the convolutions before it: a network in fewer passes over memory."""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_weights

_TOLERANCE = 1e-3  # of a probability; a network that is put together in another way differs by far more


@torch.inference_mode()
def folded(model: nn.Module, width: int, height: int) -> nn.Module:
    """A copy of a network without the batch normalisation that follows a convolution.

    Which layers follow one another is seen while an example goes through, so that it does not matter how
    the network is written.

    Args:
        model: in evaluation mode, on a processor; gives log-probabilities.
        width: of the images that it is given.
        height: of them.

    Returns:
        The copy, whose predictions differ in their last digits; the network itself where there is nothing
        to fold, or where the copy's predictions differ by more (a convolution's result is used elsewhere).
    """
    example = torch.rand(1, 3, height, width, generator=torch.Generator().manual_seed(0))
    example = example.sub_(0.5).div_(0.25).contiguous(memory_format=torch.channels_last)
    try:
        new = copy.deepcopy(model)
    except (RuntimeError, TypeError):  # somebody's own network, which cannot be copied
        return model
    pairs, before = _pairs(new, example)
    if not pairs:
        return model
    names = {module: name for name, module in new.named_modules()}
    for convolution, normalisation in pairs.items():
        _fold(convolution, normalisation)
        above, _, name = names[normalisation].rpartition(".")
        setattr(new.get_submodule(above), name, nn.Identity())
    same = torch.allclose(before.exp(), new(example).exp(), rtol=0.0, atol=_TOLERANCE)
    return new if same else model


def _pairs(model: nn.Module, example: torch.Tensor) -> tuple[dict[nn.Conv2d, nn.BatchNorm2d], torch.Tensor]:
    """The convolutions whose result goes into a batch normalisation, each used once; and what comes out."""
    last: tuple[nn.Conv2d, torch.Tensor] | None = None
    found: dict[nn.Conv2d, nn.BatchNorm2d] = {}
    times: dict[nn.Module, int] = {}

    def convolved(module: nn.Module, given: Any, result: torch.Tensor) -> None:
        nonlocal last
        assert isinstance(module, nn.Conv2d)
        last = module, result
        times[module] = times.get(module, 0) + 1

    def normalises(module: nn.Module, given: tuple[torch.Tensor, ...]) -> None:
        assert isinstance(module, nn.BatchNorm2d)
        times[module] = times.get(module, 0) + 1
        if last is not None and given[0] is last[1] and module.running_mean is not None:
            found[last[0]] = module

    hooks = [m.register_forward_hook(convolved) for m in model.modules() if isinstance(m, nn.Conv2d)]
    hooks += [
        m.register_forward_pre_hook(normalises) for m in model.modules() if isinstance(m, nn.BatchNorm2d)
    ]
    result: torch.Tensor = model(example)
    for hook in hooks:
        hook.remove()
    return {c: n for c, n in found.items() if times[c] == times[n] == 1}, result


def _fold(convolution: nn.Conv2d, normalisation: nn.BatchNorm2d) -> None:
    mean, variance = normalisation.running_mean, normalisation.running_var
    assert mean is not None and variance is not None
    weight, bias = fuse_conv_bn_weights(
        convolution.weight,
        convolution.bias,
        mean,
        variance,
        normalisation.eps,
        normalisation.weight,
        normalisation.bias,
    )
    convolution.weight = nn.Parameter(weight.contiguous(memory_format=torch.channels_last), False)
    convolution.bias = nn.Parameter(bias, False)
