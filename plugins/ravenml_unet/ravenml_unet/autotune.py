"""How a training step of a network is fastest on this processor: measured with this very network.

Whether bfloat16 is faster than float32 depends on the processor's units, on PyTorch and on the network's
layers, and so does the better memory format: no flag of the processor tells.
"""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import nn

from ravenml.config.machine import remember
from ravenml.plugin.user_code import digest_code
from ravenml_unet.compiling import compile_network, explain_failures
from ravenml_unet.models.registry import ARCHITECTURES, create_model, list_offered

SECONDS = 1.8  # for a measurement; precision first, then the memory format in what is left
ROUNDS = 4
PIXELS = 2 * 96 * 128  # of a measured step, at least; with fewer, the work on the weights decides
WORTH = 1.1  # how much faster bfloat16, or contiguous memory, must be to be taken

COMPILED_WORTH = 1.05
EMULATED = 5.0  # as many times as long bfloat16 takes on a few pixels where the processor has no units for it

FORMATS = {"channels_last": torch.channels_last, "contiguous": torch.contiguous_format}
USUAL = "channels_last"


@dataclass(frozen=True)
class StepShape:
    """What decides the time of a training step: the network and the size of its batches."""

    architecture: str
    classes: int
    batch: int
    width: int
    height: int

    def make_network(self, memory_format: str = USUAL) -> nn.Module:
        """A network with random weights, for training."""
        network: nn.Module = create_model(self.architecture, self.classes).train()
        return network.to(memory_format=FORMATS[memory_format])  # type: ignore[call-overload]


@dataclass(frozen=True)
class Execution:
    """How training steps are computed.

    Attributes:
        precision: ``32``, ``bf16`` or ``16``.
        memory_format: ``channels_last`` or ``contiguous``.
        compiled: whether with ``torch.compile``.
        seconds: of the steps of a test, by what was tried (``32``, ``bf16``, ``compiled``, ``plain``).
    """

    precision: str
    memory_format: str = USUAL
    compiled: bool = False
    seconds: Mapping[str, float] = field(default_factory=dict)


def fastest_execution(shape: StepShape) -> Execution:
    """Return the fastest way to compute these training steps on this processor.

    It is measured in about two seconds at most, and remembered in ravenML's cache.  The global random
    generator is left as it is.  A network that cannot compute such a step gets float32: its training says
    what is wrong.
    """
    try:
        found = remember("training_step", describe(shape), lambda: _measure_precision(shape))
        return Execution(found["precision"], found["memory_format"], seconds=found["seconds"])
    except (RuntimeError, TypeError, ValueError, LookupError):
        return Execution("32")


def compiled_if_faster(shape: StepShape, execution: Execution) -> Execution:
    """The same with ``torch.compile`` if these training steps are faster with it on this machine.

    It is measured on all cores, and once, since compiling takes up to a minute.

    Raises:
        RavenError: the network cannot be compiled.
    """
    about = describe(shape) | {"precision": execution.precision, "memory_format": execution.memory_format}
    found = remember("compiled_step", about, lambda: _measure_compiled(shape, execution))
    faster = found["compiled"] * COMPILED_WORTH < found["plain"]
    return replace(execution, compiled=faster, seconds={**execution.seconds, **found})


@dataclass(frozen=True)
class TimedStep:
    """A step to be timed: fewer or smaller images than the training's.

    Attributes:
        run: computes it.
        scale: how many times as many pixels the training's steps have; at least 1.
        parameters: of its network.
    """

    run: Callable[[], None]
    scale: float
    parameters: int


def make_timed_step(shape: StepShape, execution: Execution) -> TimedStep:
    """A step like the training's, for whoever measures what else it may share the machine with."""
    with _own_random_numbers():
        images = _choose_images(shape).to(memory_format=FORMATS[execution.memory_format])
        network = shape.make_network(execution.memory_format)
    scale = shape.batch * shape.width * shape.height / images[:, 0].numel()
    parameters = sum(parameter.numel() for parameter in network.parameters())
    return TimedStep(_step(network, images, execution.precision), max(scale, 1.0), parameters)


def describe_measurements(execution: Execution) -> list[str]:
    """A sentence for each choice that was measured."""
    took = {name: f"{1000 * seconds:.0f} ms" for name, seconds in execution.seconds.items()}
    sentences = []
    if "bf16" in took:
        chosen = "bfloat16" if execution.precision == "bf16" else "float32"
        layout = "" if execution.memory_format == USUAL else f", with {execution.memory_format} memory"
        sentences.append(
            f"A test step took {took['bf16']} in bfloat16 and {took['32']} in float32: training in "
            f"{chosen}{layout}."
        )
    if "compiled" in took:
        chosen = "with" if execution.compiled else "without"
        sentences.append(
            f"A test step took {took['compiled']} compiled and {took['plain']} not compiled: training "
            f"{chosen} torch.compile."
        )
    return sentences


def _measure_precision(shape: StepShape) -> dict[str, Any]:
    _announce("Measuring which precision is the fastest on this processor; --precision 32 skips this.")
    return measure_steps(shape)


def _measure_compiled(shape: StepShape, execution: Execution) -> dict[str, Any]:
    _announce("Measuring whether compiling is faster, which takes up to a minute; --no-compile skips this.")
    with _own_random_numbers(), explain_failures():
        network = shape.make_network(execution.memory_format)
        images = torch.randn(shape.batch, 3, shape.height, shape.width)
        images = images.to(memory_format=FORMATS[execution.memory_format])
        compiled = compile_network(network, shape.width, shape.height)
        steps = {
            name: _step(module, images, execution.precision)
            for name, module in (("compiled", compiled), ("plain", network))
        }
        return {**_compare(steps, math.inf, time.perf_counter)}


def describe(shape: StepShape) -> dict[str, Any]:
    """What a measurement depends on beside the machine: versions, the network's code, and sizes."""
    about: dict[str, Any] = {
        "torch": str(torch.__version__),
        "architecture": shape.architecture,
        "classes": shape.classes,
        "images": [shape.batch, shape.width, shape.height],
    }
    if shape.architecture not in ARCHITECTURES:
        offered = list_offered().get(shape.architecture)
        about["code"] = digest_code(offered.value if offered is not None else shape.architecture)
    return about


def measure_steps(shape: StepShape) -> dict[str, Any]:
    """Measure steps, forward and backward, in both precisions, then in both memory formats, in turns.

    They run on one core, in the processor's time, so that other work on the machine changes nothing.

    Returns:
        ``precision``, ``memory_format``, ``seconds`` of a step by precision, ``images`` (the shape).
    """
    end = time.perf_counter() + SECONDS
    with _own_random_numbers(), _one_thread():
        networks = {name: shape.make_network(name) for name in FORMATS}
        images = _choose_images(shape)
        few = images[:1, :, ::4, ::4].contiguous(memory_format=torch.channels_last)
        small = {name: _step(networks[USUAL].eval(), few, name) for name in ("32", "bf16")}
        small["32"]()  # the library generates its code
        seconds = {name: _timed(step, time.thread_time) for name, step in small.items()}
        networks[USUAL].train()
        usual = {name: _step(networks[USUAL], images, name) for name in ("32", "bf16")}
        if seconds["bf16"] < EMULATED * seconds["32"]:
            seconds = _compare(usual, end)
        precision = "bf16" if seconds["bf16"] * WORTH < seconds["32"] else "32"
        memory_format = USUAL
        if time.perf_counter() + 2 * seconds[precision] < end:
            other = _step(networks["contiguous"], images.contiguous(), precision)
            both = _compare({USUAL: usual[precision], "contiguous": other}, end)
            if both["contiguous"] * WORTH < both[USUAL]:
                memory_format, seconds[precision] = "contiguous", both["contiguous"]
    return {
        "precision": precision,
        "memory_format": memory_format,
        "seconds": seconds,
        "images": list(images.shape),
    }


def _compare(
    steps: Mapping[str, Callable[[], object]], end: float, clock: Callable[[], float] = time.thread_time
) -> dict[str, float]:
    """The fastest of each step's times, taken in turns until ``end``.

    The first does not count where there is another: in it, the library generates its code.
    """
    seconds = {name: _timed(step, clock) for name, step in steps.items()}
    for number in range(ROUNDS):
        if time.perf_counter() + sum(seconds.values()) > end:
            break
        for name, step in steps.items():
            seconds[name] = min(_timed(step, clock), seconds[name] if number else math.inf)
    return seconds


def _choose_images(shape: StepShape) -> torch.Tensor:
    """Random images, two of the training's: smaller ones if those are large, more if they are small."""
    width, height = shape.width, shape.height
    while 2 * width * height >= 4 * PIXELS:
        width, height = width // 2, height // 2
    count = min(shape.batch, max(2, PIXELS // (width * height)))  # one is too few for some batch norms
    return torch.randn(count, 3, height, width).contiguous(memory_format=torch.channels_last)


def _step(network: nn.Module, images: torch.Tensor, precision: str) -> Callable[[], None]:
    """A training step without its optimizer, whose time no precision changes."""

    def step() -> None:
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=precision == "bf16"):
            output = network(images)
        output.float().mean().backward()
        network.zero_grad(set_to_none=True)

    return step


def _timed(step: Callable[[], object], clock: Callable[[], float]) -> float:
    begun = clock()
    step()
    return clock() - begun


@contextmanager
def _one_thread() -> Iterator[None]:
    """Compute in this thread alone, which backward passes on the processor do as well."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def _own_random_numbers() -> AbstractContextManager[None]:
    """Leave the processor's generator as it was."""
    return torch.random.fork_rng(devices=[])


def _announce(line: str) -> None:
    """Tell what is being waited for; a fold's console log has it, and the display of a training shows it."""
    print(line, file=sys.stderr, flush=True)
