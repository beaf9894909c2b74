"""How much memory a training may fill with images."""

from __future__ import annotations

import sys
from pathlib import Path

MOST = 1 << 30  # bytes of resized images in memory, per set of images
SHARE = 4  # a set takes at most this part of what is free: there are two, and folds may train side by side


def memory_for_images() -> int:
    """Bytes of resized images to keep in memory: 1 GiB, or a quarter of what is free where that is less."""
    return min(MOST, available_memory() // SHARE)


def available_memory() -> int:
    """Bytes that this process may still take; where the system does not say (no Linux), plenty.

    The least of what the machine has free, what the container's control group allows (version 2) and what
    the process's own limits leave.
    """
    found = [_machine(), _container(), *_limits()]
    return max(0, min((value for value in found if value is not None), default=sys.maxsize))


def _machine() -> int | None:
    return _field(Path("/proc/meminfo"), "MemAvailable:")


def _container() -> int | None:
    folder = Path("/sys/fs/cgroup")
    try:
        most, used = ((folder / name).read_text().strip() for name in ("memory.max", "memory.current"))
    except OSError:
        return None
    return int(most) - int(used) if most.isdigit() else None


def _limits() -> list[int | None]:
    try:
        import resource  # not on Windows
    except ImportError:
        return []
    status = Path("/proc/self/status")
    left: list[int | None] = []
    for kind, name in ((resource.RLIMIT_AS, "VmSize:"), (resource.RLIMIT_DATA, "VmData:")):
        limit, used = resource.getrlimit(kind)[0], _field(status, name)
        left.append(limit - used if limit != resource.RLIM_INFINITY and used is not None else None)
    return left


def _field(path: Path, name: str) -> int | None:
    """A field of a file below ``/proc`` that is given in kB, in bytes."""
    try:
        for line in path.read_text().splitlines():
            if line.startswith(name):
                return int(line.split()[1]) * 1024
    except OSError:
        pass
    return None
