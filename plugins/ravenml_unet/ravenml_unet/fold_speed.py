"""How many folds of a k-fold training are fastest at the same time on this machine's cores.

Two cores train two folds side by side faster than one fold after another on both, whose threads wait for each
other after every layer; how much depends on the network, the images and the machine.  PyTorch is imported in
a process of its own: whoever watches over the folds does not need it.
"""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ravenml.config.machine import remember, usable_cores
from ravenml.toolkit.memory import available_memory
from ravenml_unet.classes import choose_classes
from ravenml_unet.models.registry import ARCHITECTURES

if TYPE_CHECKING:
    from ravenml.data.project import Project
    from ravenml_unet.settings import UNetSettings

WORTH = 1.05  # how much faster they must be together: they need more memory
ALONE = 0.8  # the share of the cores that a measurement must have had to be kept
PATIENCE = 120  # seconds for a measurement that usually takes five


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
        "gpus": [os.environ.get("CUDA_VISIBLE_DEVICES"), Path("/dev/nvidiactl").exists()],
    }
    try:
        found = remember("parallel_folds", about, lambda: _measure_elsewhere(about))
        rounds = math.ceil(folds / count)  # the last of which may have fewer folds than cores
        faster = rounds * found["together"] * WORTH < folds / count * found["in_turn"]
        room = available_memory() // found["memory"]
    except (OSError, ValueError, TypeError, LookupError, ArithmeticError, subprocess.SubprocessError):
        return 1  # the training itself says what is wrong
    return max(1, min(count, room)) if faster else 1


def _measure_elsewhere(about: dict[str, Any]) -> dict[str, Any]:
    command = [sys.executable, "-m", __name__, json.dumps(about)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=True)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    if found["share"] < ALONE:
        raise ValueError("the machine is busy, so that this says nothing about it")
    return found


def main() -> None:
    """Measure what the argument describes, and print it as a line of JSON."""
    from ravenml_unet.autotune import StepShape, measure_folds
    from ravenml_unet.device import choose_device, choose_execution

    about = json.loads(sys.argv[1])
    device, shape = choose_device(about["device"]), StepShape(**about["shape"])
    if device == "cpu":
        found = measure_folds(shape, choose_execution(about["precision"], device, shape), about["count"])
    else:
        found = {"together": 1.0, "in_turn": 1.0, "memory": 1, "share": 1.0}  # they would share one GPU
    print(json.dumps(found))


if __name__ == "__main__":
    main()
