"""Whether a training's memory grows over its epochs, and whether more data than memory can be trained on.

    python benchmarks/training_memory.py growth [--epochs 200]
    python benchmarks/training_memory.py large [--gib 1] [--bound-gib 0.75]

``growth`` trains a tiny network with all that an epoch may bring (augmentation, validation, previews,
checkpoints, best weights) and prints the memory that the process alone holds, epoch after epoch; it may not
grow by more than 16 MiB from the twentieth epoch on.

``large`` trains on images that take more memory than the process may have.  Its data segment is limited
(RLIMIT_DATA, which counts what a process allocates and not the files that it maps) to what it has before the
training and the bound; what is not kept in memory is read from the cache on the disk each time.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import unet_training
from paired import load

from ravenml.common.io import write_json
from ravenml.data.demo import write_demo
from ravenml.data.images import encode_png
from ravenml.data.project import Project
from ravenml.runs.run import Run
from ravenml_unet.settings import UNetSettings

MIB = 1 << 20
SIDE = 512  # pixels of the large project's images
SETTLED = 20  # epochs until all code and all buffers are in memory
MOST_GROWTH = 16 * MIB


def status(field: str) -> int:
    """A field of the process's own status, in bytes."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(field):
            return int(line.split()[1]) * 1024
    raise SystemExit("This measurement needs Linux's /proc.")


def own_memory() -> int:
    """Bytes that the process alone holds: resident, and no file's."""
    return status("RssAnon:")


class WatchedRun(Run):
    """Writes down the memory at each epoch's end."""

    seen: list[int]

    def progress(self, subtask: str, current: int, total: int, **extra: Any) -> None:
        super().progress(subtask, current, total, **extra)
        if subtask == "Epoch":
            self.seen.append(own_memory())


def train(project: Project, home: Path, **settings: Any) -> list[int]:
    """Train; the process's own memory before the first epoch and after each."""
    WatchedRun.seen = []
    os.environ["RAVENML_STORAGE_PATH"] = str(home)
    told = UNetSettings.model_validate({"model": "training_sides:Tiny", "device": "cpu", **settings})
    unet_training.train(told, lambda: project, home / "run", WatchedRun)
    return WatchedRun.seen


def measure_growth(epochs: int) -> bool:
    """Print the memory over many epochs; False where it grows."""
    with tempfile.TemporaryDirectory(prefix="ravenml-bench-") as folder:
        project = write_demo(Path(folder) / "demo", images=12)
        seen = train(
            project,
            Path(folder),
            epochs=epochs,
            input_size={"width": 64, "height": 64},
            batch_size={"train": 2, "val": 2},
            augmentations="colour+rotate+crop+fliplr+flipud",
            val_every=0.5,
            metrics_period=2,
        )
    for epoch in [0, 1, 2, 5, 10, *range(SETTLED, epochs, max(SETTLED, epochs // 10)), epochs]:
        print(f"  after epoch {epoch:4}: {seen[epoch] / MIB:7.1f} MiB")
    grown = np.median(seen[-10:]) - np.median(seen[SETTLED : SETTLED + 10])
    kept = bool(grown <= MOST_GROWTH)
    print(
        f"It grew by {grown / MIB:.1f} MiB from the {SETTLED}th epoch on "
        f"({'within' if kept else 'NOT within'} {MOST_GROWTH / MIB:g})."
    )
    return kept


def write_large_project(root: Path, gib: float, side: int = SIDE) -> Project:
    """Images with a rectangle each, ``gib`` GiB of them when decoded, and next to nothing as files.

    The picture is the same in all but for a pixel with its number, as equal images are not split; the
    rectangles differ, and with them what the cache holds.
    """
    images = round(gib * 1024 * MIB / (4 * side * side))
    classes = [{"title": "box", "shape": "rectangle", "color": "#FF0000"}]
    for name in ("img", "ann"):
        (root / "all" / name).mkdir(parents=True)
    write_json(root / "meta.json", {"classes": classes, "tags": [], "projectType": "images"})
    picture = np.zeros((side, side, 3), np.uint8)
    picture[::64] = 200
    for number in range(images):
        picture[0, 0] = np.frombuffer(number.to_bytes(3, "big"), np.uint8)
        (root / "all" / "img" / f"{number:05d}.png").write_bytes(encode_png(picture))
        corners = [[number % 400, number // 400], [number % 400 + 100, 300]]
        box = {
            "classTitle": "box",
            "geometryType": "rectangle",
            "tags": [],
            "points": {"exterior": corners, "interior": []},
        }
        size = {"height": side, "width": side}
        annotation = {"description": "", "tags": [], "size": size, "objects": [box]}
        (root / "all" / "ann" / f"{number:05d}.png.json").write_text(json.dumps(annotation))
    return Project.open(root)


def measure_large(gib: float, bound_gib: float, place: Path | None) -> bool:
    """Train on ``gib`` GiB of decoded images in ``bound_gib`` GiB of memory; False where that fails."""
    with tempfile.TemporaryDirectory(prefix="ravenml-bench-", dir=place) as folder:
        project = write_large_project(Path(folder) / "large", gib)
        allocated, before = status("VmData:"), own_memory()
        bound = allocated + round(bound_gib * 1024 * MIB)
        resource.setrlimit(resource.RLIMIT_DATA, (bound, bound))
        seen = train(
            project,
            Path(folder),
            epochs=2,
            input_size={"width": SIDE, "height": SIDE},
            batch_size={"train": 2, "val": 2},
            val_every=2,
            previews=0,
        )
    grown = max(seen) - before
    print(
        f"{len(project.items)} images, {gib:g} GiB at the size of training, trained in a process that might "
        f"allocate {bound_gib:g} GiB: it took {grown / MIB:.0f} MiB of its own at most between epochs."
    )
    return grown < gib * 1024 * MIB


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("what", choices=["growth", "large"])
    parser.add_argument("--epochs", type=int, default=200)
    parser.add_argument("--gib", type=float, default=1.0)
    parser.add_argument("--bound-gib", type=float, default=0.75)
    parser.add_argument("--place", type=Path, help="a folder with room for the images and their cache")
    given = parser.parse_args()
    print(f"before: {load()}")
    if given.what == "growth":
        kept = measure_growth(given.epochs)
    else:
        kept = measure_large(given.gib, given.bound_gib, given.place)
    print(f"after: {load()}")
    return 0 if kept else 1


if __name__ == "__main__":
    sys.exit(main())
