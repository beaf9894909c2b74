"""The toolkit's training loop, with the smallest network there is: a line through points, in numpy."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from ravenml.errors import RavenError
from ravenml.runs.events import effective, read_events
from ravenml.runs.run import Run
from ravenml.toolkit.async_writer import AsyncWriter
from ravenml.toolkit.checkpoints import CheckpointWriter
from ravenml.toolkit.hyperparameters import BatchSize, LoopSettings
from ravenml.toolkit.loop import TrainingLoop
from ravenml.toolkit.seeding import epoch_order

Array = NDArray[np.float64]
X = np.linspace(-1, 1, 10)
Y = 3 * X - 1


class Line:
    def __init__(self) -> None:
        self.weights = np.zeros(2)

    def error(self, indices: NDArray[np.int64]) -> Array:
        return np.asarray(self.weights[0] * X[indices] + self.weights[1] - Y[indices])


@dataclass
class State:
    epoch: int
    batch: int
    step: int
    weights: str
    loss: float
    best: dict[str, Any] | None


class Writer(CheckpointWriter[Line, Array, State]):
    suffix, state_suffix = ".npy", ".txt"

    def copied(self, model: Line) -> Array:
        return model.weights.copy()

    def write_weights(self, path: Path, weights: Array) -> None:
        np.save(path, weights)

    def write_state(self, path: Path, state: State) -> None:
        path.write_text(json.dumps(asdict(state)))


class Fit(TrainingLoop[Line, State, NDArray[np.int64]]):
    """Gradient descent on the squared error."""

    def batches(self) -> Iterator[NDArray[np.int64]]:
        size = self.settings.batch_size.train
        order = epoch_order(len(X), self.settings.seed, self.fold, self.epoch)
        yield from (order[at : at + size] for at in range(self.batch * size, len(X), size))

    def learn(self, batch: NDArray[np.int64]) -> None:
        error = self.network.error(batch)
        self.loss += float((error**2).mean())
        gradient = np.array([(error * X[batch]).mean(), error.mean()])
        with np.errstate(all="ignore"):
            self.network.weights -= self.lr * gradient

    def clear_sums(self) -> None:
        self.loss = 0.0

    def has_diverged(self, may_wait: bool) -> bool:
        return not np.isfinite(self.loss)

    def recent_loss(self) -> float:
        return self.loss / self.batch

    def training_metrics(self) -> dict[str, float]:
        return {"loss": self.loss / self.steps_per_epoch}

    def validation_metrics(self) -> dict[str, float]:
        return {"loss": float((self.network.error(np.arange(len(X))) ** 2).mean())}

    def is_finite(self) -> bool:
        return bool(np.isfinite(self.network.weights).all())

    def state(self, weights: str) -> State:
        best = asdict(self.best) if self.best else None
        return State(self.epoch, self.batch, self.step, weights, self.loss, best)


class StoppedRun(Run):
    looks = 0
    limit = 10**9

    def should_stop(self) -> bool:
        self.looks += 1
        return self.looks > self.limit


def fit(folder: Path, resume: State | None = None, limit: int = 10**9, **settings: Any) -> Fit:
    """Train; ``resume`` goes on where a loop in the same folder stood."""
    common = {"model": "line", "optimizer": "SGD", "best_by": "val/loss", "lr": 0.5, "epochs": 4}
    chosen = LoopSettings.model_validate(
        {**common, "batch_size": BatchSize(train=4), "checkpoint_every": 1, **settings}
    )
    (folder / "run.lock").unlink(missing_ok=True)
    run = StoppedRun.begin(folder, "20261130-120000-abcdef", {})
    assert isinstance(run, StoppedRun)
    run.limit = limit
    with AsyncWriter() as background:
        loop = Fit(run, chosen, None, Line(), len(X), Writer(run, chosen, background))
        loop.clear_sums()
        if resume is not None:
            loop.network.weights = np.load(folder / "checkpoints" / resume.weights)
            loop.loss = resume.loss
            loop.resume_at(resume)
        loop.fit()
    return loop


def saved(folder: Path) -> State:
    (path,) = (folder / "checkpoints").glob("state_*.txt")
    return State(**json.loads(path.read_text()))


def told(folder: Path, kind: str) -> list[tuple[int, dict[str, float]]]:
    events = effective(read_events(folder / "events.jsonl"))
    return [(e.fields["step"], e.fields["metrics"]) for e in events if e.fields.get("type") == kind]


def test_it_learns_validates_and_keeps_the_best_and_the_last(tmp_path: Path) -> None:
    loop = fit(tmp_path / "run", epochs=60)
    assert loop.network.weights == pytest.approx([3, -1], abs=1e-3)
    kept = {path.name for path in (tmp_path / "run" / "checkpoints").iterdir()}
    assert loop.best is not None
    assert {"model_060_last.npy", loop.best.file, "model_059.npy", "state_060.txt"} <= kept
    assert [step for step, _ in told(tmp_path / "run", "val")] == list(range(3, 181, 3))
    assert told(tmp_path / "run", "train")[0][1].keys() == {"loss", "lr"}


@pytest.mark.parametrize("steps", range(1, 12))
def test_stopped_anywhere_it_goes_on_to_the_same_bits(tmp_path: Path, steps: int) -> None:
    whole = fit(tmp_path / "whole")
    fit(tmp_path / "cut", limit=steps)
    state = saved(tmp_path / "cut")
    assert state.step == steps
    again = fit(tmp_path / "cut", resume=state)
    assert (again.network.weights == whole.network.weights).all() and again.best == whole.best
    assert told(tmp_path / "cut", "val") == told(tmp_path / "whole", "val")
    assert told(tmp_path / "cut", "train") == told(tmp_path / "whole", "train")


def test_a_loss_that_is_not_finite_ends_it_at_that_step_and_the_best_stays(tmp_path: Path) -> None:
    said = r"The loss is not finite at step \d+ \(epoch \d+ of 5000\); train with a smaller --lr than 90\."
    with pytest.raises(RavenError, match=said), np.errstate(all="ignore"):
        fit(tmp_path / "run", lr=90, epochs=5000, max_keep_checkpoints=0)
    files = list((tmp_path / "run" / "checkpoints").glob("model_*.npy"))
    assert len(files) > 1 and all(np.isfinite(np.load(path)).all() for path in files)
    assert [path.name for path in files if "best" in path.name] == ["model_001_best.npy"]


def test_weights_that_are_not_finite_are_neither_measured_nor_written(tmp_path: Path) -> None:
    class Burst(Fit):
        def learn(self, batch: NDArray[np.int64]) -> None:
            super().learn(batch)
            if self.step == 5:
                self.network.weights[0] = np.inf

    run = Run.begin(tmp_path / "run", "20261130-120000-abcdef", {})
    settings = LoopSettings(model="line", optimizer="SGD", best_by="val/loss", batch_size=BatchSize(train=4))
    with AsyncWriter() as background:
        loop = Burst(run, settings, None, Line(), len(X), Writer(run, settings, background))
        loop.clear_sums()
        with pytest.raises(RavenError, match=r"The weights are not finite after step 6 \(epoch 2 of 20\)"):
            loop.fit()
    assert [path.name for path in (tmp_path / "run" / "checkpoints").glob("model_*")] == [
        "model_001_best.npy"
    ]
    assert [step for step, _ in told(tmp_path / "run", "val")] == [3]
