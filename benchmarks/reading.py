"""How long reading a project's images and masks takes, beside Supervisely's SDK, and from the cache.

    python benchmarks/reading.py PROJECT [--sdk PYTHON] [--rounds 9]

``PYTHON`` is the interpreter of an environment of its own with the package ``supervisely`` in it.  Each
side runs in a process of its own that reads the whole project once a round, on one thread unless said
otherwise; the files are in the operating system's cache.  The limits: 1.7 times as fast as the SDK on one
core, 1.8 times as fast on two threads as on one, and 50 times as fast from the cache, which may be 2.6
times as large as the project.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from paired import interleave, load, median_ratio, report, waiting_process

SDK = """
import sys, cv2, numpy as np, supervisely as sly
cv2.setNumThreads(1)
project = sly.Project(sys.argv[1], sly.OpenMode.READ)
def run():
    titles = {c.name: i + 1 for i, c in enumerate(project.meta.obj_classes)}
    for dataset in project.datasets:
        for name in dataset:
            image = sly.image.read(dataset.get_img_path(name))
            annotation = sly.Annotation.load_json_file(dataset.get_ann_path(name), project.meta)
            mask = np.zeros(annotation.img_size, np.uint8)
            for label in annotation.labels:
                label.geometry.draw(mask, titles[label.obj_class.name])
"""
OURS = """
import sys, cv2
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from ravenml.data.decoding import decode
from ravenml.data.project import Project
cv2.setNumThreads(1)
project = Project.open(Path(sys.argv[1]))
def run():
    with ThreadPoolExecutor(int(sys.argv[2])) as pool:
        list(pool.map(lambda item: decode(project, item), project.items))
"""
CACHED = """
import sys
from pathlib import Path
from ravenml.data.cache import DecodedCache
from ravenml.data.project import Project
project = Project.open(Path(sys.argv[1]))
cache = DecodedCache(Path(sys.argv[2]), 1 << 40)
cache.warm(project, project.items, 2)
def run():
    for _ in range(20):
        for item in project.items:
            cache.load(project, item)
"""
SERVE = """
print("ready", flush=True)
for _ in sys.stdin:
    run()
    print("done", flush=True)
"""


def side(python: str, code: str, *arguments: str) -> Callable[[], None]:
    """Start a process that reads the project each time the returned function is called."""
    return waiting_process([python, "-c", code + SERVE, *arguments])


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("project", type=Path)
    parser.add_argument("--sdk", help="a Python with the package supervisely")
    parser.add_argument("--rounds", type=int, default=9)
    given = parser.parse_args()
    place = str(given.project)
    with tempfile.TemporaryDirectory() as cache:
        sides = {
            "one thread": side(sys.executable, OURS, place, "1"),
            "two threads": side(sys.executable, OURS, place, "2"),
            "from the cache, 20 times": side(sys.executable, CACHED, place, cache),
        }
        if given.sdk:
            sides["Supervisely's SDK"] = side(given.sdk, SDK, place)
        print(load())
        seconds = interleave(sides, given.rounds)
        print(load())
        report(seconds, "one thread")
        one = seconds["one thread"]
        cached = [value / 20 for value in seconds["from the cache, 20 times"]]
        size = folder_size(Path(cache)) / folder_size(given.project)
    figures = [
        ("times as fast on two threads", median_ratio(one, seconds["two threads"]), 1.8),
        ("times as fast from the cache", median_ratio(one, cached), 50),
    ]
    if given.sdk:
        figures.append(("times as fast as the SDK", median_ratio(seconds["Supervisely's SDK"], one), 1.7))
    for what, figure, least in figures:
        print(f"{figure:.2f} {what} (at least {least:g})")
    print(f"The cache is {size:.2f} times as large as the project (at most 2.6).")
    return 0 if size <= 2.6 and all(figure >= least for _, figure, least in figures) else 1


def folder_size(folder: Path) -> int:
    """The bytes of all files below ``folder``."""
    return sum(os.path.getsize(path) for path in folder.rglob("*") if path.is_file())


if __name__ == "__main__":
    sys.exit(main())
