"""``make torture``: run the campaigns, and print how many trials each survived."""

from __future__ import annotations

import argparse
import random
import sys

from torture.runner import campaigns, run, summary


def main() -> int:
    parser = argparse.ArgumentParser(prog="torture", description=__doc__)
    parser.add_argument(
        "names", nargs="*", metavar="CAMPAIGN", help=f"default: all of {', '.join(campaigns())}"
    )
    parser.add_argument("--trials", type=int, help="of each campaign")
    parser.add_argument("--seconds", type=float, help="begin no trial of a campaign after this time")
    parser.add_argument("--seed", type=int, default=random.randrange(10_000))
    parser.add_argument("--trial", type=int, help="repeat this trial alone")
    options = parser.parse_args()
    unknown = sorted({name for name in options.names if not name.endswith(".py")} - set(campaigns()))
    if unknown:
        parser.error(f"no campaign is named {unknown[0]}; there are: {', '.join(campaigns())}")
    outcomes = []
    for name in options.names or campaigns():
        print(f"{name}: {summary(name)}", flush=True)
        first, trials = (0, options.trials) if options.trial is None else (options.trial, 1)
        outcomes.append(run(name, seed=options.seed, trials=trials, seconds=options.seconds, first=first))
        print(outcomes[-1], flush=True)
    return 1 if any(outcome.failures for outcome in outcomes) else 0


sys.exit(main())
