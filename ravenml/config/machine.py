"""This machine: its processor, and what was measured on it, kept so that it is measured once."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import sys
from collections.abc import Callable, Mapping
from contextlib import ExitStack, suppress
from pathlib import Path

from ravenml.common.io import JsonObject, write_cache
from ravenml.common.locks import exclusive_lock
from ravenml.common.parsing import parse_json
from ravenml.common.permissions import make_folder
from ravenml.config.home import cache_dir
from ravenml.errors import InputError, RavenError

THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
# They limit what the machine may do, so what was measured with one value does not hold for another.
_VARIABLES = (
    *("OMP_NUM_THREADS", "ONEDNN_MAX_CPU_ISA", "DNNL_MAX_CPU_ISA", "ATEN_CPU_CAPABILITY"),
    "CUDA_VISIBLE_DEVICES",
)
_GPU_DRIVER = Path("/dev/nvidiactl")  # there while a driver of NVIDIA's is loaded
_LARGEST = 1 << 20  # bytes of a measurement's file


def remember(kind: str, about: Mapping[str, object], measure: Callable[[], JsonObject]) -> JsonObject:
    """Return what ``measure`` found on this machine; it is called only if nobody has measured the same yet.

    Several processes may ask for the same at the same time: one of them measures, and the others wait for it.

    Args:
        kind: of the measurement; a folder of the cache.
        about: what the result depends on beside the machine: versions, sizes, names.  Values that JSON has.
        measure: gives a JSON object.
    """
    path = _path(kind, about)
    with ExitStack() as stack:
        with suppress(OSError, RavenError):  # a full or read-only disk keeps nothing, and stops nobody
            make_folder(path.parent)
            stack.enter_context(exclusive_lock(path.with_suffix(".lock")))
        known = recall(kind, about)
        if known is None:
            known = measure()
            content = json.dumps({"processor": processor_name(), "about": about, "result": known}, indent=1)
            with suppress(OSError):
                write_cache(path, [content.encode()])
        return known


def recall(kind: str, about: Mapping[str, object]) -> JsonObject | None:
    """What :func:`remember` has kept of this measurement, or None."""
    path = _path(kind, about)
    try:
        with path.open("rb") as file:
            content = parse_json(file.read(_LARGEST), str(path))
    except (OSError, InputError):
        return None  # never measured, or damaged
    result = content.get("result") if isinstance(content, dict) else None
    return result if isinstance(result, dict) else None


def usable_cores() -> int:
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def processor_name() -> str:
    """The processor's name, as the system gives it."""
    return _cpuinfo("model name") or platform.processor() or platform.machine()


def _path(kind: str, about: Mapping[str, object]) -> Path:
    limits = {name: os.environ.get(name) for name in _VARIABLES}
    processor = [processor_name(), _cpuinfo("flags"), platform.machine(), usable_cores()]
    known = json.dumps([sys.platform, processor, _GPU_DRIVER.exists(), limits, about], sort_keys=True)
    return cache_dir() / "measured" / kind / f"{hashlib.sha256(known.encode()).hexdigest()[:32]}.json"


def _cpuinfo(field: str) -> str:
    """A field of the first core in Linux's ``/proc/cpuinfo``; an empty string elsewhere."""
    with suppress(OSError), open("/proc/cpuinfo", encoding="utf-8", errors="replace") as file:
        for line in file:
            if line.startswith(field):
                return line.partition(":")[2].strip()
    return ""
