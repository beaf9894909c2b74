"""The smallest project, and the smallest training, that still show everything."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from as_user import CORE, run_raven
from forkserver import ForkServer

from ravenml.train.interfaces import TrainInput
from ravenml_unet.settings import UNetSettings

MakeInput = Callable[..., TrainInput]

# What a training, a prediction or a server of the plugin imports, with one thread as in all tests here.
FRAMEWORK = ["torch", "torch._dynamo", "lightning_fabric", "kornia.*", "torchmetrics", "ravenml_unet.*"]
FORK_SERVER = ForkServer([*CORE, *FRAMEWORK], {**os.environ, "OMP_NUM_THREADS": "1"})


def run_unet(
    *arguments: str | Path, code: int = 0, cwd: Path | None = None, **environment: str
) -> subprocess.CompletedProcess[str]:
    """``raven`` as a process that has imported the plugin's framework already; it must end with ``code``."""
    env = {**os.environ, "OMP_NUM_THREADS": "1", **environment}
    done = run_raven(*arguments, server=FORK_SERVER, env=env, cwd=cwd)
    assert done.returncode == code, done.stdout + done.stderr
    return done


def write_project(root: Path, images: int = 6) -> Path:
    """Dark images of 40×36 with a red and a green rectangle each, and the rectangles' annotations."""
    titles = {"red": (210, 40, 40), "green": (40, 200, 60)}
    random = np.random.default_rng(0)
    classes = [
        {"title": title, "shape": "rectangle", "color": "#{:02X}{:02X}{:02X}".format(*rgb)}
        for title, rgb in titles.items()
    ]
    (root / "shapes" / "img").mkdir(parents=True)
    (root / "shapes" / "ann").mkdir()
    (root / "meta.json").write_text(json.dumps({"classes": classes, "tags": [], "projectType": "images"}))
    for number in range(images):
        image = random.integers(0, 60, (36, 40, 3), dtype=np.uint8)
        objects = []
        for column, (title, rgb) in enumerate(titles.items()):
            left, top = 20 * column + int(random.integers(0, 6)), int(random.integers(0, 18))
            right, bottom = left + 12, top + 14
            image[top : bottom + 1, left : right + 1] = rgb
            points = {"exterior": [[left, top], [right, bottom]], "interior": []}
            objects.append({"classTitle": title, "geometryType": "rectangle", "tags": [], "points": points})
        name = f"{number:02d}.png"
        cv2.imwrite(str(root / "shapes" / "img" / name), image[..., ::-1])
        annotation = {"description": "", "tags": [], "size": {"height": 36, "width": 40}, "objects": objects}
        (root / "shapes" / "ann" / f"{name}.json").write_text(json.dumps(annotation))
    return root


def small_settings(**changes: Any) -> UNetSettings:
    """A training of two epochs of two steps each, on the CPU in float32."""
    small: dict[str, Any] = {
        "epochs": 2,
        "input_size": {"width": 32, "height": 32},
        "batch_size": {"train": 2, "val": 2},
        "device": "cpu",
        "precision": "32",
        "previews": 0,
        "workers": 0,
        "checkpoint_every": 1,  # and not when it is time for one
    }
    return UNetSettings(**small | changes)
