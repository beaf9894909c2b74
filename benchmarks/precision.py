"""Whether `--precision auto` takes the faster precision on this processor, and what finding out costs.

    python benchmarks/precision.py PROJECT [--models UNet LinkNet34] [--rounds 5]

For each network, batches of 8 images of 128×96 are trained in float32 and in bfloat16, in turns, each in a
process of its own.  What the plugin's test of a step chose must take at most 1.1 times as long as the faster
one, and the test at most 2 seconds on an idle machine.  `ONEDNN_MAX_CPU_ISA` (AVX512_CORE_BF16,
AVX512_CORE, AVX2) hides a processor's newer units, which shows what other processors would choose.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path

from paired import interleave, load, median_ratio, report, waiting_process

SIDES = Path(__file__).with_name("training_sides.py")
WORSE, SECONDS = 1.1, 2.0
TEST = """
import json, sys, time
from ravenml_unet.autotune import StepShape, measure_steps
begun = time.perf_counter()
found = measure_steps(StepShape(sys.argv[1], 12, 8, 128, 96))
print(json.dumps({**found, "took": time.perf_counter() - begun}))
"""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("project", type=Path)
    parser.add_argument("--models", nargs="+", default=["UNet", "LinkNet34"])
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args()
    kept = True
    print(f"ONEDNN_MAX_CPU_ISA: {os.environ.get('ONEDNN_MAX_CPU_ISA', 'not set')}; {load()}")
    for model in given.models:
        words = [sys.executable, "-c", TEST, model]
        found = json.loads(subprocess.run(words, capture_output=True, text=True, check=True).stdout)
        settings = {
            "model": model,
            "input_size": {"width": 128, "height": 96},
            "batch_size": {"train": 8, "val": 8},
            "augmentations": "none",
            "device": "cpu",
        }
        sides = {}
        for precision in ("32", "bf16"):
            its = json.dumps(settings | {"precision": precision})
            sides[precision] = waiting_process(
                [sys.executable, str(SIDES), "bare", str(given.project), "1", its]
            )
        print(f"\n{model}, {given.rounds} turns of an epoch")
        seconds = interleave(sides, given.rounds)
        report(seconds, "32")
        chosen = found["precision"]
        slower = max(median_ratio(seconds[chosen], other) for other in seconds.values())
        quick = found["took"] <= SECONDS
        kept &= slower <= WORSE and quick
        times = ", ".join(f"{name} {1000 * took:.0f} ms" for name, took in found["seconds"].items())
        print(f"auto: {chosen} with {found['memory_format']} ({times} a step of the test)")
        print(f"It takes {slower:.2f} times as long as the faster one (limit: {WORSE:g}).")
        limit = f"{'within' if quick else 'ABOVE'} the limit of {SECONDS:g}"
        print(f"The test took {found['took']:.2f} s ({limit}).")
    print(f"\nafter: {load()}")
    return 0 if kept else 1


if __name__ == "__main__":
    sys.exit(main())
