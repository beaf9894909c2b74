"""A short form of every campaign; ``make torture`` runs them in full."""

from __future__ import annotations

import subprocess

import pytest

from torture.runner import campaigns, run, summary

SECONDS = 60


def commits() -> int:
    """A seed that differs from commit to commit, and is the same for all who test one."""
    counted = subprocess.run(["git", "rev-list", "--count", "HEAD"], capture_output=True, text=True)
    return int(counted.stdout or 1) if counted.returncode == 0 else 1


@pytest.mark.slow  # up to a minute of attacks each
@pytest.mark.parametrize("name", campaigns())
def test_survives(name: str) -> None:
    outcome = run(name, seed=commits(), seconds=SECONDS)
    if outcome.missing:
        pytest.skip(outcome.missing)
    print(outcome)
    assert outcome.tried and not outcome.failures


@pytest.mark.parametrize("name", campaigns())
def test_says_what_it_tries(name: str) -> None:
    assert summary(name).endswith(".")
