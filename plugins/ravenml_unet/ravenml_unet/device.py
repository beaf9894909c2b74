"""Where to compute, and in which precision."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch
from lightning_fabric import Fabric

from ravenml.errors import InputError
from ravenml_unet.autotune import (
    FORMATS,
    USUAL,
    Execution,
    StepShape,
    compiled_if_faster,
    fastest_execution,
)
from ravenml_unet.parallel import meet_on_loopback, processes
from ravenml_unet.settings import UNetSettings

FABRIC_PRECISION = {"32": "32-true", "bf16": "bf16-mixed", "16": "16-mixed"}
PRECISION_OF_FABRIC = {fabric: precision for precision, fabric in FABRIC_PRECISION.items()}
logging.getLogger("lightning_fabric").setLevel(logging.WARNING)  # our first line says device and precision
_MEETINGS: list[object] = []  # what must live as long as this process


def make_fabric(
    settings: UNetSettings,
    shape: StepShape,
    resumed: Mapping[str, Any] | None = None,
    chosen: Mapping[str, Any] = {},
) -> tuple[Fabric, Execution]:
    """Set up the device and precision that the settings ask for, and the connection to other processes.

    Args:
        settings: the training's.
        shape: of its steps.
        resumed: the machine that an interrupted training ran on, whose choices are kept.
        chosen: what an earlier fold of the same training chose, whose precision this one keeps to.

    Raises:
        InputError: the device is not there, or cannot compute in this precision, or there are several
            processes and the settings are not for them.
    """
    if processes() > 1:
        check_team(settings, processes())
    device = choose_device(settings.device)
    if processes() == 1:
        execution = choose_execution(settings.precision, device, shape, resumed, chosen)
        if settings.compile:
            execution = choose_compiled(execution, device, shape, resumed)
        return _fabric(device, execution.precision), execution
    check_precision(settings.precision, device)
    fabric = _fabric(device, "32")
    _MEETINGS.append(meet_on_loopback())
    fabric.launch()
    first = fabric.global_rank == 0
    mine = Execution("32")
    if first:
        mine = choose_execution(settings.precision, device, shape, resumed, chosen)
    execution = fabric.broadcast(mine)
    if execution.precision != "32":
        fabric = _fabric(device, execution.precision)
        fabric.launch()
    return fabric, execution


def _fabric(device: str, precision: str) -> Fabric:
    its: Any = FABRIC_PRECISION[precision]
    accelerator = "gpu" if device == "cuda" else device
    with warnings.catch_warnings():
        # Fabric remarks on hardware that is there and unused; the settings have decided that already.
        warnings.simplefilter("ignore")
        if processes() == 1:
            return Fabric(accelerator=accelerator, devices=1, precision=its)
        return Fabric(
            accelerator=accelerator, strategy="ddp", devices=1, num_nodes=processes(), precision=its
        )


def check_team(settings: UNetSettings, count: int) -> None:
    """Refuse what several processes cannot do together.

    Raises:
        InputError: they would have no image each, or a compiled network.
    """
    if settings.batch_size.train < count:
        raise InputError(
            f"batch_size.train: {settings.batch_size.train} cannot be shared by {count} workers; "
            "train with larger batches, or with fewer --workers."
        )
    if settings.compile:
        raise InputError("compile: a compiled network is trained by one process; leave out one of the two.")


def choose_device(wanted: str) -> str:
    """``cpu``, ``cuda`` or ``mps`` for the setting ``device``.

    Raises:
        InputError: the wanted device is not there.
    """
    available = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if wanted == "auto":
        return next(device for device in ("cuda", "mps", "cpu") if available[device])
    if not available[wanted]:
        raise InputError(f"device: {wanted} was asked for, but PyTorch finds none; use --device auto.")
    return wanted


def choose_execution(
    precision: str,
    device: str,
    shape: StepShape,
    resumed: Mapping[str, Any] | None = None,
    chosen: Mapping[str, Any] = {},
) -> Execution:
    """How training steps are computed, for the setting ``precision`` on ``device``.

    ``auto`` takes what is fastest: on a processor, by a test of these very steps; on a GPU, bfloat16 from
    compute capability 8.0 (Ampere) on.  A training that resumes keeps what it began with, and a fold the
    precision of those before it, on whatever machine: their scores become one.

    Raises:
        InputError: the device cannot compute in the wanted precision.
    """
    check_precision(precision, device)
    memory_format = "contiguous" if device == "mps" else USUAL
    if resumed is not None and resumed.get("device") == device:
        kept = PRECISION_OF_FABRIC.get(str(resumed.get("precision")), "32")
        memory_format = str(resumed.get("memory_format", memory_format))
        return Execution(kept if precision == "auto" else precision, memory_format)
    if precision != "auto":
        return Execution(precision, memory_format)
    known = PRECISION_OF_FABRIC.get(str(chosen.get("precision")))
    if known in ("32", "bf16"):
        its = str(chosen.get("memory_format"))
        return Execution(known, its if chosen.get("device") == device and its in FORMATS else memory_format)
    if device == "cpu":
        return fastest_execution(shape)
    bfloat16 = device == "cuda" and torch.cuda.get_device_capability() >= (8, 0)
    return Execution("bf16" if bfloat16 else "32", memory_format)


def choose_compiled(
    execution: Execution, device: str, shape: StepShape, resumed: Mapping[str, Any] | None = None
) -> Execution:
    """The same, compiled: on a processor only where that is faster.  What resumes keeps what it began with.

    Raises:
        RavenError: the network cannot be compiled.
    """
    if resumed is not None or device != "cpu":
        return replace(execution, compiled=resumed is None or bool(resumed.get("compiled", True)))
    return compiled_if_faster(shape, execution)


def check_precision(precision: str, device: str) -> None:
    """Refuse a precision that the device does not have.

    Raises:
        InputError: it is float16, and not on a CUDA GPU.
    """
    if precision == "16" and device != "cuda":
        raise InputError("precision: 16 needs a CUDA GPU; use --precision bf16 or 32.")


def seed_generators(seed: int, device: torch.device) -> None:
    """Let torch's global generators, the processor's and the device's, go on from ``seed``.

    ``torch.manual_seed`` does it for all devices that there could be, which takes most of a millisecond.
    """
    torch.default_generator.manual_seed(seed)
    if device.type == "cuda":
        torch.cuda.manual_seed(seed)
    elif device.type == "mps":
        torch.mps.manual_seed(seed)
