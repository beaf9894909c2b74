"""A home whose runs and models have somebody's text in every place that has one."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np

sys.path.append(str(Path(__file__).parents[1] / "runs"))
from many_runs import events_of, write_run

RUN, OTHER = "20261121-060000-abcdef", "20261121-070000-abcdef"
MODEL = "20261121-060000-model1"


def write_texts(home: Path, text: Callable[[str], str]) -> Path:
    """Two runs and a stored model; ``text`` says what is written in a place.  The folder of `RUN`."""
    loss = text("metric").replace("/", "\\u2215")
    more = {
        "project": text("project"),
        "name": text("name"),
        "tags": [text("own tag")],
        "command": ["raven", "train", text("command")],
        "folder": text("folder"),
        "dataset": {"name": text("dataset"), "path": text("path"), "images": 3},
        "result": {
            "status": "interrupted",
            "reason": text("reason"),
            "metrics": {f"val/{loss}": 0.5},
            "stored": text("stored"),
        },
        "resume": text("resume"),
        "provenance": {
            "python": text("python"),
            "packages": {text("package"): text("version")},
            "code": {text("code"): {"commit": text("commit"), "diff": "provenance/x.diff"}},
            "machine": {"host": text("host"), "cores": 2, "memory_bytes": 1, "gpus": [text("gpu")]},
        },
    }
    for name in (OTHER, RUN):
        folder = write_run(
            home,
            name,
            plugin=text("plugin"),
            settings={text("setting"): text(f"value {name}")},
            more=more,
        )
        events_of(folder, {f"train/{loss}": [3.0, 2.0], f"val/iou/{loss}": [0.1, 0.2]})
        (folder / "notes.json").write_text(json.dumps({"v": 1, "tags": [text("tag")], "note": text("note")}))
        (folder / "console.log").write_text(text("console") + "\n")
        (folder / "provenance").mkdir(exist_ok=True)
        (folder / "provenance" / "x.diff").write_text(f"+{text('diff')}\n-{text('diff')}\n")
        picture = cv2.imencode(".png", np.zeros((8, 8, 3), np.uint8))[1].tobytes()
        shown = _file_name(text("picture"))
        for place in (f"val/{shown}/epoch_001.png", f"evaluation/worst_{shown}.png"):
            (folder / "previews" / place).parent.mkdir(parents=True, exist_ok=True)
            (folder / "previews" / place).write_bytes(picture)
        (folder / "artifacts").mkdir(exist_ok=True)
        (folder / "artifacts" / _file_name(text("file"))).write_text("x")
        part = {
            "confusion": [[1]],
            "scores": {text("score"): 0.5},
            "per_class": {text("class"): {"iou": 0.5}},
            "per_image": [{"item": text("image"), "miou": 0.5}],
        }
        (folder / "evaluation.json").write_text(
            json.dumps({"v": 1, "classes": [text("class")], "model_size": part})
        )
        (folder / "summary.json").write_text(
            json.dumps(
                {
                    "v": 1,
                    "folds": [{"fold": 0, "metrics": {f"val/{loss}": 0.5}}],
                    "mean": {f"val/{loss}": 0.5},
                    "std": {},
                    "out_of_fold": None,
                    "out_of_fold_missing": text("missing"),
                }
            )
        )
    models = home / "store" / "models"
    models.mkdir(parents=True, exist_ok=True)
    metadata = {
        **{
            "v": 1,
            "id": MODEL,
            "name": text("model"),
            "architecture": text("architecture"),
        },
        **{"plugin": text("plugin"), "dataset": text("dataset"), "metrics": {text("score"): 0.5}},
        **{
            "created_by": text("person"),
            "comments": text("comments"),
            "finished": "2026-11-21T06:00:00Z",
        },
    }
    (models / f"metadata_{MODEL}.json").write_text(json.dumps(metadata))
    return home / "runs" / RUN


def _file_name(text: str) -> str:
    """A text as a file may be called."""
    return text.replace("/", "_").encode()[-200:].decode(errors="ignore")
