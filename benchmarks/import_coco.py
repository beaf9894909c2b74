"""How long the import of a COCO file takes, and how much memory, beside an earlier version of the code.

    python benchmarks/import_coco.py
    git worktree add --detach ../before COMMIT
    python benchmarks/import_coco.py --before ../before --annotations 1000000 --images 20000

The two sides take turns, each import as a process of its own into a new folder.  Printed are the medians of
the paired ratios of time and of processor time, each side's largest peak of memory, and how busy the machine
was.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from formats import write_source
from paired import interleave, load, median_ratio

REPOSITORY = Path(__file__).resolve().parent.parent


@dataclass
class Used:
    """What the imports of one side took: the processor's seconds, and the peaks of memory in MiB."""

    processor: list[float] = field(default_factory=list)
    memory: list[float] = field(default_factory=list)


def import_once(code: Path, source: Path, folder: Path, noted: Used) -> None:
    """Import with the code of a checkout."""
    project = folder / "project"
    command = [sys.executable, "-m", "ravenml", "data", "import", "coco", source, project]
    command += ["--images", source.parent / "images"]
    environment = {**os.environ, "PYTHONPATH": str(code)}
    process = subprocess.Popen(command, cwd=code, env=environment, stdout=subprocess.DEVNULL)
    _, status, used = os.wait4(process.pid, 0)
    if status:
        sys.exit(f"The import by {code} ended with {os.waitstatus_to_exitcode(status)}.")
    noted.processor.append(used.ru_utime + used.ru_stime)
    noted.memory.append(used.ru_maxrss / 1024)
    shutil.rmtree(project)


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    options.add_argument("--annotations", type=int, default=20_000)
    options.add_argument("--images", type=int, default=500)
    options.add_argument("--rounds", type=int, default=3)
    options.add_argument("--before", type=Path, help="a checkout of the code to compare with")
    given = options.parse_args()
    checkouts = {"now": REPOSITORY}
    if given.before is not None:
        checkouts["before"] = given.before.resolve()
    used = {name: Used() for name in checkouts}
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        source = write_source(folder / "source", given.images, given.annotations)
        size = source.stat().st_size / 2**20
        print(f"{given.annotations:,} annotations of {given.images:,} images, {size:.0f} MiB of JSON")
        sides = {
            name: partial(import_once, code, source, folder, used[name]) for name, code in checkouts.items()
        }
        seconds = interleave(sides, given.rounds, warm_up=0)
    for name, values in seconds.items():
        times = "; ".join(f"{a:.1f} s ({b:.1f} s)" for a, b in zip(values, used[name].processor, strict=True))
        print(f"{name:6}  {times} of processor; peak memory {max(used[name].memory):.0f} MiB")
    if given.before is not None:
        ratio = median_ratio(seconds["now"], seconds["before"])
        busy = median_ratio(used["now"].processor, used["before"].processor)
        print(f"now / before: {ratio:.3f} in time, {busy:.3f} in processor time")
    print(load())


if __name__ == "__main__":
    main()
