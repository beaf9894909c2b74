"""Installing and removing plugins, killed at any instant: the next script succeeds and leaves no trace."""

from __future__ import annotations

import random
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[1] / "plugin"))

from local_wheels import Checkout, Environment, killed_after, make_wheels

TRIALS = 60
SECONDS_PER_TRIAL = 240.0


@contextmanager
def campaign(folder: Path) -> Iterator[Callable[[random.Random], str]]:
    """Make an environment whose user has a package that a plugin changes, and one that shares its files."""
    (folder / "wheels").mkdir()
    wheels = make_wheels(folder / "wheels")
    environment = Environment.with_core(folder / "venv", wheels, folder / "build")
    checkout = Checkout.make(folder / "checkout", wheels)
    checkout.plugin("large", ["gamma==1.0", "alpha==2.0", "twin-b==1.0"])
    checkout.plugin("tiny", ["beta==1.0", "alpha==2.0"])
    environment.pip("install", "-q", "alpha==1.0", "twin-a")
    first = environment.everything()
    install_all = [str(checkout.install_all)]
    scripts = {
        "all": install_all,
        "large": [str(checkout.script("large"))],
        "tiny": [str(checkout.script("tiny"))],
        "removal": [*install_all, "-u"],
        "removal of tiny": [*install_all, "-u", "tiny"],
    }
    took: dict[str, float] = {}

    def trial(rng: random.Random) -> str:
        name = rng.choice(list(scripts))
        if "removal" in name:
            environment.ok(*install_all)
        killed = 0
        for _ in range(rng.choice([1, 1, 2, 3])):
            killed += _kill(environment, scripts[name], rng.uniform(0, took.get(name, 4.0)), took, name)
        if rng.random() < 0.4:
            environment.ok(*install_all)  # the next installation completes it
            has = {path.name for path in environment.site.iterdir()}
            assert {"alpha-2.0.dist-info", "beta-1.0.dist-info", "gamma-1.0.dist-info"} <= has, sorted(has)
        environment.ok(*install_all, "-u", "-c")
        now = environment.everything()
        assert now == first, sorted(set(now).symmetric_difference(first))[:20]
        return f"{name}: {'killed' if killed else 'had ended'}"

    yield trial


def _kill(
    environment: Environment, command: list[str], seconds: float, took: dict[str, float], name: str
) -> bool:
    """Kill a script, and all that it has started, after this time; whether it still ran."""
    began = time.monotonic()
    killed = killed_after(environment, seconds, *command)
    if killed:
        took[name] = max(took.get(name, 4.0), 1.3 * seconds)  # it takes longer than that
    else:
        took[name] = time.monotonic() - began
    return killed
