"""Compiling a network with ``torch.compile``, for training only, and so that a step's bits stay its own."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import cast

import torch
from torch import nn

from ravenml.errors import InputError, RavenError


def compile_network(model: nn.Module, width: int, height: int) -> nn.Module:
    """The network, to be compiled at its first batch; its weights stay those of ``model``, with their names.

    Every size of batch is compiled for itself (an epoch has two).  Code for any size would come into use with
    the second one, and a training that is resumed just there would compute other bits.

    Args:
        model: the network; it is called once, so that what it checks in its first batch is behind it.
        width: the input's.
        height: the input's.
    """
    was_training = model.training
    model.eval()
    parameter = next(model.parameters())
    with torch.no_grad():
        model(torch.zeros(1, 3, height, width, device=parameter.device))
    model.train(was_training)
    return cast(nn.Module, torch.compile(model, dynamic=False))


def check_compiler() -> None:
    """See whether a C++ compiler is there, before anything is begun.

    Raises:
        InputError: there is none.
    """
    from torch._inductor.cpp_builder import get_cpp_compiler
    from torch._inductor.exc import InvalidCxxCompiler

    try:
        get_cpp_compiler()
    except InvalidCxxCompiler:
        raise InputError(
            "compile: no C++ compiler was found; install one (Debian, Ubuntu: apt install g++), name it in "
            "CXX, or train with --no-compile."
        ) from None


@contextmanager
def explain_failures() -> Iterator[None]:
    """Say in a sentence that compiling failed.

    Raises:
        RavenError: it did.
    """
    from torch._dynamo.exc import TorchDynamoException
    from torch._inductor.exc import CppCompileError, InductorError, InvalidCxxCompiler

    try:
        yield
    except (TorchDynamoException, InductorError, InvalidCxxCompiler, CppCompileError) as error:
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        reason = lines[0] if lines else type(error).__name__
        raise RavenError(
            f"compile: this network could not be compiled ({reason.rstrip('.')}); train with --no-compile."
        ) from error
