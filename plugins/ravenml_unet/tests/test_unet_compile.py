"""Compiled trainings: the same bits, plain weights, and a sentence where there is no compiler."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from killed_training import SETTINGS
from unet_support import MakeInput, small_settings

from ravenml.config.machine import remember
from ravenml.errors import InputError
from ravenml.runs.events import read_events
from ravenml.runs.run import Run
from ravenml_unet.autotune import Execution, StepShape, compiled_if_faster, describe
from ravenml_unet.models.registry import create_model
from ravenml_unet.training import run_training

# Of two steps an epoch, the second one smaller: two sizes of batch are compiled.
COMPILED: dict[str, Any] = {**SETTINGS, "epochs": 2, "batch_size": {"train": 3, "val": 2}, "compile": True}

needs_compiler = pytest.mark.skipif(shutil.which("g++") is None, reason="compiling needs g++")


def weights(folder: Path) -> dict[str, torch.Tensor]:
    (path,) = folder.glob("checkpoints/model_*_last.pth")
    loaded: dict[str, torch.Tensor] = torch.load(path, weights_only=True)
    return loaded


def same(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[key], b[key]) for key in a)


def stopped_after(steps: int) -> Callable[..., Run]:
    """A run that asks to stop when so many steps are done."""

    class Stopped(Run):
        asked = 0

        def should_stop(self) -> bool:
            self.asked += 1
            return self.asked > steps

    return Stopped.begin


@needs_compiler
@pytest.mark.slow  # compiles the network three times: 25 s on both cores
@pytest.mark.timeout(300)
def test_a_compiled_training_gives_the_same_bits_twice_and_when_it_was_stopped_in_between(
    make_input: MakeInput, tmp_path: Path
) -> None:
    settings = small_settings(**COMPILED)
    about = describe(StepShape(settings.model, 3, batch=3, width=32, height=32))
    about |= {"precision": "32", "memory_format": "channels_last"}
    remember("compiled_step", about, lambda: {"compiled": 0.1, "plain": 0.2})  # slow or not, it is compiled
    run_training(make_input(settings, folder="whole"))
    torch._dynamo.reset()  # as in a new process: everything is compiled anew, in another order
    # Stopped before the epoch's last, smaller batch: the one that goes on compiles that one first.
    first_part = make_input(settings, folder="parts", make_run=stopped_after(1))
    assert run_training(first_part) is None
    first_part.run.finish("interrupted")
    torch._dynamo.reset()
    run_training(make_input(settings, folder="parts", resume=True))
    assert same(weights(tmp_path / "whole"), weights(tmp_path / "parts"))
    told = "".join(event.message for event in read_events(tmp_path / "whole" / "events.jsonl"))
    assert "compiled before its first step" in told
    assert weights(tmp_path / "whole").keys() == create_model(settings.model, 3).state_dict().keys()


@needs_compiler
@pytest.mark.slow  # compiles the network once
@pytest.mark.timeout(300)
@pytest.mark.usefixtures("slim_unet")
def test_compiled_and_plain_steps_are_timed_once_and_the_faster_one_is_taken() -> None:
    shape = StepShape("UNet", 3, batch=2, width=32, height=32)
    chosen = compiled_if_faster(shape, Execution("32"))
    assert chosen.compiled == (chosen.seconds["compiled"] < chosen.seconds["plain"])
    assert compiled_if_faster(shape, Execution("32")) == chosen


@pytest.mark.usefixtures("slim_unet")
def test_without_a_compiler_one_sentence_says_so_before_anything_is_begun(
    make_input: MakeInput, tmp_path: Path
) -> None:
    from torch._inductor import config, cpp_builder

    cpp_builder.cpp_compiler_search.cache_clear()
    # not with monkeypatch: what it restores there is missing for all later tests of this process
    no_compiler = config.patch({"cpp.cxx": (None, "no-such-compiler")})
    problem = r"^compile: no C\+\+ compiler was found; install one .*$"
    with no_compiler, pytest.raises(InputError, match=problem):
        run_training(make_input(small_settings(compile=True)))
    cpp_builder.cpp_compiler_search.cache_clear()
    assert not (tmp_path / "run").exists()
