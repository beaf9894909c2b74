"""How soon a second training on the same data does its first step.

    python benchmarks/training_start.py PROJECT [--rounds 5]

A training of the vanilla U-Net with augmentation at 128×96 is started again and again, each time in a new
process, after a first one that fills the cache of decoded images.  Counted is from the end of the plugin's
import (which brings torch and Fabric) to the first step's begin, at most 2 s, and to its end.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from paired import load

LIMIT = 2.0


def child(project: str, home: str, name: str) -> None:
    """Import, train, and stop after the first step; prints three times in seconds."""
    begin = time.perf_counter()
    from unet_training import train

    from ravenml.data.project import Project
    from ravenml_unet.loop import TrainingLoop
    from ravenml_unet.settings import UNetSettings

    imported = time.perf_counter()
    settings = {"input_size": {"width": 128, "height": 96}, "augmentations": "colour+rotate+crop"}
    step = TrainingLoop.learn

    def first_step(*arguments: object) -> None:
        begun = time.perf_counter()
        step(*arguments)  # type: ignore[arg-type]
        done = time.perf_counter()
        print(imported - begin, begun - imported, done - imported, flush=True)
        os._exit(0)

    TrainingLoop.learn = first_step  # type: ignore[method-assign,assignment]
    train(UNetSettings.model_validate(settings), lambda: Project.open(Path(project)), Path(home) / name)


def main() -> int:
    if sys.argv[1:2] == ["--child"]:
        child(*sys.argv[2:])
        return 0
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("project", type=Path)
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args()
    print(f"before: {load()}")
    times = []
    with tempfile.TemporaryDirectory(prefix="ravenml-bench-") as home:
        for number in range(1 + given.rounds):
            done = subprocess.run(
                [sys.executable, __file__, "--child", str(given.project), home, f"run{number}"],
                env={**os.environ, "RAVENML_STORAGE_PATH": home},
                check=True,
                capture_output=True,
                text=True,
            )
            times.append([float(word) for word in done.stdout.split()])
    print(f"after: {load()}")
    for name, values in (("first training", times[:1]), (f"{given.rounds} later ones, median", times[1:])):
        imports, begun, done_at = (statistics.median(column) for column in zip(*values, strict=True))
        print(
            f"{name}: import {imports:.2f} s; from there to the first step's begin {begun:.2f} s, its end "
            f"{done_at:.2f} s"
        )
    kept = begun <= LIMIT
    print(f"{'Within' if kept else 'NOT within'} the limit of {LIMIT:g} s.")
    return 0 if kept else 1


if __name__ == "__main__":
    sys.exit(main())
