"""The learning rate of every step."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch.optim import lr_scheduler

from ravenml.toolkit.hyperparameters import learning_rate
from ravenml_unet.settings import UNetSettings


def rates(**settings: Any) -> list[float]:
    """Of the first step of each of ten epochs of three steps."""
    chosen = UNetSettings(epochs=10, lr=0.1, **settings)
    return [learning_rate(chosen, 3 * epoch, 3) for epoch in range(10)]


@pytest.mark.parametrize(
    ("settings", "make"),
    [
        (
            {"lr_schedule": "StepLR", "step_size": 3, "gamma_step": 0.5},
            lambda o: lr_scheduler.StepLR(o, 3, gamma=0.5),
        ),
        (
            {"lr_schedule": "MultiStepLR", "milestones": [2, 7], "gamma_step": 0.2},
            lambda o: lr_scheduler.MultiStepLR(o, [2, 7], gamma=0.2),
        ),
        ({"lr_schedule": "ExponentialLR", "gamma_exp": 0.7}, lambda o: lr_scheduler.ExponentialLR(o, 0.7)),
        ({"lr_schedule": "none"}, lambda o: lr_scheduler.ConstantLR(o, factor=1)),
    ],
)
def test_schedules_are_pytorchs_of_the_same_names(settings: dict[str, Any], make: Any) -> None:
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.1)
    scheduler = make(optimizer)
    expected = []
    for _ in range(10):
        expected.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    assert rates(**settings) == pytest.approx(expected)


def test_cosine_falls_from_the_rate_to_the_lowest_at_the_last_step() -> None:
    settings = UNetSettings(epochs=10, lr=0.1, lr_schedule="cosine", min_lr=0.02)
    all_rates = [learning_rate(settings, step, 3) for step in range(30)]
    assert all_rates[0] == pytest.approx(0.1)
    assert all_rates[-1] == pytest.approx(0.02)
    assert all_rates == sorted(all_rates, reverse=True)
    assert all_rates[14] + all_rates[15] == pytest.approx(0.12)


@pytest.mark.parametrize("schedule", ["none", "cosine"])
def test_the_warm_up_grows_to_the_rate_and_then_lets_the_schedule_go(schedule: str) -> None:
    settings = UNetSettings(epochs=10, lr=0.1, lr_schedule=schedule, warmup_epochs=1.5)  # 6 steps of 4
    first = [learning_rate(settings, step, 4) for step in range(7)]
    assert first == pytest.approx([0.1 * (step + 1) / 7 for step in range(7)])
    assert learning_rate(settings, 8, 4) <= 0.1


def test_the_warm_up_multiplies_what_the_schedule_says() -> None:
    warm = rates(lr_schedule="ExponentialLR", gamma_exp=0.5, warmup_epochs=2)
    assert warm[1] == pytest.approx(0.1 * 0.5 * 4 / 7)
