"""What trainings and predictions on the processor ask of the C library's allocator."""

from __future__ import annotations

import ctypes
import functools
import sys

# Of glibc's malloc.h.
_TRIM_THRESHOLD, _TOP_PAD, _MMAP_THRESHOLD = -1, -2, -3
_NEVER = 2**31 - 1  # the largest value that mallopt takes


@functools.cache
def keep_some_freed_memory() -> bool:
    """`keep_freed_memory` for predictions, which go on for days beside others' work: about 256 MiB at most.

    Blocks of more than 32 MiB, such as a large image, are asked of the system where none is free, and handed
    back.  A window's tensors are smaller.
    """
    return _keep(32 << 20, 256 << 20)


def keep_freed_memory() -> bool:
    """Have this process keep the memory that one step frees for the next one.

    Every step needs tensors of the same tens of MiB again.  By default glibc hands them back to the system
    and asks for them again, and their pages are cleared again: tens of thousands of page faults a step.

    Returns:
        False where there is no glibc; nothing is changed then.
    """
    return _keep(1 << 30, _NEVER)


def _keep(block: int, most: int) -> bool:
    if not sys.platform.startswith("linux"):
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError):  # musl has none
        return False
    wanted = {_MMAP_THRESHOLD: block, _TRIM_THRESHOLD: most, _TOP_PAD: 64 << 20}
    return all([mallopt(name, value) for name, value in wanted.items()])
