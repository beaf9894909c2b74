"""Throwaway plugins that predict without a framework: ``tints`` (pixels) and ``spots`` (boxes)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from throwaway import AS_WRITTEN_TODAY, write_plugin

from ravenml.store.model_state import pack_model

TINTS = """
import json
from pathlib import Path
import numpy as np

class Tints:
    task, classes, input_size = "segmentation", ["__bg__", "red"], (16, 16)

    def __init__(self, gain):
        self.gain = gain

    def configure(self, settings):
        from ravenml.errors import InputError
        for name in settings:
            if name != "gain":
                raise InputError(f"`model.{name}` is not a known field; known is gain.")
        self.gain = settings.get("gain", self.gain)

    def predict(self, images, want="labels"):
        if (images[..., 2] == 77).all(axis=(1, 2)).any():
            raise RuntimeError("this shade is too much")
        red = np.minimum(images[..., 0] / 255 * self.gain, 1).astype(np.float32)
        both = np.stack([1 - red, red], axis=1)
        return both if want == "probabilities" else both.argmax(axis=1).astype(np.uint8)

def accepts(folder):
    return (folder / "tint.txt").is_file()

def load(model_dir, device="auto"):
    note = Path(model_dir) / "tint.txt"
    if note.is_file():
        return Tints(float(note.read_text()))
    return Tints(json.loads((Path(model_dir) / "config.json").read_text())["settings"]["gain"])
"""

SPOTS = """
import numpy as np

class Spots:
    task, classes, input_size = "detection", ["spot"], (16, 16)

    def predict(self, images, want="labels"):
        return [self.look(image[..., 0] > 200) for image in images]

    def look(self, bright):
        rows, columns = np.nonzero(bright)
        if not rows.size:
            return np.zeros((0, 6), np.float32)
        box = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1, bright.mean(), 0]
        return np.array([box], np.float32)

def load(model_dir, device="auto"):
    return Spots()
"""

PRESETS = """
[{"title": "Upper half", "type": "inference",
  "config": {"mode": {"name": "roi", "bounds": {"bottom": "50%"},
                      "model_classes": {"add_suffix": "_upper"}}}},
 {"title": "quick", "type": "train", "config": {}}]
"""


def write_predicting_plugins(site: Path) -> None:
    """Install ``tints`` and ``spots``."""
    for name, source in (("tints", TINTS), ("spots", SPOTS)):
        write_plugin(
            site,
            name,
            AS_WRITTEN_TODAY,
            files={"predict.py": source, "predefined_run_configs.json": PRESETS},
            more_entry_points=f"[ravenml.plugins.predict]\n{name} = ravenml_{name}.predict:load",
        )


def pack(path: Path, plugin: str = "tints", **settings: Any) -> Path:
    """A model of one of the two; ``gain`` is how easily ``tints`` takes a pixel for red."""
    classes = [{"title": "__bg__", "shape": "bitmap", "color": "#000000"}]
    classes += [{"title": "red", "shape": "polygon", "color": "#FF1111"}]
    config = {
        "settings": {"plugin": plugin, "architecture": "Tiny", "gain": 1.0, **settings},
        "out_classes": classes,
    }
    return pack_model(path, config, [])
