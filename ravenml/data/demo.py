"""The demo project: a small, made-up world seen from above, for first steps and for tests.

Gardens with ponds (bitmaps), hedges (polygons, most with a hole: the lawn that they enclose) and roofs
(rectangles), in spring and in autumn.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ravenml.data.demo_scene import HEIGHT, WIDTH, Scene, make_scene
from ravenml.data.editable_annotation import EditableAnnotation, Label
from ravenml.data.formats.parallel import in_order
from ravenml.data.meta import ObjClass, TagMeta
from ravenml.data.project import Project
from ravenml.data.split import TRAIN, VAL, rank
from ravenml.data.writing import ProjectWriter, meta_json
from ravenml.errors import InputError

CLASSES = {"pond": ("bitmap", "#2D9CDB"), "hedge": ("polygon", "#F2C94C"), "roof": ("rectangle", "#EB5757")}
SEASONS = ("autumn", "spring")
_VAL_EVERY = 5  # a fifth of each season is tagged `val`


def write_demo(directory: Path, images: int = 30, seed: int = 0) -> Project:
    """Write the demo project into a new or empty folder.

    Args:
        images: how many, at least 2; half of them are of each season, a dataset each.
        seed: the same seed gives the same pictures.

    Raises:
        InputError: the folder is not empty, or fewer than 2 images are asked for.
        RavenError: the disk is full or may not be written.
    """
    directory = Path(directory).expanduser().absolute()
    if images < 2:
        raise InputError(f"{images} images make no training and validation set; ask for at least 2.")
    if directory.is_file() or (directory.is_dir() and any(directory.iterdir())):
        raise InputError(f"{directory} is not empty; name a new folder.")
    writer = ProjectWriter(directory)
    writer.write_meta(_meta())
    painted = in_order(
        lambda index: make_scene(seed=seed, number=index, season=SEASONS[index % 2]), range(images)
    )
    for index, scene in enumerate(painted):
        name = f"garden_{index // 2 + 1:03d}.png"
        writer.add(SEASONS[index % 2], name, scene.image, _annotation(scene, _set_of(index, images, seed)))
    return Project.open(directory)


def _set_of(index: int, images: int, seed: int) -> str:
    """`train` or `val`: by chance, but the same share of each season, and at least one image of each."""
    season = [other for other in range(images) if other % 2 == index % 2]
    order = sorted(season, key=lambda other: rank(str(other), seed))
    held_out = max(round(len(season) / _VAL_EVERY), 1 if index % 2 == 0 and len(season) > 1 else 0)
    if images < 4:
        return VAL if index == 1 else TRAIN
    return VAL if index in order[:held_out] else TRAIN


def _meta() -> dict[str, Any]:
    classes = [ObjClass(title, shape, color) for title, (shape, color) in CLASSES.items()]
    tags = [
        TagMeta(TRAIN, color="#27AE60"),
        TagMeta(VAL, color="#9B51E0"),
        TagMeta("thatched", color="#C79A4B"),
    ]
    meta = meta_json(classes, tags)
    for tag, applicable in zip(meta["tags"], ("imagesOnly", "imagesOnly", "objectsOnly"), strict=True):
        tag["applicable_type"] = applicable
    return meta


def _annotation(scene: Scene, chosen: str) -> EditableAnnotation:
    labels = (
        Label.make(thing.title, thing.geometry, [{"name": name} for name in thing.tags])
        for thing in scene.things
    )
    return EditableAnnotation((HEIGHT, WIDTH), tuple(labels), ({"name": chosen},))
