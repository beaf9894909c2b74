"""The same bits, whatever happens: kills at random moments, and any number of workers."""

from __future__ import annotations

import os
import random
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from killed_training import SETTINGS, Trainings
from unet_support import MakeInput, small_settings

from ravenml.runs.events import effective, read_events
from ravenml_unet.training import run_training

KILLS = int(os.environ.get("RAVENML_KILLS", "50"))


def weights(folder: Path) -> dict[str, torch.Tensor]:
    (path,) = folder.glob("checkpoints/model_*_last.pth")
    loaded: dict[str, torch.Tensor] = torch.load(path, weights_only=True)
    return loaded


def same(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[key], b[key]) for key in a)


def told(folder: Path) -> list[tuple[str, int, dict[str, Any]]]:
    """What a reader of the events sees of training and validation, whatever was overtaken."""
    events = [event.fields for event in effective(read_events(folder / "events.jsonl"))]
    metrics = [e for e in events if e.get("event_type") == "EventType.METRICS"]
    return sorted(((e["type"], e["step"], e["metrics"]) for e in metrics), key=lambda one: one[:2])


@pytest.mark.parametrize(
    "kills", [3, pytest.param(KILLS, marks=[pytest.mark.slow, pytest.mark.timeout(1800)])]
)
def test_a_training_killed_at_random_moments_ends_with_the_same_weights(
    project_path: Path, tmp_path: Path, kills: int
) -> None:
    trainings = Trainings(project_path)
    whole = tmp_path / "whole"
    assert trainings.run(tmp_path / "warm") == 0  # fills the cache and starts the server
    begun = time.monotonic()
    assert trainings.run(whole) == 0
    seconds = time.monotonic() - begun
    expected, story = weights(whole), told(whole)
    chance = random.Random(kills)
    killed, number = 0, 0
    while killed < kills:
        number += 1
        folder = tmp_path / f"killed_{number}"
        killed += trainings.killed_and_resumed(folder, seconds, 90, chance)
        assert same(weights(folder), expected), folder
        assert told(folder) == story, folder
        assert sorted(p.name for p in (folder / "checkpoints").iterdir()) == sorted(
            p.name for p in (whole / "checkpoints").iterdir()
        )
    print(f"{killed} kills in {number} trainings of {seconds:.1f} s each")


@pytest.mark.parametrize("workers", [1, 3])
def test_the_number_of_workers_changes_no_bit(make_input: MakeInput, tmp_path: Path, workers: int) -> None:
    settings = {**SETTINGS, "epochs": 2}
    run_training(make_input(small_settings(**settings | {"workers": 0}), folder="none"))
    run_training(make_input(small_settings(**settings | {"workers": workers}), folder="some"))
    assert same(weights(tmp_path / "none"), weights(tmp_path / "some"))
