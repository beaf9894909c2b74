"""The runner notices everything that must not happen in a trial."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from torture.runner import run

CAMPAIGN = """
'''A campaign whose every trial does what must not happen.'''
import ctypes
import os
import pickle
import time
from contextlib import contextmanager

from torture.runner import Missing, guard

TRIALS = 3
SECONDS_PER_TRIAL = {limit}


@contextmanager
def campaign(folder):
    def trial(rng):
        with guard(folder):
            {body}
        return "survived"

    yield trial
"""


def write_campaign(folder: Path, body: str) -> str:
    path = folder / "attack.py"
    limit = "1" if "sleep" in body else "60"
    path.write_text(CAMPAIGN.replace("{body}", body).replace("{limit}", limit))
    return str(path)


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("assert 1 == 2, 'the numbers differ'", "the numbers differ"),
        ("{}['name']", "KeyError"),
        ("ctypes.string_at(0)", "died of SIGSEGV"),
        ("os._exit(7)", "ended with exit code 7"),
        ("time.sleep(600)", "Timeout"),
        ("bytearray(1120 << 20)", "1.1 GiB of memory"),
        ("open('{outside}', 'w').close()", "open {outside}"),
        ("os.mkdir('{outside}' + str(rng.random()))", "os.mkdir {outside}"),
        ("os.symlink('x', '{outside}' + str(rng.random()))", "os.symlink {outside}"),
        ("os.system('true')", "os.system"),
        ("pickle.loads(pickle.dumps(print))", "pickle.find_class"),
    ],
)
def test_a_trial_that_does_what_must_not_happen_has_failed(tmp_path: Path, body: str, said: str) -> None:
    outside = str(tmp_path / "outside")
    body, said = body.replace("{outside}", outside), said.replace("{outside}", outside)
    outcome = run(write_campaign(tmp_path, body), seed=1)
    assert outcome.tried == 3 and outcome.survived == 0
    assert sorted(outcome.failures) == [0, 1, 2] and all(said in one for one in outcome.failures.values())


def test_trials_that_go_well_are_counted_by_what_happened(tmp_path: Path) -> None:
    body = "(folder / 'note').write_text('inside')\n        return f'drew {rng.randrange(2)}'"
    outcome = run(write_campaign(tmp_path, body), seed=5, trials=20)
    drawn = [random.Random(f"5/{number}").randrange(2) for number in range(20)]
    assert outcome.words == {"drew 0": drawn.count(0), "drew 1": drawn.count(1)} and not outcome.failures


def test_a_campaign_that_cannot_run_here_says_what_it_needs(tmp_path: Path) -> None:
    outcome = run(write_campaign(tmp_path, "raise Missing('install the moon')"), seed=1)
    assert outcome.missing == "install the moon" and "not run: install the moon" in str(outcome)


def test_a_failure_is_printed_with_the_command_that_repeats_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run(write_campaign(tmp_path, "assert rng.random() > 0.5"), seed=5, trials=20)
    first = next(number for number in range(20) if random.Random(f"5/{number}").random() <= 0.5)
    assert f"SEED=5 TRIAL={first}\n" in capsys.readouterr().out
