"""Runs benchmarks one after another, and says at the end which limits hold.

    python -m benchmarks                     list them
    python -m benchmarks startup runs        run these two
    python -m benchmarks all --project DIR   run all

Each is a script of its own that also runs by itself, with more options (``python benchmarks/startup.py
--help``), and ends with exit code 1 where a limit does not hold. ``--project`` names the dataset for those
that train or read images; without it they get the demo project. ``--python`` names a Python that has
MLflow, trackio, MONAI and Supervisely's SDK, for those that compare with them. Run them on an idle machine.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

FOLDER = Path(__file__).parent


@dataclass(frozen=True)
class Benchmark:
    """A script, what it guards, and its arguments: ``PROJECT`` and ``PYTHON`` stand for what was given."""

    limit: str
    arguments: tuple[str, ...] = ()
    python_as: tuple[str, ...] = ()
    """The options by which it is told of another Python; without one it leaves the comparison out."""
    needs_python: bool = False


BENCHMARKS = {
    "startup": Benchmark("raven train list: 1.5 × Click and entry points; help of a training: 0.4 s"),
    "program": Benchmark("raven run adds at most 0.3 s"),
    "hook_cost": Benchmark("the hooks of raven run add at most 30 ms to a Python program's start"),
    "runs": Benchmark("10,000 runs are listed and filtered in time"),
    "events": Benchmark("a metric event costs 8 µs, and less than elsewhere", python_as=("--python",)),
    "formats": Benchmark("a large COCO file is imported within 200 MiB"),
    "reading": Benchmark("images and masks: 50 × from the cache", ("PROJECT",), ("--sdk",)),
    "training_start": Benchmark("the first step of a second training within 2 s", ("PROJECT",)),
    "training": Benchmark("a training keeps 0.97 of a bare loop's images/s", ("PROJECT",)),
    "precision": Benchmark("`--precision auto` takes the faster one, within 2 s", ("PROJECT",)),
    "training_memory": Benchmark("memory does not grow over 200 epochs", ("growth",)),
    "epoch": Benchmark("all but the network and augmentation: 3 % of an epoch", ("PROJECT",)),
    "sliding_window": Benchmark(
        "as fast as MONAI's sliding window", python_as=("--python",), needs_python=True
    ),
    "engines": Benchmark("OpenVINO: 2 × PyTorch in bfloat16, 1.3 (LinkNet34) and 1.05 (UNet) in float32"),
    "serving": Benchmark("a server keeps 0.9 of the network's images/s"),
    "store": Benchmark("transfers are faster than aws s3 cp and boto3"),
    "dashboard": Benchmark("pages open in half of MLflow's time", python_as=("--mlflow",)),
    "dashboard_live": Benchmark("pages show an event within 1 s, frames come within 50 ms"),
    "remote_start": Benchmark("raven run --remote adds at most 1.5 s to a Ray job"),
    "remote_folds": Benchmark("folds on two workers: 1.15 × half the time of one", ("PROJECT",)),
}
# Not run here: listing.py has no limit, quality.py takes hours, and sly_names.py reads a checkout of plugins;
# paired.py, slices.py, training_sides.py and unet_training.py are parts of the others.


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help="which to run; all for all")
    parser.add_argument("--project", type=Path, help="a project to train on (default: the demo project)")
    parser.add_argument("--python", help="a Python that has what is compared with")
    given = parser.parse_args()
    if unknown := [name for name in given.names if name not in {*BENCHMARKS, "all"}]:
        parser.error(f"{unknown[0]} is not a benchmark; there are {', '.join(BENCHMARKS)}")
    if not given.names:
        print("\n".join(f"{name:<16} {one.limit}" for name, one in BENCHMARKS.items()))
        return 0
    names = list(BENCHMARKS) if "all" in given.names else given.names
    with tempfile.TemporaryDirectory(prefix="benchmarks-") as folder:
        project = given.project or write_demo(Path(folder) / "demo")
        verdicts = {name: run(name, project, given.python) for name in names}
    print(
        "\n"
        + "\n".join(
            f"{name:<16} {verdict:<22} {BENCHMARKS[name].limit}" for name, verdict in verdicts.items()
        )
    )
    return 1 if any(verdict.startswith("NOT") for verdict in verdicts.values()) else 0


def write_demo(folder: Path) -> Path:
    """The demo project, for benchmarks that need any project."""
    subprocess.run(
        [sys.executable, "-m", "ravenml", "data", "demo", str(folder)], check=True, stdout=subprocess.DEVNULL
    )
    return folder


def run(name: str, project: Path, python: str | None) -> str:
    """Run one, with its output on ours, and say whether its limits hold."""
    one = BENCHMARKS[name]
    if one.needs_python and python is None:
        return "left out (--python)"
    arguments = [str(project) if part == "PROJECT" else part for part in one.arguments]
    if python:
        arguments += [part for option in one.python_as for part in (option, python)]
    print(f"\n== {name}: {one.limit}", flush=True)
    begin = time.monotonic()
    code = subprocess.run([sys.executable, str(FOLDER / f"{name}.py"), *arguments]).returncode
    seconds = time.monotonic() - begin
    return f"{'holds' if code == 0 else f'NOT KEPT (exit {code})'}, {seconds:.0f} s"


if __name__ == "__main__":
    sys.exit(main())
