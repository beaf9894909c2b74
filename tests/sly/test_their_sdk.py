"""The package `supervisely`, in an environment of its own, opens what is written here, and the reverse.

It is a peer in these tests and never a dependency.  `RAVENML_TEST_SDK` names an interpreter that
has it; without one, an environment is made.
"""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import numpy as np
import pytest

import ravenml.sly as sly
from ravenml.sly.geometry import Geometry

pytestmark = pytest.mark.slow
SCRIPT = Path(__file__).with_name("their_sdk.py")
SHAPES: dict[str, type[Geometry]] = {
    "blob": sly.Bitmap,
    "ring": sly.Polygon,
    "box": sly.Rectangle,
    "lane": sly.Polyline,
    "dot": sly.Point,
    "anything": sly.AnyGeometry,
}


def theirs(python: str, *arguments: str | Path) -> None:
    """Run their SDK."""
    line = [python, str(SCRIPT), *map(str, arguments)]
    done = subprocess.run(line, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    assert done.returncode == 0, done.stderr[-3000:]


def write(folder: Path, items: int = 12) -> sly.Project:
    """A project of all shapes at random places, written with our SDK."""
    random = np.random.default_rng(4)
    project = sly.Project(str(folder), sly.OpenMode.CREATE)
    tags = [sly.TagMeta("train"), sly.TagMeta("sure", sly.TagValueType.ANY_NUMBER)]
    meta = sly.ProjectMeta([sly.ObjClass(name, kind) for name, kind in SHAPES.items()], tags)
    project.set_meta(meta)
    for dataset in ("day", "night"):
        made = project.create_dataset(dataset)
        for number in range(items // 2):
            height, width = (int(side) for side in random.integers(30, 90, 2))
            image = random.integers(0, 255, (height, width, 3), np.uint8)
            labels = [
                sly.Label(shape, known)
                for name, known in ((one.name, one) for one in meta.obj_classes)
                for shape in _shapes(name, random, height, width)
            ]
            order = random.permutation(len(labels))
            ann = sly.Annotation((height, width), [labels[index] for index in order])
            ann = ann.add_tags([sly.Tag(tags[0]), sly.Tag(tags[1], round(float(random.random()), 3))])
            made.add_item_np(f"{number:02d}.png", image, ann)
    return project


def _shapes(name: str, random: np.random.Generator, height: int, width: int) -> list[Geometry]:
    def place() -> sly.Point:
        return sly.Point(int(random.integers(0, height)), int(random.integers(0, width)))

    def box() -> tuple[int, int, int, int]:
        rows, columns = np.sort(random.integers(0, height, 2)), np.sort(random.integers(0, width, 2))
        return int(rows[0]), int(columns[0]), int(rows[1]), int(columns[1])

    if name == "blob":
        mask = random.random((height // 2, width // 2)) > 0.7
        return [sly.Bitmap(sly.Point(height // 3, width // 3), mask)]
    if name == "ring":
        outline = [place() for _ in range(int(random.integers(3, 9)))]
        return [sly.Polygon(outline, [[place() for _ in range(4)]]), sly.Polygon([place() for _ in range(5)])]
    if name == "box":
        return [sly.Rectangle(*box()) for _ in range(2)]
    if name == "lane":
        return [sly.Polyline([place() for _ in range(4)])]
    if name == "dot":
        return [place()]
    return [sly.Rectangle(*box()), sly.Polygon([place() for _ in range(4)])]


def drawn(project: sly.Project) -> dict[str, tuple[np.ndarray, list[str]]]:
    """Each item's mask, and what its objects are, by our SDK."""
    titles = [one.name for one in project.meta.obj_classes]
    found = {}
    for dataset in project:
        for name in dataset:
            ann = dataset.get_ann(name, project.meta)
            mask = np.zeros(ann.img_size, np.uint8)
            for label in ann.labels:
                label.draw(mask, color=titles.index(label.obj_class.name) + 1)
            kinds = [f"{label.obj_class.name}:{label.geometry.geometry_name()}" for label in ann.labels]
            tags = sorted(f"{tag.name}={tag.value}" for tag in ann.img_tags)
            found[f"{dataset.name}/{name}"] = (mask, [*kinds, *tags])
    return found


def same(ours: dict[str, tuple[np.ndarray, list[str]]], file: Path) -> None:
    """Compare masks pixel for pixel, and what the objects and tags are."""
    with np.load(file) as their:
        assert {name for name in their.files if not name.startswith("about ")} == set(ours)
        for name, (mask, about) in ours.items():
            assert about == their[f"about {name}"].tolist(), name
            different = np.argwhere(mask != their[name])
            assert not len(different), (
                f"{name}: {len(different)} pixels differ, such as {different[:3].tolist()}"
            )


def test_what_is_written_here_opens_there_pixel_for_pixel(their_python: str, tmp_path: Path) -> None:
    project = write(tmp_path / "ours")
    theirs(their_python, "open", tmp_path / "ours", tmp_path / "masks.npz")
    same(drawn(project), tmp_path / "masks.npz")


def test_what_is_written_there_opens_here_pixel_for_pixel(their_python: str, tmp_path: Path) -> None:
    write(tmp_path / "ours")
    theirs(their_python, "copy", tmp_path / "ours", tmp_path / "theirs")
    theirs(their_python, "open", tmp_path / "theirs", tmp_path / "masks.npz")
    opened = sly.Project(str(tmp_path / "theirs"), sly.OpenMode.READ)
    assert opened.total_items == 12
    same(drawn(opened), tmp_path / "masks.npz")
    same(drawn(sly.Project(str(tmp_path / "ours"), sly.OpenMode.READ)), tmp_path / "masks.npz")
    kept = json.loads((tmp_path / "theirs" / "meta.json").read_text())
    assert opened.meta.to_json()["classes"] == kept["classes"], "nothing that they say is lost"
