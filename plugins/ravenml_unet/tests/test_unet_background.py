"""Work beside the training: in order, whole at the end, and no failure unnoticed."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
import torch
from torch import nn
from unet_support import small_settings

from ravenml.errors import RavenError
from ravenml.runs.run import Run
from ravenml.toolkit.async_writer import MOST, AsyncWriter
from ravenml_unet.checkpoints import State, TorchCheckpointWriter


def state(step: int, weights: str, optimizer: dict[str, torch.Tensor]) -> State:
    return State(step, 0, step, weights, optimizer, {}, {}, {}, {})


def test_work_is_done_in_order_beside_and_all_of_it_when_the_block_ends() -> None:
    done: list[int] = []
    begun = threading.Event()
    with AsyncWriter() as background:
        background.do(begun.wait)
        for number in range(MOST - 1):
            background.do(lambda number=number: done.append(number))  # type: ignore[misc]
        assert not done
        begun.set()
    assert done == list(range(MOST - 1))


def test_a_failure_is_raised_and_what_was_to_follow_it_is_not_done() -> None:
    done: list[str] = []

    def fail() -> None:
        raise RavenError("The disk is full.")

    with pytest.raises(RavenError, match="disk is full"), AsyncWriter() as background:
        background.do(fail)
        background.do(lambda: done.append("later"))
    assert not done


def test_an_error_of_the_training_itself_is_not_hidden_and_what_waits_is_still_written() -> None:
    done: list[str] = []
    with pytest.raises(ZeroDivisionError), AsyncWriter() as background:
        background.do(lambda: done.append("written"))
        raise ZeroDivisionError
    assert done == ["written"]


def test_a_checkpoint_holds_the_weights_of_its_moment_whatever_is_learned_while_it_is_written(
    tmp_path: Path,
) -> None:
    model = nn.Conv2d(2, 3, 3).to(memory_format=torch.channels_last)
    moments = {"average": torch.zeros(4)}
    written = threading.Event()
    with AsyncWriter() as background:
        keeper = TorchCheckpointWriter(Run.begin(tmp_path / "run", "run", {}), small_settings(), background)
        background.do(written.wait)
        threading.Timer(0.05, written.set).start()
        expected = {name: value.clone() for name, value in model.state_dict().items()}
        keeper.keep_position(model, "model_001.pth", state(1, "model_001.pth", moments), 1.0)
        with torch.no_grad():
            model.weight.add_(1)
            model.bias.add_(1)  # type: ignore[union-attr]
            moments["average"].add_(1)
    found = torch.load(keeper.folder / "model_001.pth", weights_only=True)
    assert all(torch.equal(found[name], value) for name, value in expected.items())
    kept = torch.load(keeper.folder / "state_001.pt", weights_only=True)
    assert torch.equal(kept["optimizer"]["average"], torch.zeros(4))


def test_the_best_weights_and_a_checkpoint_of_the_same_step_are_one_file_under_two_names(
    tmp_path: Path,
) -> None:
    model = nn.Conv2d(2, 3, 3)
    with AsyncWriter() as background:
        keeper = TorchCheckpointWriter(Run.begin(tmp_path / "run", "run", {}), small_settings(), background)
        for step in (1, 2):
            best, periodic = f"model_{step:03d}_best.pth", f"model_{step:03d}.pth"
            with torch.no_grad():
                model.weight.add_(1)
            keeper.keep_best(model, best, step, step, {})
            keeper.keep_position(model, periodic, state(step, periodic, {}), step)
    assert sorted(path.name for path in keeper.folder.iterdir()) == [
        "model_001.pth",
        "model_002.pth",
        "model_002_best.pth",
        "state_002.pt",
    ]
    assert (keeper.folder / best).samefile(keeper.folder / periodic)
    assert not torch.equal(
        torch.load(keeper.folder / "model_001.pth", weights_only=True)["weight"],
        torch.load(keeper.folder / "model_002.pth", weights_only=True)["weight"],
    )
