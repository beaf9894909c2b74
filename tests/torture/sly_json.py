"""JSON of the SDK with anything in it: from_json raises InvalidJson alone, and what it makes is usable."""

from __future__ import annotations

import copy
import json
import os
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np

import ravenml.sly as sly
from ravenml.common.io import SCRATCH, write_bytes
from ravenml.data.bitmap import encode_bitmap
from ravenml.errors import InputError
from torture.mutate import mutate, mutate_document
from torture.runner import guard

TRIALS = 10_000

META: dict[str, Any] = {
    "classes": [
        {"title": "car", "shape": "polygon", "color": "#FF0000", "id": 3, "geometry_config": {}},
        {"title": "roof", "shape": "bitmap", "color": [1, 2, 3]},
        {"title": "box", "shape": "rectangle"},
        {"title": "way", "shape": "line", "color": "#00FF00"},
        {"title": "spot", "shape": "point", "color": "#0000FF"},
        {"title": "all", "shape": "any", "color": "#0000FF"},
        {"title": "graph", "shape": "graph", "color": "#0000FF"},
    ],
    "tags": [
        {"name": "train", "value_type": "none", "color": "#112233"},
        {"name": "how", "value_type": "oneof_string", "values": ["old", "new"]},
        {"name": "sure", "value_type": "any_number"},
        "bare",
    ],
    "tags_images": ["older"],
    "projectType": "images",
}


def _object(title: str, kind: str, **fields: Any) -> dict[str, Any]:
    return {"classTitle": title, "geometryType": kind, "description": "", "tags": [], **fields}


def _points(*points: list[int], holes: tuple[Any, ...] = ()) -> dict[str, Any]:
    return {"exterior": list(points), "interior": list(holes)}


ANNOTATION: dict[str, Any] = {
    "description": "",
    "size": {"height": 40, "width": 60},
    "tags": [{"name": "train", "value": None, "id": 1}, {"name": "how", "value": "old"}, "bare"],
    "objects": [
        _object(
            "car", "polygon", points=_points([1, 1], [50, 1], [50, 30], holes=([[20, 5], [30, 5], [30, 9]],))
        ),
        _object("car", "polygon", points=_points([-9, -9], [90, 2], [50, 70])),
        _object(
            "roof", "bitmap", bitmap={"origin": [3, 4], "data": encode_bitmap(np.eye(7, dtype=np.uint8))}
        ),
        _object("box", "rectangle", points=_points([5, 6], [20, 30]), tags=[{"name": "sure", "value": 0.5}]),
        _object("way", "line", points=_points([5, 6], [20, 30], [2, 2])),
        _object("spot", "point", points=_points([5, 6])),
        _object("all", "rectangle", points=_points([0, 0], [5, 5])),
        _object("graph", "graph", nodes={"a": {"loc": [1, 2]}}),
    ],
}

READERS: list[tuple[Callable[[Any], Any], Any]] = [
    (sly.ProjectMeta.from_json, META),
    (sly.ObjClass.from_json, META["classes"][0]),
    (sly.ObjClassCollection.from_json, META["classes"]),
    (sly.TagMeta.from_json, META["tags"][1]),
    (sly.TagMetaCollection.from_json, META["tags"]),
    (lambda data: sly.Tag.from_json(data, _meta().tag_metas), ANNOTATION["objects"][3]["tags"][0]),
    (lambda data: sly.TagCollection.from_json(data, _meta().tag_metas), ANNOTATION["tags"]),
    (lambda data: sly.Label.from_json(data, _meta()), ANNOTATION["objects"][0]),
    (lambda data: sly.Annotation.from_json(data, _meta()), ANNOTATION),
    (sly.Polygon.from_json, ANNOTATION["objects"][0]),
    (sly.Bitmap.from_json, ANNOTATION["objects"][2]),
    (sly.Rectangle.from_json, ANNOTATION["objects"][3]),
    (sly.Polyline.from_json, ANNOTATION["objects"][4]),
    (sly.Point.from_json, ANNOTATION["objects"][5]),
]


def _meta() -> sly.ProjectMeta:
    return sly.ProjectMeta.from_json(META)


@contextmanager
def campaign(folder: Path) -> Iterator[Callable[[random.Random], str]]:
    """Objects of JSON that was changed in memory, and projects of files that were changed on disk."""
    os.environ[SCRATCH] = str(folder)  # nobody looks for these files after a power cut

    def trial(rng: random.Random) -> str:
        with guard(folder):
            return _project(rng, folder) if rng.random() < 0.3 else _object_of(rng)

    yield trial


def _object_of(rng: random.Random) -> str:
    read, specimen = rng.choice(READERS)
    data = copy.deepcopy(specimen)
    for _ in range(rng.choice([1, 1, 1, 2, 3])):
        data = mutate(rng, data)
    try:
        made = read(data)
    except sly.InvalidJson as error:
        _check(error)
        return "refused"
    json.dumps(made.to_json())  # it can be written again
    if isinstance(made, sly.Annotation):
        _use(made)
    return "read"


def _project(rng: random.Random, folder: Path) -> str:
    broken = rng.random() < 0.5
    write_bytes(
        folder / "p" / "meta.json", mutate_document(rng, META) if broken else json.dumps(META).encode()
    )
    write_bytes(folder / "p" / "ds" / "img" / "a.png", b"")
    path = folder / "p" / "ds" / "ann" / "a.png.json"
    write_bytes(path, json.dumps(ANNOTATION).encode() if broken else mutate_document(rng, ANNOTATION))
    try:
        project = sly.Project(str(folder / "p"), sly.OpenMode.READ)
        for dataset in project:
            for item in dataset:
                _use(dataset.get_ann(item, project.meta))
    except InputError as error:
        _check(error)
        assert str(folder / "p") in str(error), f"it does not name the file: {error}"
        return "refused"
    return "read"


def _use(annotation: sly.Annotation) -> None:
    height, width = annotation.img_size
    json.dumps(annotation.to_json())
    if height * width < 1 << 24:
        annotation.draw(np.zeros((height, width, 3), np.uint8))
        with suppress(NotImplementedError):  # of shapes that are only kept
            annotation.fliplr().draw_contour(np.zeros((height, width, 3), np.uint8))


def _check(error: InputError) -> None:
    said = str(error)
    assert said.endswith(".") and "\n" not in said and len(said) < 2000, (
        f"it is not a sentence: {said!r:.300}"
    )
