"""`--precision auto`, `--compile` and the folds trained at once: what is measured decides, and is kept."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from unet_support import MakeInput, run_unet, small_settings

from ravenml.config.machine import remember, usable_cores
from ravenml.data.project import Project
from ravenml.runs.events import read_events
from ravenml.runs.run import Run
from ravenml_unet.autotune import (
    WORTH,
    StepShape,
    describe,
    fastest_execution,
    measure_steps,
)
from ravenml_unet.device import choose_execution
from ravenml_unet.fold_speed import fastest_parallel_folds, measure_folds
from ravenml_unet.training import run_training

SHAPE = StepShape("UNet", 3, batch=2, width=32, height=32)  # what small_settings trains
pytestmark = pytest.mark.usefixtures("slim_unet")


def measured(precision: str, memory_format: str = "channels_last") -> None:
    """Let this machine have found this to be the fastest."""
    seconds = {"32": 0.2, "bf16": 0.1 if precision == "bf16" else 0.4}
    found = {"precision": precision, "memory_format": memory_format, "seconds": seconds}
    assert remember("training_step", describe(SHAPE), lambda: found) == found


def train(make_input: MakeInput, folder: str = "run", **changes: Any) -> dict[str, Any]:
    given = make_input(small_settings(**{"precision": "auto", "epochs": 1} | changes), folder=folder)
    output = run_training(given)
    assert output is not None
    return dict(output.metadata)


def told(run: Path) -> str:
    return "\n".join(event.message for event in read_events(run / "events.jsonl"))


def test_the_test_of_a_step_times_both_precisions_and_takes_the_faster_one() -> None:
    found = measure_steps(SHAPE)
    seconds = found["seconds"]
    assert set(seconds) == {"32", "bf16"} and min(seconds.values()) > 0
    # The times are those of the better memory format, which is measured after the precision was chosen.
    if found["memory_format"] == "channels_last":
        assert found["precision"] == ("bf16" if seconds["bf16"] * WORTH < seconds["32"] else "32")


def test_the_test_leaves_random_numbers_and_threads_as_they_are() -> None:
    torch.manual_seed(3)
    wanted = torch.rand(1)
    torch.manual_seed(3)
    threads = torch.get_num_threads()
    measure_steps(SHAPE)
    assert torch.equal(torch.rand(1), wanted) and torch.get_num_threads() == threads


def test_a_step_is_tested_once_and_remembered() -> None:
    assert fastest_execution(SHAPE) == fastest_execution(SHAPE)  # to the last digit of its seconds


def test_large_images_are_tested_on_smaller_ones() -> None:
    found = measure_steps(StepShape("UNet", 2, batch=16, width=512, height=384))
    assert found["images"] == [2, 3, 192, 256] or found["images"] == [2, 3, 96, 128]


@pytest.mark.parametrize(("precision", "named"), [("bf16", "bf16-mixed"), ("32", "32-true")])
def test_auto_trains_in_the_precision_that_is_faster_and_says_both_times(
    make_input: MakeInput, tmp_path: Path, precision: str, named: str
) -> None:
    measured(precision)
    about = train(make_input)
    assert about["precision"] == named
    assert about["step_seconds"] == {"32": 0.2, "bf16": 0.1 if precision == "bf16" else 0.4}
    took = "100 ms" if precision == "bf16" else "400 ms"
    assert f"A test step took {took} in bfloat16 and 200 ms in float32" in told(tmp_path / "run")


def test_a_precision_that_was_asked_for_is_not_tested(make_input: MakeInput, tmp_path: Path) -> None:
    measured("bf16")
    about = train(make_input, precision="32")
    assert about["precision"] == "32-true" and "step_seconds" not in about
    assert "A test step" not in told(tmp_path / "run")


def test_the_memory_format_changes_nothing_but_the_last_digits(make_input: MakeInput, tmp_path: Path) -> None:
    losses = []
    for folder, memory_format in (("first", "channels_last"), ("second", "contiguous")):
        shutil.rmtree(tmp_path / "home", ignore_errors=True)
        measured("32", memory_format)
        about = train(make_input, folder)
        assert about["memory_format"] == memory_format
        losses.append(about["metrics"]["val/loss"])
    assert losses[0] == pytest.approx(losses[1], rel=1e-3)


def stopping_at_once(path: Path, run_id: str, fields: dict[str, Any]) -> Run:
    class Stopped(Run):
        asked = 0

        def should_stop(self) -> bool:
            self.asked += 1
            return self.asked > 1

    return Stopped.begin(path, run_id, fields)


def test_resuming_keeps_the_precision_that_the_training_began_with(
    make_input: MakeInput, tmp_path: Path
) -> None:
    measured("bf16")
    settings = small_settings(precision="auto")
    first = make_input(settings, make_run=stopping_at_once)
    assert run_training(first) is None
    first.run.finish("interrupted")
    shutil.rmtree(tmp_path / "home")
    measured("32")
    output = run_training(make_input(settings, resume=True))
    assert output is not None and output.metadata["precision"] == "bf16-mixed"
    assert "This machine differs" not in told(tmp_path / "run")


def test_a_fold_on_another_machine_keeps_to_the_precision_of_the_first_one(
    make_input: MakeInput, tmp_path: Path
) -> None:
    measured("bf16", "contiguous")
    settings = small_settings(precision="auto", epochs=1)
    first = make_input(settings, "first", fold=0)
    assert run_training(first) is not None
    chosen = first.run.record["choices"]
    assert chosen == {"device": "cpu", "precision": "bf16-mixed", "memory_format": "contiguous"}
    shutil.rmtree(tmp_path / "home")
    measured("32")
    second = run_training(make_input(settings, "second", fold=1, fold_choices=chosen))
    assert second is not None
    assert second.metadata["precision"] == "bf16-mixed" and second.metadata["memory_format"] == "contiguous"


@pytest.mark.parametrize(
    "chosen",
    [
        {"precision": "64"},
        {"precision": ["32"]},
        {"precision": "32-true", "device": "cpu", "memory_format": {}},
    ],
)
def test_a_damaged_choice_of_another_fold_ends_no_training(chosen: dict[str, Any]) -> None:
    measured("32")
    assert choose_execution("auto", "cpu", SHAPE, None, chosen).precision == "32"


def test_what_is_measured_is_said_before_it_is_and_only_then(capfd: pytest.CaptureFixture[str]) -> None:
    fastest_execution(SHAPE)
    assert capfd.readouterr().err == (
        "Measuring which precision is the fastest on this processor; --precision 32 skips this.\n"
    )
    fastest_execution(SHAPE)
    assert capfd.readouterr().err == ""


def test_a_network_of_ones_own_is_described_without_being_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    code = tmp_path / "slow_to_make.py"
    code.write_text("raise RuntimeError('imported')")
    shape = StepShape("slow_to_make:Net", 3, batch=2, width=32, height=32)
    before = describe(shape)
    assert describe(shape) == before
    code.write_text("raise RuntimeError('imported again')")
    assert describe(shape) != before  # it is another network, and measured again


def compiled_takes(seconds: float) -> None:
    about = describe(SHAPE) | {"precision": "32", "memory_format": "channels_last"}
    remember("compiled_step", about, lambda: {"compiled": seconds, "plain": 0.2})


def test_what_is_slower_compiled_is_trained_without(make_input: MakeInput, tmp_path: Path) -> None:
    if shutil.which("g++") is None:
        pytest.skip("--compile needs g++")
    compiled_takes(0.3)
    about = train(make_input, precision="32", compile=True)
    assert about["compiled"] is False
    assert "took 300 ms compiled and 200 ms not compiled: training without" in told(tmp_path / "run")


# Folds at the same time.


@pytest.fixture
def folds_take(project_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., int]:
    """How many of three folds run at once where a measurement has found this."""

    def take(together: float, in_turn: float, memory: int = 1 << 20, **changes: Any) -> int:
        found = {"together": together, "in_turn": in_turn, "memory": memory}
        monkeypatch.setattr("ravenml_unet.fold_speed.measure_folds", lambda about: found)
        return fastest_parallel_folds(small_settings(**changes), Project.open(project_path), 3)

    return take


@pytest.mark.skipif(usable_cores() < 2, reason="one core trains one fold")
def test_folds_are_trained_at_once_where_that_is_faster_and_memory_has_room(
    folds_take: Callable[..., int], capfd: pytest.CaptureFixture[str]
) -> None:
    assert folds_take(together=1.0, in_turn=1.5) == min(3, usable_cores())
    assert "Measuring how many folds are the fastest at once" in capfd.readouterr().err
    assert folds_take(together=1.5, in_turn=1.0, epochs=9) == min(3, usable_cores())  # remembered
    assert folds_take(together=1.5, in_turn=1.0, model="LinkNet34") == 1
    assert folds_take(together=1.0, in_turn=1.5, memory=1 << 50, model="AlbuNet") == 1


def test_a_network_of_ones_own_is_not_run_to_be_measured(folds_take: Callable[..., int]) -> None:
    assert folds_take(together=1.0, in_turn=1.5, model="my_networks:Mine") == 1


@pytest.mark.slow  # imports PyTorch in another process and trains three folds
def test_a_k_fold_run_says_how_many_folds_it_trains_at_once(project_path: Path, own_home: Path) -> None:
    small = ["--epochs", "1", "--batch-size", "2", "--input-width", "32", "--input-height", "32"]
    small += ["--device", "cpu", "--workers", "0", "--previews", "0"]
    done = run_unet(
        *("train", "--dataset", project_path, "unet", "train", "--folds", "2", *small), OMP_NUM_THREADS=""
    )
    (run,) = (own_home / "runs").iterdir()
    jobs = json.loads((run / "run.json").read_text())["kfold"]["jobs"]
    assert 1 <= jobs <= 2
    assert ("Training 2 folds at a time" in done.stdout + done.stderr) == (jobs == 2)


@pytest.mark.slow  # imports PyTorch in three processes
def test_folds_are_measured_in_processes_like_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ravenml_unet.fold_speed.ALONE", 0.0)  # tests share the machine
    about = {
        "shape": {"architecture": "UNet", "classes": 3, "batch": 2, "width": 64, "height": 64},
        "precision": "32",
        "device": "cpu",
        "count": 2,
    }
    found = measure_folds(about)
    assert 0 < found["together"] < 60 and 0 < found["in_turn"] < 60 and found["memory"] > 100 << 20


@pytest.mark.slow  # imports PyTorch in three processes
def test_a_busy_machine_says_nothing_about_its_folds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ravenml_unet.fold_speed.ALONE", 2.0)
    about = {
        "shape": {"architecture": "UNet", "classes": 3, "batch": 2, "width": 32, "height": 32},
        "precision": "32",
        "device": "cpu",
        "count": 2,
    }
    with pytest.raises(ValueError, match="busy"):
        measure_folds(about)
