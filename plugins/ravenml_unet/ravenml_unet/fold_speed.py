"""How many folds of a k-fold training are fastest at the same time on this machine's cores.

Two cores train two folds side by side faster than one fold after another on both, whose threads wait for each
other after every layer; how much depends on the network, the images and the machine.  PyTorch is imported in
processes of their own: whoever watches over the folds does not need it.
"""

from __future__ import annotations

import json
import math
import os
import resource
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from contextlib import ExitStack
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, Self

from ravenml.config.machine import THREAD_VARIABLES, remember, usable_cores
from ravenml.toolkit.memory import available_memory
from ravenml_unet.classes import choose_classes
from ravenml_unet.models.registry import ARCHITECTURES

if TYPE_CHECKING:
    from ravenml.data.project import Project
    from ravenml_unet.settings import UNetSettings

WORTH = 1.05  # how much faster they must be together: they need more memory
ROUNDS = 4
ALONE = 0.8  # the share of the cores that a measurement must have had to be kept
PATIENCE = 120  # seconds for a measurement that usually takes ten


def fastest_parallel_folds(settings: UNetSettings, project: Project, folds: int) -> int:
    """As many folds as there are cores if they are faster together, and as memory has room for; else 1.

    It is measured once for each network and size, while the machine has no other work.  Networks of
    somebody's own are trained one after another.
    """
    count = min(folds, usable_cores())
    if count < 2 or settings.model not in ARCHITECTURES or settings.device not in ("auto", "cpu"):
        return 1
    about = {
        "torch": version("torch"),
        "shape": {
            "architecture": settings.model,
            "classes": len(choose_classes(project, settings)),
            "batch": settings.batch_size.train,
            "width": settings.input_size.width,
            "height": settings.input_size.height,
        },
        "precision": settings.precision,
        "device": settings.device,
        "count": count,
    }
    try:
        found = remember("parallel_folds", about, lambda: _measure(about))
        rounds = math.ceil(folds / count)  # the last of which may have fewer folds than cores
        faster = rounds * found["together"] * WORTH < folds / count * found["in_turn"]
        room = available_memory() // found["memory"]
    except (OSError, ValueError, TypeError, LookupError, ArithmeticError, subprocess.SubprocessError):
        return 1  # the training itself says what is wrong
    return max(1, min(count, room)) if faster else 1


def _measure(about: Mapping[str, Any]) -> dict[str, Any]:
    line = "Measuring how many folds are the fastest at once, for some seconds; --jobs 1 skips this."
    print(line, file=sys.stderr, flush=True)
    return measure_folds(about)


def measure_folds(about: Mapping[str, Any]) -> dict[str, Any]:
    """Measure a step of each of several folds, at the same time and one after another.

    As in a training, each fold is a process with its share of the cores.

    Returns:
        ``together`` and ``in_turn`` (seconds), and ``memory``, the bytes that a fold needs, roughly.

    Raises:
        ValueError: the machine has other work, or the steps are not computed by its processor.
    """
    count, cores = int(about["count"]), usable_cores()
    with ExitStack() as stack:
        folds = [stack.enter_context(_Fold(about, max(1, cores // count))) for _ in range(count)]
        alone = stack.enter_context(_Fold(about, cores))
        for one in (alone, *folds):
            if (device := one.answer()["device"]) != "cpu":
                raise ValueError(f"the folds would share one {device}")
        together, in_turn, share, memory = math.inf, math.inf, 0.0, 0
        for number in range(1 + ROUNDS):  # in the first one, the library generates its code
            begun = time.perf_counter()
            for one in folds:
                one.ask()
            said = [one.answer() for one in folds]
            took = time.perf_counter() - begun
            for _ in range(count):
                alone.ask()
                alone.answer()
            if number:
                together, in_turn = min(together, took), min(in_turn, time.perf_counter() - begun - took)
                share = max(share, min(one["busy"] for one in said) / took)
                memory = max(one["memory"] for one in said)
    if share < ALONE:
        raise ValueError("the machine is busy, so that this says nothing about it")
    return {"together": together, "in_turn": in_turn, "memory": memory}


class _Fold:
    """A process that computes a step each time it is asked to."""

    def __init__(self, about: Mapping[str, Any], threads: int) -> None:
        shared = dict.fromkeys(THREAD_VARIABLES, str(threads))
        command = [sys.executable, "-m", __name__, json.dumps(dict(about))]
        pipe = subprocess.PIPE
        self._process = subprocess.Popen(
            command, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL, text=True, env=os.environ | shared
        )
        self._overdue = threading.Timer(PATIENCE, self._process.kill)
        self._overdue.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._overdue.cancel()
        self._process.kill()
        self._process.communicate()

    def ask(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write("step\n")
        self._process.stdin.flush()

    def answer(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if line.startswith("{"):  # and not what a library prints
                found: dict[str, Any] = json.loads(line)
                return found
        raise ValueError("a test step failed")


def main() -> None:
    """Be a :class:`_Fold`: say where steps are computed, then compute one for each line that comes."""
    from ravenml_unet.autotune import StepShape, make_timed_step
    from ravenml_unet.device import choose_device, choose_execution

    about = json.loads(sys.argv[1])
    device, shape = choose_device(about["device"]), StepShape(**about["shape"])
    step = make_timed_step(shape, choose_execution(about["precision"], device, shape))
    before = _most_memory()
    print(json.dumps({"device": device}), flush=True)
    for _ in sys.stdin:
        begun = time.thread_time()
        step.run()
        busy, grown = time.thread_time() - begun, _most_memory() - before
        memory = int(before + step.scale * grown + 8 * step.parameters)  # and the optimizer's averages
        print(json.dumps({"busy": busy, "memory": memory}), flush=True)


def _most_memory() -> int:
    """Bytes of memory that this process has had at most."""
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


if __name__ == "__main__":
    main()
