"""Timing two or more things side by side, so that a busy machine does not favour one of them.

The sides take turns, in an order that alternates from round to round, and what is reported is the median over
the rounds of each round's own ratio: whatever slows the machine for a while slows both halves of a pair.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence


def waiting_process(command: Sequence[str]) -> Callable[[], None]:
    """Start a process that does one measurement's work each time the returned function is called.

    The process prints ``ready`` when it is, reads a line before each piece of work, and prints ``done`` after
    it; whatever else it prints is passed over.  Between two pieces it waits and uses no processor.
    """
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    ask, answer = process.stdin, process.stdout
    assert ask is not None and answer is not None

    def wait_for(word: str) -> None:
        while (line := answer.readline()).strip() != word:
            if not line:
                sys.exit(f"Not {word}: {' '.join(command)[:300]} ended with {process.wait()}.")

    def once() -> None:
        ask.write("go\n")
        ask.flush()
        wait_for("done")

    wait_for("ready")
    return once


def interleave(
    sides: Mapping[str, Callable[[], object]], rounds: int, warm_up: int = 1
) -> dict[str, list[float]]:
    """Call every side once a round and time it.

    Args:
        sides: what is timed, by name; each call is one whole measurement.
        rounds: how many measurements are kept of each side.
        warm_up: rounds before those, which fill caches and are not kept.

    Returns:
        Wall-clock seconds, one value a round; the n-th values of all sides belong together.
    """
    seconds: dict[str, list[float]] = {name: [] for name in sides}
    for number in range(-warm_up, rounds):
        order = list(sides) if number % 2 else list(reversed(sides))
        for name in order:
            begin = time.perf_counter()
            sides[name]()
            if number >= 0:
                seconds[name].append(time.perf_counter() - begin)
    return seconds


def median_ratio(side: list[float], baseline: list[float]) -> float:
    """The median of the paired ratios side / baseline; above 1 the side is slower."""
    return statistics.median(a / b for a, b in zip(side, baseline, strict=True))


def load() -> str:
    """How busy the machine has been, in words: load averages and the number of CPUs."""
    one, five, _ = os.getloadavg()
    return f"load average {one:.2f} (1 min) {five:.2f} (5 min) on {os.cpu_count()} CPUs"


def report(seconds: Mapping[str, list[float]], baseline: str, limit: float | None = None) -> bool:
    """Print a line for each side, and say whether every side stays below ``limit`` times the baseline.

    Returns:
        True if there is no limit or all sides keep it.
    """
    width = max(map(len, seconds))
    print(f"{'':{width}}  {'median':>9}  {'fastest':>9}  {'slowest':>9}  ratio")
    kept = True
    for name, values in seconds.items():
        ratio = median_ratio(values, seconds[baseline])
        figures = (statistics.median(values), min(values), max(values))
        verdict = "(baseline)" if name == baseline else f"{ratio:.3f}"
        if limit is not None and name != baseline:
            kept &= ratio <= limit
            verdict += f"  {'within' if ratio <= limit else 'ABOVE'} the limit of {limit:g}"
        print(
            f"{name:{width}}  " + "  ".join(f"{1000 * value:6.1f} ms" for value in figures) + f"  {verdict}"
        )
    return kept
