"""How much of the machine is in use, as numbers: processor, memory, disk, network, GPUs.

Needs the extra ``resources`` (psutil, and NVML through nvidia-ml-py); without it nothing is measured.
"""

from __future__ import annotations

import importlib.util
import os
import time
from contextlib import suppress
from typing import Any

from ravenml.runs.run import Run

PERIOD = 5.0  # seconds


class Resources:
    """Measures the machine, and a process with its descendants, since the last time.

    Args:
        pid: the process; by default this one.
    """

    def __init__(self, pid: int | None = None) -> None:
        import psutil

        self._psutil = psutil
        self._pid = os.getpid() if pid is None else pid
        self._before: dict[str, float] = {}
        self._at = time.monotonic()
        self._gpus = _gpus()
        psutil.cpu_percent()  # the first call only sets the beginning
        self._rates(self._counters())

    def measure(self) -> dict[str, float]:
        """The numbers of this moment, by name.

        ``cpu_percent`` and ``memory_percent`` of the machine (0…100); ``process_memory_bytes``, resident, of
        the process and its descendants; bytes per second of the disks and the network; for each GPU
        ``gpu0_percent``, ``gpu0_memory_bytes``, ``gpu0_watts`` and ``gpu0_celsius``.
        """
        psutil = self._psutil
        return {
            "cpu_percent": psutil.cpu_percent(),
            "memory_percent": psutil.virtual_memory().percent,
            "process_memory_bytes": self._process_memory(),
            **self._rates(self._counters()),
            **self._of_gpus(),
        }

    def _process_memory(self) -> int:
        with suppress(self._psutil.Error):
            process = self._psutil.Process(self._pid)
            total = 0
            for one in (process, *process.children(recursive=True)):
                with suppress(self._psutil.Error):
                    total += one.memory_info().rss
            return total
        return 0

    def _counters(self) -> dict[str, float]:
        found: dict[str, float] = {}
        with suppress(Exception):  # a container without /proc/diskstats
            disk = self._psutil.disk_io_counters()
            found |= {"disk_read": disk.read_bytes, "disk_written": disk.write_bytes} if disk else {}
        with suppress(Exception):
            net = self._psutil.net_io_counters()
            found |= {"network_sent": net.bytes_sent, "network_received": net.bytes_recv} if net else {}
        return found

    def _rates(self, counters: dict[str, float]) -> dict[str, float]:
        now = time.monotonic()
        passed, before = max(now - self._at, 1e-3), self._before
        self._at, self._before = now, counters
        return {
            f"{name}_bytes_per_s": round(max(0.0, value - before[name]) / passed, 1)
            for name, value in counters.items()
            if name in before
        }

    def _of_gpus(self) -> dict[str, float]:
        found: dict[str, float] = {}
        for index, handle in enumerate(self._gpus):
            import pynvml

            with suppress(pynvml.NVMLError):
                found[f"gpu{index}_percent"] = pynvml.nvmlDeviceGetUtilizationRates(handle).gpu
                found[f"gpu{index}_memory_bytes"] = pynvml.nvmlDeviceGetMemoryInfo(handle).used
            with suppress(pynvml.NVMLError):
                found[f"gpu{index}_watts"] = pynvml.nvmlDeviceGetPowerUsage(handle) / 1000
            with suppress(pynvml.NVMLError):
                found[f"gpu{index}_celsius"] = pynvml.nvmlDeviceGetTemperature(handle, 0)
        return found


def _gpus() -> list[Any]:
    """The handles of the NVIDIA GPUs; none where there is no driver or no NVML."""
    try:
        import pynvml

        pynvml.nvmlInit()
        return [pynvml.nvmlDeviceGetHandleByIndex(i) for i in range(pynvml.nvmlDeviceGetCount())]
    except Exception:
        return []


class ResourceMonitor:
    """Writes what is in use into a run's events; made when it is first called, so that it costs no start."""

    def __init__(self, run: Run, pid: int | None = None) -> None:
        self._run, self._pid = run, pid
        self._resources: Resources | None = None

    def __call__(self) -> None:
        if self._resources is None:
            self._resources = Resources(self._pid)
            return
        self._run.resources(self._resources.measure())


def can_measure() -> bool:
    """Whether the extra is installed."""
    return importlib.util.find_spec("psutil") is not None
