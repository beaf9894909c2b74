"""Runs of several seeds: mean, deviation and how many, for each group of equal settings."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest
from as_user import Raven
from many_runs import write_run

from ravenml.errors import InputError
from ravenml.runs.comparison import Comparison, compare
from ravenml.runs.grouping import group_runs, group_table


@pytest.fixture
def seeds(home: Path) -> list[Path]:
    """Two learning rates with seeds 1 to 3 and 1 to 2; one run has lost its loss."""
    scores = {(0.1, 1): 0.4, (0.1, 2): 0.5, (0.1, 3): 0.6, (0.01, 1): 0.2, (0.01, 2): 0.4}
    return [
        write_run(
            home,
            f"2026010{number}-000000-aaaaaa",
            settings={"lr": lr, "seed": seed, "epochs": 9},
            metrics={"val/miou": score, **({"val/loss": 1.0} if seed != 3 else {})},
        )
        for number, ((lr, seed), score) in enumerate(scores.items(), 1)
    ]


@pytest.fixture
def compared(seeds: list[Path]) -> Comparison:
    return compare(seeds)


@pytest.mark.parametrize("names", [["lr"], ["-seed"], ["lr", "-seed"]])
def test_groups_are_runs_that_agree_about_a_setting_or_differ_in_one_alone(
    compared: Comparison, names: list[str]
) -> None:
    first, second = group_runs(compared, names)
    assert [first.values, second.values] == [{"lr": 0.1}, {"lr": 0.01}]
    assert [first.metrics["val/miou"].n, second.metrics["val/miou"].n] == [3, 2]
    assert first.metrics["val/miou"].mean == pytest.approx(0.5)
    assert first.metrics["val/miou"].std == pytest.approx(0.1)  # of a sample: n - 1
    assert second.metrics["val/miou"].std == pytest.approx(0.02**0.5)


def test_a_score_that_some_runs_lack_says_of_how_many_it_is(compared: Comparison) -> None:
    table = group_table(group_runs(compared, ["lr"]))
    assert table[0].split() == ["n", "val/miou", "val/loss"]
    assert table[2].split() == ["lr=0.1", "3", "0.5000", "±", "0.1000", "1.0000", "±", "0.0000", "(n=2)"]


def test_one_run_has_no_deviation_and_nan_makes_the_mean_undefined(home: Path, seeds: list[Path]) -> None:
    broken = write_run(home, "20260109-000000-a", settings={"seed": 1}, metrics={"val/miou": "NaN"})
    by_seed = group_runs(compare([*seeds, broken]), ["seed"])
    assert [str(one.metrics["val/miou"]) for one in by_seed] == ["not defined", "0.4500 ± 0.0707", "0.6000"]


def test_a_setting_that_no_run_has_is_refused_with_the_nearest(compared: Comparison) -> None:
    with pytest.raises(InputError, match=r"--group-by: none of the runs has the setting 'sed'.*seed"):
        group_runs(compared, ["-sed"])


def test_the_groups_are_a_table_json_or_csv(seeds: list[Path], raven: Raven) -> None:
    ids = [folder.name for folder in seeds]
    shown = raven.ok("runs", "compare", "--group-by", "-seed", *ids)
    assert "lr=0.01  2  0.3000 ± 0.1414" in shown
    found = json.loads(raven.ok("runs", "compare", "--group-by", "lr", "--json", *ids))
    assert found[0]["group"] == {"lr": 0.1} and found[0]["runs"] == ids[:3]
    assert found[0]["metrics"]["val/loss"] == {"mean": 1.0, "std": 0.0, "n": 2}
    rows = list(csv.DictReader(raven.ok("runs", "compare", "--group-by", "lr", "--csv", *ids).splitlines()))
    assert [row["lr"] for row in rows] == ["0.1", "0.01"] and rows[0]["val/loss n"] == "2"
    refused = raven("runs", "compare", "--csv", *ids)
    assert refused.returncode == 2 and "--csv belongs to --group-by" in refused.stderr
