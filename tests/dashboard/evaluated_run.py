"""What a k-fold run leaves, written in a moment: folds, pictures, an evaluation, provenance, a model."""

from __future__ import annotations

import json
import socket
import sys
from pathlib import Path

import cv2
import numpy as np

sys.path.append(str(Path(__file__).parents[1] / "runs"))
from many_runs import events_of


def leave_everything(folder: Path) -> None:
    """Put it into a run's folder."""
    picture = cv2.imencode(".png", np.full((24, 48, 3), 90, np.uint8))[1].tobytes()
    for place in ("val/street/epoch_001", "val/street/epoch_002", "evaluation/worst_1"):
        path = folder / "previews" / f"{place}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(picture)
    part = {
        "confusion": [[90, 10], [5, 95]],
        "scores": {"miou": 0.86},
        "per_class": {
            "sky": {"iou": 0.857, "dice": 0.9, "precision": 0.95, "recall": 0.9, "truth_pixels": 100},
            "road": {"iou": None, "dice": None, "precision": None, "recall": None, "truth_pixels": 0},
        },
        "per_image": [{"item": "a/1.png", "miou": 0.9}, {"item": "a/2.png", "miou": 0.2}],
    }
    (folder / "evaluation.json").write_text(
        json.dumps({"v": 1, "classes": ["sky", "road"], "model_size": part})
    )
    folds = [{"fold": n, "status": "completed", "metrics": {"val/miou": 0.5 + n / 10}} for n in range(3)]
    summary = {"v": 1, "folds": folds, "mean": {"val/miou": 0.6}, "std": {"val/miou": 0.1}}
    (folder / "summary.json").write_text(
        json.dumps({**summary, "out_of_fold": {"miou": 0.58}, "out_of_fold_images": 12})
    )
    for number in range(3):
        fold = folder / "folds" / str(number)
        fold.mkdir(parents=True)
        record = json.loads((folder / "run.json").read_text()) | {"fold": number}
        (fold / "run.json").write_text(json.dumps(record))
        events_of(fold, {"val/miou": [0.1, 0.2, 0.5 + number / 10]})
    (folder / "provenance").mkdir()
    (folder / "provenance" / "core.diff").write_text("--- a/x.py\n+++ b/x.py\n-old line\n+new line\n")
    record = json.loads((folder / "run.json").read_text())
    record["provenance"] = {
        "python": "3.11.8",
        "packages": {"numpy": "2.1.0"},
        "code": {"core": {"commit": "0123456789abcdef", "branch": "main", "diff": "provenance/core.diff"}},
        "machine": {"host": socket.gethostname(), "cores": 2, "memory_bytes": 2**34, "gpus": []},
    }
    (folder / "run.json").write_text(json.dumps(record))
    (folder / "model-state.tar").write_bytes(b"weights")
