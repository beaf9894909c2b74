"""Where to compute, and in which precision."""

from __future__ import annotations

import logging
import warnings
from typing import Any

import torch
from lightning_fabric import Fabric

from ravenml.errors import InputError
from ravenml_unet.parallel import meet_on_loopback, processes
from ravenml_unet.settings import UNetSettings

FABRIC_PRECISION = {"32": "32-true", "bf16": "bf16-mixed", "16": "16-mixed"}
logging.getLogger("lightning_fabric").setLevel(logging.WARNING)  # our first line says device and precision
_MEETINGS: list[object] = []  # what must live as long as this process


def make_fabric(settings: UNetSettings) -> Fabric:
    """Set up the device and precision that the settings ask for, and the connection to other processes.

    Raises:
        InputError: the device is not there, or cannot compute in this precision, or there are several
            processes and the settings are not for them.
    """
    if processes() > 1:
        check_team(settings, processes())
    device = choose_device(settings.device)
    precision: Any = FABRIC_PRECISION[choose_precision(settings.precision, device)]
    with warnings.catch_warnings():
        # Fabric remarks on hardware that is there and unused; the settings have decided that already.
        warnings.simplefilter("ignore")
        accelerator = "gpu" if device == "cuda" else device
        if processes() == 1:
            return Fabric(accelerator=accelerator, devices=1, precision=precision)
        fabric = Fabric(
            accelerator=accelerator, strategy="ddp", devices=1, num_nodes=processes(), precision=precision
        )
        _MEETINGS.append(meet_on_loopback())
        fabric.launch()
        return fabric


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


def choose_precision(wanted: str, device: str) -> str:
    """``32``, ``bf16`` or ``16`` for the setting ``precision`` on ``device``.

    ``auto`` takes bfloat16 where there are matrix units for it: AMX on a processor, compute capability
    8.0 (Ampere) on a GPU.  AVX512-BF16 alone does not count: on an Intel processor whose AMX is not
    visible, a step of the vanilla U-Net took over four times as long in bfloat16 as in float32.

    Raises:
        InputError: the device cannot compute in the wanted precision.
    """
    if device == "cuda":
        native = torch.cuda.get_device_capability() >= (8, 0)
    else:
        native = device == "cpu" and torch.cpu._is_amx_tile_supported()
    if wanted == "auto":
        return "bf16" if native else "32"
    if wanted == "16" and device != "cuda":
        raise InputError("precision: 16 needs a CUDA GPU; use --precision bf16 or 32.")
    return wanted


def seed_generators(seed: int, device: torch.device) -> None:
    """Let torch's global generators, the processor's and the device's, go on from ``seed``.

    ``torch.manual_seed`` does it for all devices that there could be, which takes most of a millisecond.
    """
    torch.default_generator.manual_seed(seed)
    if device.type == "cuda":
        torch.cuda.manual_seed(seed)
    elif device.type == "mps":
        torch.mps.manual_seed(seed)
