"""The demo project: a small, made-up world seen from above, for first steps and for tests.

Gardens with ponds (bitmaps), hedges (polygons, most with a hole: the lawn that they enclose) and roofs
(rectangles), in spring and in autumn.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ravenml.data.bitmap import encode_bitmap
from ravenml.data.demo_scene import HEIGHT, WIDTH, Scene, Thing, make_scene
from ravenml.data.geometry import Bitmap, Polygon
from ravenml.data.images import encode_png
from ravenml.data.project import Project
from ravenml.data.split import TRAIN, VAL, rank
from ravenml.errors import InputError
from ravenml.files import write_bytes, write_json

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
    write_json(directory / "meta.json", _meta())
    for index in range(images):
        season = SEASONS[index % 2]
        name = f"garden_{index // 2 + 1:03d}.png"
        scene = make_scene(seed=seed, number=index, season=season)
        write_bytes(directory / season / "img" / name, encode_png(scene.image))
        annotation = _annotation(scene, _set_of(index, images, seed))
        write_json(directory / season / "ann" / f"{name}.json", annotation)
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
    return {
        "classes": [
            {"title": title, "description": "", "shape": shape, "color": color, "geometry_config": {}}
            for title, (shape, color) in CLASSES.items()
        ],
        "tags": [
            {"name": TRAIN, "value_type": "none", "color": "#27AE60", "applicable_type": "imagesOnly"},
            {"name": VAL, "value_type": "none", "color": "#9B51E0", "applicable_type": "imagesOnly"},
            {"name": "thatched", "value_type": "none", "color": "#C79A4B", "applicable_type": "objectsOnly"},
        ],
        "projectType": "images",
    }


def _annotation(scene: Scene, chosen: str) -> dict[str, Any]:
    return {
        "description": "",
        "size": {"height": HEIGHT, "width": WIDTH},
        "tags": [{"name": chosen}],
        "objects": [_object(thing) for thing in scene.things],
    }


def _object(thing: Thing) -> dict[str, Any]:
    shape = thing.geometry
    entry: dict[str, Any] = {
        "classTitle": thing.title,
        "description": "",
        "tags": [{"name": name} for name in thing.tags],
        "geometryType": CLASSES[thing.title][0],
    }
    if isinstance(shape, Bitmap):
        entry["bitmap"] = {"origin": list(shape.origin), "data": encode_bitmap(shape.mask)}
    elif isinstance(shape, Polygon):
        holes = [hole.tolist() for hole in shape.interior]
        entry["points"] = {"exterior": shape.exterior.tolist(), "interior": holes}
    else:
        corners = [[shape.left, shape.top], [shape.right, shape.bottom]]
        entry["points"] = {"exterior": corners, "interior": []}
    return entry
