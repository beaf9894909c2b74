"""The smallest honest Supervisely project, for tests that are not about reading projects."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np


def write_simple_project(
    folder: Path, images: int = 12, val: int = 3, name: str = "meadow{:02d}.png"
) -> Path:
    """Grey 32×24 pictures with a bright rectangle of the class ``thing``; the last ``val`` ones validate."""
    (folder / "ds" / "img").mkdir(parents=True)
    (folder / "ds" / "ann").mkdir()
    meta = {
        "classes": [{"title": "thing", "shape": "rectangle", "color": "#FF8800"}],
        "tags": [{"name": tag, "value_type": "none", "color": "#00FF00"} for tag in ("train", "val")],
    }
    (folder / "meta.json").write_text(json.dumps(meta))
    rng = np.random.default_rng(0)
    for index in range(images):
        picture = rng.integers(60, 90, (24, 32, 3), dtype=np.uint8)
        left, top = int(rng.integers(2, 18)), int(rng.integers(2, 12))
        picture[top : top + 9, left : left + 11] = 220
        file = name.format(index)
        cv2.imwrite(str(folder / "ds" / "img" / file), picture)
        annotation = {
            "size": {"height": 24, "width": 32},
            "tags": [{"name": "val" if index >= images - val else "train"}],
            "objects": [
                {
                    "classTitle": "thing",
                    "geometryType": "rectangle",
                    "tags": [],
                    "points": {"exterior": [[left, top], [left + 10, top + 8]], "interior": []},
                }
            ],
        }
        (folder / "ds" / "ann" / f"{file}.json").write_text(json.dumps(annotation))
    return folder
