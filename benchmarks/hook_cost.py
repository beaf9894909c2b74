"""What the hooks of `raven run` add to the start of a Python program.

    python benchmarks/hook_cost.py [--rounds 40]

Takes the environments that `raven run` and `raven run --no-capture` give a program, starts `python -c pass`
in each, taking turns, and reports the median of the differences within the pairs.  The limit is 30 ms.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from paired import interleave, load

LIMIT = 0.030  # seconds
TELL = "import json, os, sys; print(json.dumps([dict(os.environ), '_ravenml_capture' in sys.modules]))"


def environment_below(home: Path, *options: str) -> tuple[dict[str, str], bool]:
    """The environment of a program below `raven run` with these options, and whether the hooks are in it."""
    command = [sys.executable, "-m", "ravenml", "run", *options, "--", sys.executable, "-c", TELL]
    environment = {**os.environ, "RAVENML_STORAGE_PATH": str(home), "RAVENML_TRACK": "none"}
    done = subprocess.run(command, cwd=home, env=environment, check=True, stdout=subprocess.PIPE, text=True)
    variables, hooked = json.loads(next(line for line in done.stdout.splitlines() if line.startswith("[{")))
    return variables, hooked


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=40, help="pairs that are measured (40)")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        with_hooks, are_in = environment_below(home)
        without, are_in_without = environment_below(home, "--no-capture")
        if not are_in or are_in_without:
            sys.exit("`raven run` hooks into no program, or does in spite of --no-capture.")

        def start(environment: dict[str, str]) -> None:
            subprocess.run([sys.executable, "-c", "pass"], cwd=home, env=environment, check=True)

        print(f"before: {load()}")
        seconds = interleave(
            {"without hooks": lambda: start(without), "with hooks": lambda: start(with_hooks)},
            chosen.rounds,
            warm_up=3,
        )
    added = [a - b for a, b in zip(seconds["with hooks"], seconds["without hooks"], strict=True)]
    for name, values in seconds.items():
        print(f"{name:13} median {1000 * statistics.median(values):6.1f} ms")
    middle, quarters = statistics.median(added), statistics.quantiles(added)
    verdict = "within" if middle <= LIMIT else "ABOVE"
    print(
        f"added         median {1000 * middle:6.1f} ms, quartiles {1000 * quarters[0]:.1f} and"
        f" {1000 * quarters[2]:.1f} ms: {verdict} {1000 * LIMIT:.0f} ms"
    )
    print(f"{len(added)} pairs; after: {load()}")
    return 0 if middle <= LIMIT else 1


if __name__ == "__main__":
    sys.exit(main())
