"""Long measurements side by side: all under way at once, and all but one of them stopped at any moment.

Where one measurement takes many minutes, the machine's speed changes between one and the next by more than
what is to be shown.  Here each gets the machine for some seconds, in turn, until all have ended; the others'
processes are stopped (SIGSTOP) meanwhile, with all that they have started, and use no processor.  A side's
time is the sum of its own slices.

What a side has written and is not on the disk yet goes there between the slices, on nobody's account, so that
no side waits for another's.  What sleeps while it is stopped sleeps on, so a slice that ends within a wait
makes that wait look shorter: with slices far longer than the waits that matter, by a small part of one wait a
slice.  What a program does by the clock it does too often: tell it a number of steps instead.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass

import psutil

_LOOK = 0.1  # seconds


@dataclass
class Side:
    """One measurement.

    Attributes:
        begin: starts it, without waiting for it.
        ended: whether it has ended; asked ten times a second.
        roots: the processes that it consists of, with all their descendants; only living ones.
        end: kills it, where another side has failed.
        share: the length of its slices, as a multiple of the others'.
    """

    begin: Callable[[], None]
    ended: Callable[[], bool]
    roots: Callable[[], Iterable[int]]
    end: Callable[[], None]
    share: float = 1.0


def in_slices(sides: Mapping[str, Side], seconds: float) -> dict[str, float]:
    """Run all sides to their ends, a slice of each after another.

    Args:
        sides: by name; the first begins.  All are running again when this returns.
        seconds: the length of a slice whose side has the share 1.

    Returns:
        Seconds of wall-clock time that each side has had.
    """
    spent = dict.fromkeys(sides, 0.0)
    left = dict(sides)
    for side in left.values():
        _signal_all(side.roots(), signal.SIGSTOP)
    try:
        while left:
            for name, side in [*left.items()]:
                begin = time.perf_counter()
                _signal_all(side.roots(), signal.SIGCONT)
                if not spent[name]:
                    side.begin()
                while not (over := side.ended()) and time.perf_counter() - begin < seconds * side.share:
                    time.sleep(_LOOK)
                spent[name] += time.perf_counter() - begin
                _signal_all(side.roots(), signal.SIGSTOP)
                os.sync()
                if over:
                    del left[name]
    finally:
        for name, side in sides.items():
            if name in left:
                side.end()
            _signal_all(side.roots(), signal.SIGCONT)
    return spent


def kill_all(roots: Iterable[int]) -> None:
    """End processes and all their descendants."""
    _signal_all(roots, signal.SIGKILL)


def _signal_all(roots: Iterable[int], number: signal.Signals) -> None:
    """Send a signal to processes and all their descendants, also to those that are just being started."""
    told: set[int] = set()
    while found := [one for one in _with_descendants(roots) if one.pid not in told]:
        for one in found:
            with suppress(psutil.Error):
                one.send_signal(number)
            told.add(one.pid)


def _with_descendants(roots: Iterable[int]) -> list[psutil.Process]:
    processes: list[psutil.Process] = []
    for pid in roots:
        with suppress(psutil.Error):
            root = psutil.Process(pid)
            processes += [root, *root.children(recursive=True)]
    return processes
