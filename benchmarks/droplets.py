"""Whether the preset `small` of the bounding-box plugin learns a handful of microscope frames on a laptop.

    python benchmarks/droplets.py VIA_FOLDER

Imports the folder, an export of the VGG Image Annotator with `train` and `val`, as a user would, trains on it
with ``--preset small``, and prints score and time: AP50 above 0.5 on `val` within 10 minutes on 2 cores.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from paired import load

ENOUGH, SECONDS = 0.5, 600.0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("folder", type=Path)
    given = parser.parse_args()
    print(f"before: {load()}", flush=True)
    with tempfile.TemporaryDirectory(prefix="ravenml-bench-") as scratch:
        os.environ["RAVENML_STORAGE_PATH"] = scratch
        project = f"{scratch}/project"
        raven = [sys.executable, "-m", "ravenml"]
        subprocess.run([*raven, "data", "import", "via", str(given.folder), project], check=True)
        begin = time.perf_counter()
        subprocess.run(
            [*raven, "train", "--dataset", project, "tf-bbox", "train", "--preset", "small"], check=True
        )
        seconds = time.perf_counter() - begin
        (run,) = (Path(scratch) / "runs").iterdir()
        ap50 = json.loads((run / "evaluation.json").read_text())["scores"]["ap50"]
    print(f"after: {load()}")
    print(f"AP50 {ap50:.3f} after {seconds:.0f} s (limits: above {ENOUGH} within {SECONDS:.0f} s)")
    return 0 if ap50 > ENOUGH and seconds <= SECONDS else 1


if __name__ == "__main__":
    sys.exit(main())
