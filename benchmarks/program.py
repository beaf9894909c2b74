"""What `raven run` adds to a program that does nothing.

    python benchmarks/program.py [--rounds 30]

Times `python -c pass` and `raven run -- python -c pass`, taking turns, in a git checkout with a changed file,
and reports the median of the differences.  The limit is 0.3 s.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from paired import interleave, load

LIMIT = 0.3  # seconds


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=30, help="measurements of each side (30)")
    chosen = parser.parse_args()
    bare = [sys.executable, "-c", "pass"]
    recorded = [sys.executable, "-m", "ravenml", "run", "--", *bare]
    with tempfile.TemporaryDirectory() as folder:
        home, checkout = Path(folder, "home"), Path(folder, "checkout")
        checkout.mkdir()
        (checkout / "train.py").write_text("pass\n")
        git = ["git", "-c", "user.name=a", "-c", "user.email=a@example.org"]
        for command in (["init", "-q"], ["add", "."], ["commit", "-qm", "first"]):
            subprocess.run([*git, *command], cwd=checkout, check=True)
        (checkout / "train.py").write_text("pass  # changed\n")
        environment = {**os.environ, "RAVENML_STORAGE_PATH": str(home)}

        def call(command: list[str]) -> None:
            subprocess.run(command, cwd=checkout, env=environment, check=True, capture_output=True)

        seconds = interleave({"bare": lambda: call(bare), "raven": lambda: call(recorded)}, chosen.rounds)
        kept = len(list((home / "runs").glob("*/run.json")))
    added = [a - b for a, b in zip(seconds["raven"], seconds["bare"], strict=True)]
    for name, values in seconds.items():
        print(f"{name:6} median {1000 * statistics.median(values):6.1f} ms")
    middle = statistics.median(added)
    verdict = "within" if middle <= LIMIT else "ABOVE"
    print(f"added  median {1000 * middle:6.1f} ms, slowest {1000 * max(added):.1f} ms: {verdict} {LIMIT} s")
    print(f"{kept} runs were recorded; {load()}")
    return 0 if middle <= LIMIT and kept > chosen.rounds else 1


if __name__ == "__main__":
    sys.exit(main())
