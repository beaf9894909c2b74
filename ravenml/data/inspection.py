"""Everything that can be said about a project, and everything that is wrong with it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from ravenml.data.annotation import Annotation
from ravenml.data.decoding import check_size
from ravenml.data.geometry import Bitmap, Polygon
from ravenml.data.images import read_image
from ravenml.data.masks import draw_mask
from ravenml.data.problems import DataProblem
from ravenml.data.project import Item, Project


@dataclass
class ClassCount:
    """How often a class occurs: objects, images with one, and its share of all pixels (0 to 1)."""

    objects: int = 0
    images: int = 0
    pixel_share: float = 0.0


@dataclass
class Inspection:
    """What `inspect_project` found.  Pixels count for the class that is drawn on top, as in training."""

    project: Project
    datasets: dict[str, int]
    classes: dict[str, ClassCount]
    background_share: float = 0.0
    shapes: Counter[str] = field(default_factory=Counter)
    left_out: Counter[str] = field(default_factory=Counter)
    image_tags: Counter[str] = field(default_factory=Counter)
    object_tags: Counter[str] = field(default_factory=Counter)
    sizes: Counter[tuple[int, int]] = field(default_factory=Counter)  # (width, height)
    problems: list[DataProblem] = field(default_factory=list)

    def as_dict(self) -> dict[str, object]:
        """For ``raven data inspect --json``; sizes are ``[width, height, images]``."""
        known = {one.title: one for one in self.project.classes}
        return {
            "path": str(self.project.root),
            "name": self.project.name,
            "images": len(self.project.items),
            "datasets": self.datasets,
            "classes": [
                {"title": title, "shape": known[title].shape, "color": known[title].color, **vars(count)}
                for title, count in self.classes.items()
            ],
            "background_pixel_share": self.background_share,
            "shapes": dict(self.shapes),
            "left_out": dict(self.left_out),
            "image_tags": dict(self.image_tags),
            "object_tags": dict(self.object_tags),
            "sizes": [[width, height, count] for (width, height), count in self.sizes.most_common()],
            "faults": [
                {"file": str(f.file), "field": f.field, "problem": f.problem, "mend": f.fix}
                for f in self.problems
            ],
        }


def inspect_project(
    root: Path, threads: int = 2, progress: Callable[[int, int], None] = lambda done, total: None
) -> Inspection:
    """Read every image and annotation of a project and count what is in it.

    Faults are collected, not raised; an item with a problem counts as far as it can be read.
    ``progress`` is called with (done, total) after each image.

    Raises:
        InputError: no such folder, or no usable `meta.json`.
    """
    problems: list[DataProblem] = []
    project = Project.read(root, problems.append)
    found = Inspection(
        project,
        dict.fromkeys(project.datasets, 0),
        {known.title: ClassCount() for known in project.classes},
        problems=problems,
    )
    if not project.items and not problems:
        problems.append(
            DataProblem(
                project.root, "", "holds no images", "put them into a dataset: a folder with img/ and ann/"
            )
        )
    pixels = np.zeros(len(project.classes) + 1, np.int64)
    with ThreadPoolExecutor(max(threads, 1)) as pool:
        for done, seen in enumerate(pool.map(lambda item: _look(project, item), project.items), 1):
            _count(found, seen)
            pixels += seen.pixels
            progress(done, len(project.items))
    shares = pixels / max(int(pixels.sum()), 1)
    found.background_share = float(shares[0])
    for known, share in zip(project.classes, shares[1:], strict=True):
        found.classes[known.title].pixel_share = float(share)
    return found


@dataclass
class _Seen:
    """One item, looked at."""

    item: Item
    pixels: np.ndarray
    problems: list[DataProblem]
    annotation: Annotation | None = None
    size: tuple[int, int] | None = None


def _look(project: Project, item: Item) -> _Seen:
    problems: list[DataProblem] = []
    seen = _Seen(item, np.zeros(len(project.classes) + 1, np.int64), problems)
    try:
        image = read_image(item.image_path)
        seen.size = (image.shape[1], image.shape[0])
    except DataProblem as error:
        problems.append(error)
        image = None
    try:
        annotation = seen.annotation = project.annotation(item, problems.append)
        if image is not None:
            check_size(annotation, image, item)
        drawn = np.bincount(draw_mask(annotation, project.titles).ravel(), minlength=len(seen.pixels))
        seen.pixels += drawn
    except DataProblem as error:
        problems.append(error)
    return seen


def _count(found: Inspection, seen: _Seen) -> None:
    found.problems += seen.problems
    found.datasets[seen.item.dataset] += 1
    if seen.size is not None:
        found.sizes[seen.size] += 1
    if seen.annotation is None:
        return
    found.left_out += seen.annotation.left_out
    found.image_tags.update(seen.annotation.tags)
    for thing in seen.annotation.objects:
        found.classes[thing.class_title].objects += 1
        found.shapes[_shape_of(thing.geometry)] += 1
        found.object_tags.update(thing.tags)
    for title in {thing.class_title for thing in seen.annotation.objects}:
        found.classes[title].images += 1


def _shape_of(geometry: object) -> str:
    if isinstance(geometry, Bitmap):
        return "bitmap"
    return "polygon" if isinstance(geometry, Polygon) else "rectangle"
