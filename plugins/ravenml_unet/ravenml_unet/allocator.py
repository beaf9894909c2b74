"""What a training on the processor asks of the C library's allocator."""

from __future__ import annotations

import ctypes
import sys

# Of glibc's malloc.h.
_TRIM_THRESHOLD, _TOP_PAD, _MMAP_THRESHOLD = -1, -2, -3
_NEVER = 2**31 - 1  # the largest value that mallopt takes


def keep_freed_memory() -> bool:
    """Have this process keep the memory that one step frees for the next one.

    Every step needs tensors of the same tens of MiB again.  By default glibc hands them back to the system
    and asks for them anew, and their pages are cleared again: tens of thousands of page faults a step.

    Returns:
        False where there is no glibc; nothing is changed then.
    """
    if not sys.platform.startswith("linux"):
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError):  # musl has none
        return False
    wanted = {_MMAP_THRESHOLD: 1 << 30, _TRIM_THRESHOLD: _NEVER, _TOP_PAD: 64 << 20}
    return all([mallopt(name, value) for name, value in wanted.items()])
