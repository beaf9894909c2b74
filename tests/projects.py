"""Small Supervisely projects for tests, and the way to the real ones.

Nothing here uses ravenML's own encoders of pictures, so that reading is tested against something else.
"""

from __future__ import annotations

import base64
import json
import os
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

SHAPES = {"blob": "bitmap", "ring": "polygon", "box": "rectangle"}
COLORS = {"blob": (40, 90, 210), "ring": (40, 180, 60), "box": (210, 50, 40)}
HEIGHT, WIDTH = 40, 48


def real_data(name: str) -> Path:
    """A file or folder of the real test data; skips the test where it is absent."""
    default = Path(__file__).resolve().parents[2] / "shared" / "data"
    folder = Path(os.environ.get("RAVENML_TEST_DATA", default)) / name
    if not folder.exists():
        pytest.skip("they look at real data; set RAVENML_TEST_DATA to the folder that has them")
    return folder


def write_project(
    folder: Path,
    images: int = 6,
    val: int | None = None,
    dataset: str = "scenes",
    names: Sequence[str] | None = None,
    seed: int = 0,
) -> Path:
    """Write a project of small pictures with a bitmap, a polygon with a hole and a rectangle in each.

    Args:
        val: the last so many images are tagged `val`, the others `train`; None tags none.
        names: the images' names; by default `scene_a.png`-like names that look like no sequence.
    """
    names = names or [f"scene_{number:03d}.png" for number in range(images)]
    write_meta(folder, SHAPES, tags=() if val is None else ("train", "val"))
    random = np.random.default_rng(seed)
    for number, name in enumerate(names):
        tags = () if val is None else ("val",) if number >= len(names) - val else ("train",)
        image, objects = scene(random)
        write_item(folder, dataset, name, image, objects, tags)
    return folder


def scene(random: np.random.Generator) -> tuple[np.ndarray, list[dict[str, Any]]]:
    """A picture, uint8 RGB (40, 48, 3), and its objects as JSON."""
    image = random.integers(90, 140, (HEIGHT, WIDTH, 3)).astype(np.uint8)
    x, y = (int(v) for v in random.integers(1, 6, 2))
    blob = np.zeros((10, 12), np.uint8)
    cv2.ellipse(blob, (6, 5), (5, 4), 0, 0, 360, 1, -1)
    image[y : y + 10, x : x + 12][blob > 0] = COLORS["blob"]
    left, top = (int(v) for v in random.integers(2, 10, 2))
    outer = [[left, 18 + top], [left + 16, 18 + top], [left + 16, 28 + top], [left, 28 + top]]
    inner = [[left + 5, 21 + top], [left + 11, 21 + top], [left + 11, 25 + top], [left + 5, 25 + top]]
    ring = np.zeros((HEIGHT, WIDTH), np.uint8)
    cv2.fillPoly(ring, [np.array(outer)], 1)
    cv2.fillPoly(ring, [np.array(inner)], 0)
    image[ring > 0] = COLORS["ring"]
    right = int(random.integers(40, 46))
    image[5:15, 30 : right + 1] = COLORS["box"]
    objects = [
        bitmap_of("blob", (x, y), blob),
        polygon_of("ring", outer, [inner]),
        box_of("box", 30, 5, right, 14),
    ]
    return image, objects


def write_meta(folder: Path, shapes: dict[str, str], tags: Sequence[Any] = ()) -> None:
    """Write `meta.json`: class titles with their shapes, and tags by name or as JSON."""
    colors = [COLORS.get(title, (17 * i % 256, 99, 200)) for i, title in enumerate(shapes)]
    classes = [
        {"title": title, "shape": shape, "color": "#{:02X}{:02X}{:02X}".format(*color)}
        for (title, shape), color in zip(shapes.items(), colors, strict=True)
    ]
    metas = [
        {"name": tag, "value_type": "none", "color": "#123456"} if isinstance(tag, str) else tag
        for tag in tags
    ]
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "meta.json").write_text(json.dumps({"classes": classes, "tags": metas}))


def write_item(
    folder: Path,
    dataset: str,
    name: str,
    image: np.ndarray | bytes,
    objects: Sequence[dict[str, Any]] = (),
    tags: Sequence[str] = (),
    size: tuple[int, int] | None = None,
) -> None:
    """Write an image (an array, or a file's bytes) and its annotation; ``size`` is (height, width)."""
    base = folder / dataset
    (base / "img").mkdir(parents=True, exist_ok=True)
    (base / "ann").mkdir(parents=True, exist_ok=True)
    if isinstance(image, bytes):
        height, width = size or (HEIGHT, WIDTH)
        (base / "img" / name).write_bytes(image)
    else:
        height, width = size or image.shape[:2]
        (base / "img" / name).write_bytes(encoded(image, os.path.splitext(name)[1]))
    annotation = {
        "description": "",
        "size": {"height": height, "width": width},
        "tags": [{"name": tag, "value": None} for tag in tags],
        "objects": list(objects),
    }
    (base / "ann" / f"{name}.json").write_text(json.dumps(annotation))


def encoded(image: np.ndarray, extension: str = ".png") -> bytes:
    """An image file's bytes; RGB, RGBA or grey in, as OpenCV writes them."""
    if image.ndim == 3:
        image = cv2.cvtColor(image, cv2.COLOR_RGB2BGR if image.shape[2] == 3 else cv2.COLOR_RGBA2BGRA)
    return bytes(cv2.imencode(extension, image)[1])


def bitmap_of(
    title: str, origin: tuple[int, int], mask: np.ndarray, tags: Sequence[str] = ()
) -> dict[str, Any]:
    """A bitmap object; its PNG is 8-bit with transparency, unlike those that ravenML writes."""
    pixels = np.zeros((*mask.shape, 4), np.uint8)
    pixels[mask > 0] = 255
    data = base64.b64encode(zlib.compress(bytes(cv2.imencode(".png", pixels)[1]))).decode()
    entry = {"bitmap": {"origin": list(origin), "data": data}}
    return {"classTitle": title, "geometryType": "bitmap", "tags": _tags(tags), **entry}


def polygon_of(title: str, exterior: Any, interior: Any = (), tags: Sequence[str] = ()) -> dict[str, Any]:
    """A polygon object."""
    points = {"exterior": exterior, "interior": list(interior)}
    return {"classTitle": title, "geometryType": "polygon", "tags": _tags(tags), "points": points}


def box_of(
    title: str, left: int, top: int, right: int, bottom: int, tags: Sequence[str] = ()
) -> dict[str, Any]:
    """A rectangle object, corners inclusive."""
    points = {"exterior": [[left, top], [right, bottom]], "interior": []}
    return {"classTitle": title, "geometryType": "rectangle", "tags": _tags(tags), "points": points}


def _tags(names: Sequence[str]) -> list[dict[str, Any]]:
    return [{"name": name} for name in names]
