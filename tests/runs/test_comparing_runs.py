"""Runs side by side: what differs, the scores, and charts."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import pytest
from as_user import Raven
from many_runs import events_of, write_run

from ravenml.common.io import write_json
from ravenml.errors import InputError
from ravenml.runs.chart import draw
from ravenml.runs.comparison import compare
from ravenml.runs.curves import Curve, curves
from ravenml.runs.overview import headline, overview, rows

A, B, C = "20260101-000000-aaaaaa", "20260102-000000-bbbbbb", "20260103-000000-cccccc"


@pytest.fixture
def two(home: Path) -> list[Path]:
    """Two runs that differ in their learning rate; the second is better."""
    first = write_run(
        home,
        A,
        settings={"lr": 0.1, "epochs": 3, "size": {"w": 1}},
        metrics={"val/miou": 0.3, "val/loss": 1.0},
    )
    second = write_run(
        home,
        B,
        settings={"lr": 0.01, "epochs": 3, "size": {"w": 2}},
        metrics={"val/miou": 0.5, "train/loss": 2.0},
    )
    events_of(first, {"val/miou": [0.1, 0.2, 0.3], "train/loss": [3, 2, 1]})
    events_of(second, {"val/miou": [0.1, 0.4, 0.5]})
    return [first, second]


def test_only_what_differs_is_shown_and_all_metrics_stand_side_by_side(two: list[Path]) -> None:
    compared = compare(two)
    assert compared.differing == {"lr": [0.1, 0.01], "size.w": [1, 2]}
    assert compared.metrics == {"val/miou": [0.3, 0.5], "val/loss": [1.0, None], "train/loss": [None, 2.0]}
    table = compared.metrics_table()
    assert table[2].split() == ["val/miou", "0.3000", "0.5000", "+0.2000"]
    assert table[3].split() == ["val/loss", "1.0000", "-", "-"]


def test_on_the_command_line_there_is_a_chart_and_a_picture(
    two: list[Path], raven: Raven, tmp_path: Path
) -> None:
    shown = raven.ok("runs", "compare", A, B, "--png", tmp_path / "chart.png")
    assert "What differs" in shown and "size.w" in shown and "epochs" not in shown
    chart = shown.partition("\nval/miou\n")[2].splitlines()
    assert chart[0].startswith("0.5 ┤") and chart[0].endswith("B")
    assert any(line.endswith("A") for line in chart) and chart[-2].endswith("3 epoch")
    picture = cv2.imread(str(tmp_path / "chart.png"))
    assert picture is not None and picture.std() > 5
    assert json.loads(raven.ok("runs", "compare", A, B, "--json"))["settings"]["lr"] == [0.1, 0.01]


def test_a_metric_is_chosen_by_name_and_an_unknown_one_refused(two: list[Path], raven: Raven) -> None:
    assert "\ntrain/loss\n" in raven.ok("runs", "compare", A, B, "--metric", "train/loss")
    done = raven("runs", "compare", A, B, "--metric", "train/los")
    assert done.returncode == 2 and 'did you mean "train/loss"' in done.stderr
    assert raven("runs", "compare", A).returncode == 2


def test_runs_are_named_by_the_metric_that_their_plugin_chooses_the_best_checkpoint_by(home: Path) -> None:
    metrics = {"val/loss": 1.5, "val/ap": 0.3, "train/lr": 0.1}
    found = [write_run(home, run, metrics=metrics, more={"best_metric": "val/ap"}) for run in (A, B)]
    for folder in found:
        events_of(folder, {"val/loss": [2.0, 1.5], "val/ap": [0.1, 0.3]})
    assert compare(found).metrics_to_chart([]) == ["val/ap"]
    (row,) = {tuple(line[6:7]) for line in rows(overview())[1:]}
    assert row == ("val/ap 0.3000",)
    assert headline(metrics) == ("val/loss", 1.5) and headline({"loss": 2}, "val/ap") == ("loss", 2.0)


def test_a_k_fold_runs_curve_is_the_mean_of_its_folds(home: Path) -> None:
    folder = write_run(home, C)
    for fold, values in enumerate([[0.1, 0.3], [0.3, 0.5, 0.9]]):
        place = folder / "folds" / str(fold)
        place.mkdir(parents=True)
        events_of(place, {"val/miou": values})
    assert curves(folder)["val/miou"].x == [1, 2]
    assert curves(folder)["val/miou"].y == pytest.approx([0.2, 0.4])


def test_what_a_resumed_training_has_overtaken_is_not_drawn(home: Path) -> None:
    folder = write_run(home, C)
    events_of(folder, {"val/miou": [0.1, 0.2, 0.9]}, step=1)
    with (folder / "events.jsonl").open("a") as file:
        file.write('{"event_type": "EventType.RESUMED", "step": 2, "epoch": 2, "attempt": 2}\n')
        file.write('{"event_type": "EventType.METRICS", "type": "val", "epoch": 3, "step": 3, '
                   '"metrics": {"miou": 0.3, "loss": "NaN"}, "attempt": 2}\n')  # fmt: skip
    assert curves(folder)["val/miou"].y == [0.1, 0.2, 0.3]
    assert curves(folder)["val/loss"].finite() == []


def test_runs_without_curves_are_compared_all_the_same(home: Path) -> None:
    compared = compare([write_run(home, A), write_run(home, B, status=None)])
    assert compared.differing == {"status": ["completed", "lost"]}
    assert compared.metrics_to_chart([]) == [] and compared.metrics_table() == ["No scores were reported."]
    with pytest.raises(InputError, match="no curve of 'val/miou' was reported"):
        compared.metrics_to_chart(["val/miou"])


@pytest.mark.parametrize(
    ("one", "other", "shown"),
    [
        (["train.sh", "big", "3"], ["train.sh", "big", "4"], ["3", "4"]),
        (["train.sh", "a", "b"], ["train.sh", "b", "a"], ["train.sh a b", "train.sh b a"]),
        (["train.sh", "a"], ["train.sh", "a"], None),
    ],
)
def test_command_lines_that_differ_are_never_called_identical(
    home: Path, one: list[str], other: list[str], shown: list[str] | None
) -> None:
    folders = []
    for number, program in enumerate((one, other)):
        folder = home / "runs" / f"20261130-r{number}"
        command = ["raven", "run", "--name", f"n{number}", "--", *program]
        process = {"host": "h", "pid": 1}
        record = {"id": folder.name, "kind": "program", "command": command, "process": process}
        write_json(folder / "run.json", {**record, "attempts": [], "result": {"status": "completed"}})
        folders.append(folder)
    compared = compare(folders)
    assert compared.differing.get("program") == shown
    assert ("Identical settings." in compared.settings_table()) == (shown is None)


def test_a_straight_line_is_drawn_straight() -> None:
    lines = draw([Curve("epoch", [0, 1], [0, 1])], width=24, height=4)
    body = [line.partition("┤")[2] for line in lines[:4]]
    # From the lower left to the upper right: in each row the dots stand further to the left than above.
    firsts = [next(i for i, letter in enumerate(row) if letter not in "⠀ ") for row in body]
    assert firsts == sorted(firsts, reverse=True) and firsts[-1] == 0
    assert lines[0].startswith("  1 ┤") and lines[3].startswith("  0 ┤") and "0.5 ┤" in lines[2]


@pytest.mark.parametrize("y", [[0.5, 0.5], [0.5], [float("nan"), 2.0]])
def test_flat_single_and_missing_points_are_no_trouble(y: list[float]) -> None:
    assert len(draw([Curve("step", list(range(len(y))), y), None], width=30)) == 14
    assert draw([Curve("step", [1], [float("nan")])], width=30) == []
