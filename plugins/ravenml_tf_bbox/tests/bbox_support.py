"""The smallest project, and the smallest training, that still show everything."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from ravenml.data.bitmap import encode_bitmap
from ravenml.train.interfaces import TrainInput
from ravenml_tf_bbox.settings import BoxSettings

MakeInput = Callable[..., TrainInput]
SETTINGS = {"epochs": 3, "val_every": 0.5, "checkpoint_every": 1, "max_keep_checkpoints": 1, "previews": 1}


def write_project(root: Path, images: int = 6, size: tuple[int, int] = (64, 48)) -> Path:
    """Dark images with a red rectangle and a green disc each; discs are polygons, every third is a bitmap."""
    width, height = size
    random = np.random.default_rng(0)
    classes = [
        {"title": "plate", "shape": "rectangle", "color": "#D22828"},
        {"title": "disc", "shape": "any", "color": "#28C83C"},
    ]
    (root / "ds" / "img").mkdir(parents=True)
    (root / "ds" / "ann").mkdir()
    tags = [{"name": tag, "value_type": "none", "color": "#0000FF"} for tag in ("train", "val")]
    (root / "meta.json").write_text(json.dumps({"classes": classes, "tags": tags, "projectType": "images"}))
    for number in range(images):
        image = random.integers(0, 60, (height, width, 3), dtype=np.uint8)
        left, top = int(random.integers(0, width // 2 - 20)), int(random.integers(0, height - 14))
        image[top : top + 14, left : left + 20] = (210, 40, 40)
        middle = (int(random.integers(width // 2 + 10, width - 10)), int(random.integers(10, height - 10)))
        disc = np.zeros((height, width), np.uint8)
        cv2.circle(disc, middle, 8, 1, -1)
        image[disc > 0] = (40, 200, 60)
        exterior = [[left, top], [left + 19, top + 13]]
        plate = {"geometryType": "rectangle", "points": {"exterior": exterior, "interior": []}}
        objects = [{"classTitle": "plate", "tags": [], **plate}]
        if number % 3:
            outline = cv2.findContours(disc, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)[0][0][:, 0].tolist()
            shape = {"geometryType": "polygon", "points": {"exterior": outline, "interior": []}}
        else:
            cut = disc[middle[1] - 8 : middle[1] + 9, middle[0] - 8 : middle[0] + 9] > 0
            bitmap = {"data": encode_bitmap(cut), "origin": [middle[0] - 8, middle[1] - 8]}
            shape = {"geometryType": "bitmap", "bitmap": bitmap}
        objects.append({"classTitle": "disc", "tags": [], **shape})
        name = f"{number:02d}.png"
        cv2.imwrite(str(root / "ds" / "img" / name), image[..., ::-1])
        annotation = {
            "size": {"height": height, "width": width},
            "tags": [{"name": "val" if number >= images - 2 else "train"}],
            "objects": objects,
        }
        (root / "ds" / "ann" / f"{name}.json").write_text(json.dumps(annotation))
    return root


def small_settings(**changes: Any) -> BoxSettings:
    """A training of two epochs of two steps each, on the processor."""
    small: dict[str, Any] = {
        "epochs": 2,
        "input_size": {"width": 64, "height": 64},
        "batch_size": {"train": 2, "val": 2},
        "aspect_ratios": [1.0],
        "augmentations": "from_above",
        "mosaic": 0.5,
        "device": "cpu",
        "previews": 0,
        "workers": 0,
    }
    return BoxSettings(**small | changes)
