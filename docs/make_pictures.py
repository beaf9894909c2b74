"""Makes the picture of the README and the documentation from a run on the demo project.

    make demo
    .venv/bin/python docs/make_pictures.py [RUN]

Takes the final validation previews of a k-fold run (the newest, if none is named), one of each fold and of
different seasons, and puts them below each other into ``docs/images/prediction.png``.  No other data may be
shown there.
"""

from __future__ import annotations

import sys
from pathlib import Path

import cv2
import numpy as np

from ravenml.common.io import read_json, write_bytes
from ravenml.data.images import encode_png, read_image
from ravenml.runs.layout import find_run

PICTURE = Path(__file__).resolve().parent / "images" / "prediction.png"


def main() -> None:
    run = find_run(sys.argv[1] if len(sys.argv) > 1 else None)
    dataset = Path(str(read_json(run / "checkpoints" / "train_args.json")["dataset"]))
    if dataset.name != "demo":
        sys.exit(f"{run} was trained on {dataset}; only the demo project may be shown.")
    previews = [
        found[number % len(found)]
        for number, fold in enumerate(sorted((run / "folds").iterdir()))
        if (found := sorted(fold.glob("previews/val/*/final.png")))
    ]
    if not previews:
        sys.exit(f"{run} has no final previews of folds; run `make demo` first.")
    rows = [read_image(path) for path in previews]
    width = max(row.shape[1] for row in rows)
    rows = [
        cv2.copyMakeBorder(r, 0, 4, 0, width - r.shape[1], cv2.BORDER_CONSTANT, value=(255,) * 3)
        for r in rows
    ]
    write_bytes(PICTURE, encode_png(np.vstack(rows)))
    print(f"Wrote {PICTURE}.")


if __name__ == "__main__":
    main()
