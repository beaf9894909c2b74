"""How much memory and time the import of a large COCO file takes.

    python benchmarks/formats.py --annotations 1000000 --images 20000

writes a COCO file with polygons, boxes and masks of random shapes (and as many links to one picture) into a
temporary folder, imports it in a process of its own, and prints the peak of that process's memory, as the
system counts it, and the time. The limit is 200 MiB. `--again` imports once more, and finds all done.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import cv2
import numpy as np

HEIGHT, WIDTH = 480, 640
_OUTLINES = 5000  # that differ
LIMIT = 200.0  # MiB, whatever the size of the file


def write_source(folder: Path, images: int, annotations: int) -> Path:
    """A COCO file whose annotations are in random order of their images, as COCO's own are."""
    (folder / "images").mkdir(parents=True)
    picture = folder / "picture.png"
    picture.write_bytes(bytes(cv2.imencode(".png", np.full((HEIGHT, WIDTH, 3), 90, np.uint8))[1]))
    random = np.random.default_rng(0)
    path = folder / "instances.json"
    with path.open("w") as file:
        file.write('{"images": [\n')
        for number in range(images):
            name = f"{number:012d}.png"
            os.symlink(picture, folder / "images" / name)
            entry = {"id": number, "file_name": name, "height": HEIGHT, "width": WIDTH}
            file.write(f"{json.dumps(entry)}{',' if number < images - 1 else ''}\n")
        categories = [{"id": number, "name": f"class {number}"} for number in range(1, 81)]
        file.write(f'],\n"categories": {json.dumps(categories)},\n"annotations": [\n')
        outlines = [_outline(random, number % 10 > 0) for number in range(min(annotations, _OUTLINES))]
        owners = random.integers(images, size=annotations).tolist()
        titles = random.integers(1, 81, size=annotations).tolist()
        for number, (owner, title) in enumerate(zip(owners, titles, strict=True)):
            ids = f'"id": {number}, "image_id": {owner}, "category_id": {title}'
            ending = "," if number < annotations - 1 else ""
            file.write(f"{{{ids}, {outlines[number % _OUTLINES]}}}{ending}\n")
        file.write("]}\n")
    return path


def _outline(random: np.random.Generator, segmented: bool) -> str:
    """The fields of an annotation that tell its shape, as JSON without its braces."""
    corners = int(random.integers(8, 40))
    angles = np.sort(random.random(corners)) * 2 * np.pi
    radius = random.random() * 60 + 10
    x = random.random() * (WIDTH - 2 * radius) + radius + radius * np.cos(angles)
    y = random.random() * (HEIGHT - 2 * radius) + radius + radius * np.sin(angles)
    ring = np.round(np.stack([x, y], axis=1), 2)
    left, top = ring.min(axis=0).tolist()
    width, height = np.ptp(ring, axis=0).round(2).tolist()
    entry = {
        "segmentation": [ring.reshape(-1).tolist()] if segmented else [],
        "bbox": [left, top, width, height],
        "area": round(width * height, 2),
        "iscrowd": 0,
    }
    return json.dumps(entry)[1:-1]


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    options.add_argument("--annotations", type=int, default=50_000)
    options.add_argument("--images", type=int, default=1_000)
    options.add_argument("--again", action="store_true", help="import twice")
    given = options.parse_args()
    worst = 0.0
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        path = write_source(root / "source", given.images, given.annotations)
        size = path.stat().st_size / 2**20
        print(
            f"{given.annotations:,} annotations of {given.images:,} images, {size:.0f} MiB of JSON",
            flush=True,
        )
        for _ in range(2 if given.again else 1):
            command = [sys.executable, "-m", "ravenml", "data", "import", "coco", path, root / "project"]
            command += ["--images", root / "source" / "images"]
            began = time.monotonic()
            process = subprocess.Popen(command)
            _, status, used = os.wait4(process.pid, 0)
            seconds = time.monotonic() - began
            assert status == 0, status
            processor = used.ru_utime + used.ru_stime
            memory, rate = used.ru_maxrss / 1024, given.annotations / seconds
            print(f"{seconds:.1f} s ({processor:.1f} s of processor), peak memory {memory:.0f} MiB")
            print(f"{rate:,.0f} annotations/s", flush=True)
            worst = max(worst, memory)
        idle = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(f"(this program itself: {idle:.0f} MiB)")
    return 0 if worst <= LIMIT else 1


if __name__ == "__main__":
    sys.exit(main())
