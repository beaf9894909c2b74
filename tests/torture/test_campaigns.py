"""A short form of every campaign; ``make torture`` runs them in full."""

from __future__ import annotations

import pytest

from torture.runner import campaigns, run, summary

SECONDS = 60
# The same for every commit, so that what fails was broken by it; `make torture` looks for new faults.
SEED = 19


@pytest.mark.slow  # up to a minute of attacks each
@pytest.mark.parametrize("name", campaigns())
def test_survives(name: str) -> None:
    outcome = run(name, seed=SEED, seconds=SECONDS)
    if outcome.missing:
        pytest.skip(outcome.missing)
    print(outcome)
    assert outcome.tried and not outcome.failures


@pytest.mark.parametrize("name", campaigns())
def test_says_what_it_tries(name: str) -> None:
    assert summary(name).endswith(".")
