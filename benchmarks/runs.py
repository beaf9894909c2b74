"""How long `raven runs list` and a filter take with 10,000 runs in the home.

    python benchmarks/runs.py [--runs 10000] [--rounds 7]

Writes a home of its own with runs as the U-Net plugin leaves them (a record of about 12 kB with all settings,
packages and scores, events, a note on every tenth; a hundredth of them without a result, so that their status
has to be derived) and times, as processes of their own, start-up included:

- the first listing, which reads every run and builds the index;
- ``raven runs list``, and a filter by a score and a setting, with the index as it is;
- the same filter after one run in a hundred has changed.

The limit for all but the first is one second.  Beside them stands the bare Python that imports click.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from paired import load

LIMIT = 1.0  # seconds
CLASSES = [f"class_{number}" for number in range(11)]
LIST = ["runs", "list"]
FILTER = ["runs", "list", "--where", "val/miou>0.9 and lr<=0.01", "--tag", "good"]


def write_runs(home: Path, count: int) -> None:
    """Write ``count`` runs into ``home``, always the same ones."""
    chance = random.Random(0)
    packages = {f"package-{number}": f"{number}.{number % 7}.1" for number in range(160)}
    for number in range(count):
        stamp = time.strftime("%Y%m%d-%H%M%S", time.gmtime(1_700_000_000 + 600 * number))
        name = f"{stamp}-{number:06d}"
        folder = home / "runs" / name
        folder.mkdir(parents=True)
        (folder / "run.json").write_text(json.dumps(record(name, number, chance, packages), indent=2))
        line = {"event_type": "EventType.METRICS", "type": "val", "epoch": 1, "metrics": scores(chance)}
        (folder / "events.jsonl").write_text((json.dumps(line) + "\n") * 5)
        (folder / "run.lock").write_text("1\n")
        if number % 10 == 0:
            notes = {"v": 1, "tags": ["good"] if number % 20 else ["bad"], "note": "looked at"}
            (folder / "notes.json").write_text(json.dumps(notes))


def scores(chance: random.Random) -> dict[str, float]:
    """Scores as a segmentation has them, one per class among them."""
    names = ["loss", "miou", "mdice", "miou_fg", "mdice_fg", "pixel_accuracy"]
    return {name: chance.random() for name in [*names, *(f"iou/{c}" for c in CLASSES)]}


def record(name: str, number: int, chance: random.Random, packages: dict[str, str]) -> dict[str, object]:
    """A ``run.json``."""
    created = f"{name[:4]}-{name[4:6]}-{name[6:8]}T{name[9:11]}:{name[11:13]}:{name[13:15]}.000Z"
    settings = {
        **{"model": "UNet", "lr": 10 ** chance.uniform(-4, 0), "epochs": 20, "optimizer": "AdamW"},
        **{"input_size": {"width": 256, "height": 256}, "batch_size": {"train": 8, "val": 8}},
        **{f"setting_{n}": n / 7 for n in range(36)},
    }
    config = {"v": 1, "dataset": "demo", "kfold": None, "jobs": 1, "split_seed": 0, "plugin": settings}
    metrics = {f"val/{key}": value for key, value in scores(chance).items()}
    result = {"status": "completed", "finished": created, "metrics": metrics, "model": "model-state.tar"}
    return {
        **{"v": 1, "id": name, "created": created, "plugin": "unet", "plugin_version": "1.0"},
        "command": ["raven", "train", "--dataset", "demo", "unet", "train"],
        "config": config,
        "dataset": {"name": "demo", "path": "/data/demo", "images": 240},
        "provenance": {"python": "3.11.8", "packages": packages, "code": {}, "machine": {"cores": 2}},
        "attempts": [{"started": created}],
        "process": {"host": socket.gethostname(), "pid": 1},
        "result": None if number % 100 == 0 else result,
    }


def change(home: Path, share: int) -> None:
    """Write the record of every ``share``-th run anew, as a training does."""
    for folder in sorted((home / "runs").iterdir())[::share]:
        content = (folder / "run.json").read_bytes()
        (folder / "new").write_bytes(content)
        os.replace(folder / "new", folder / "run.json")


def seconds(command: list[str], home: Path) -> tuple[float, int]:
    """How long ``command`` took, and how many lines it printed."""
    begin = time.perf_counter()
    environment = {**os.environ, "RAVENML_STORAGE_PATH": str(home)}
    done = subprocess.run(command, check=True, capture_output=True, env=environment)
    return time.perf_counter() - begin, len(done.stdout.splitlines())


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--runs", type=int, default=10_000, help="how many runs (10000)")
    parser.add_argument("--rounds", type=int, default=7, help="measurements of each kind (7)")
    chosen = parser.parse_args()
    home = Path(tempfile.mkdtemp())
    raven = [sys.executable, "-m", "ravenml"]
    bare = [sys.executable, "-c", "import click"]
    index = home / "cache" / "runs-index.json"
    kinds: dict[str, tuple[list[str], Callable[[], object]]] = {
        "python that imports click": (bare, lambda: None),
        "list, no index yet": ([*raven, *LIST], lambda: index.unlink(missing_ok=True)),
        "list": ([*raven, *LIST], lambda: None),
        "filter": ([*raven, *FILTER], lambda: None),
        "filter, 1 % changed": ([*raven, *FILTER], lambda: change(home, 100)),
    }
    try:
        print(f"Writing {chosen.runs:,} runs.")
        write_runs(home, chosen.runs)
        print(f"before: {load()}\n{'':26s}  {'median':>9}  {'fastest':>9}  {'slowest':>9}  lines")
        kept = True
        for name, (command, prepare) in kinds.items():
            rounds = 2 if "no index" in name else chosen.rounds
            taken = []
            for _ in range(rounds):
                prepare()
                took, lines = seconds(command, home)
                taken.append(took)
            middle = statistics.median(taken)
            verdict = ""
            if name.startswith(("list", "filter")) and "no index" not in name:
                kept &= middle <= LIMIT
                verdict = f"  {'within' if middle <= LIMIT else 'ABOVE'} the limit of {LIMIT:g} s"
            figures = "  ".join(f"{1000 * value:6.0f} ms" for value in (middle, min(taken), max(taken)))
            print(f"{name:26s}  {figures}  {lines:5d}{verdict}")
        print(f"after: {load()}; the index has {index.stat().st_size / 2**20:.1f} MiB")
        return 0 if kept else 1
    finally:
        shutil.rmtree(home)


if __name__ == "__main__":
    sys.exit(main())
