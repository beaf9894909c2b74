"""Whole trainings, small ones."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from bbox_support import SETTINGS, MakeInput, small_settings

from ravenml.data.project import Project
from ravenml.errors import InputError, RavenError
from ravenml.runs.events import effective, read_events
from ravenml.runs.run import Run
from ravenml.train.interfaces import TrainOutput
from ravenml_tf_bbox.evaluating import evaluate_model
from ravenml_tf_bbox.training import run_training

Trained = tuple[Path, TrainOutput]


class StoppedRun(Run):
    """A run that is asked to stop after so many looks."""

    looks = 0
    limit = 0

    def should_stop(self) -> bool:
        self.looks += 1
        return self.looks > self.limit


def stops_after(limit: int) -> Callable[..., Run]:
    def begin(*arguments: Any) -> Run:
        run = StoppedRun.begin(*arguments)
        assert isinstance(run, StoppedRun)
        run.limit = limit
        return run

    return begin


def begin_again(path: Path, run_id: str, fields: dict[str, Any]) -> Run:
    """Open a run whose former process has left its lock behind."""
    (path / "run.lock").unlink(missing_ok=True)
    return Run.begin(path, run_id, fields)


def last_weights(folder: Path) -> dict[str, np.ndarray]:
    (path,) = folder.glob("checkpoints/model_*_last.npz")
    return dict(np.load(path))


def same(a: dict[str, np.ndarray], b: dict[str, np.ndarray]) -> bool:
    return a.keys() == b.keys() and all(np.array_equal(a[key], b[key]) for key in a)


def events(folder: Path, kind: str) -> list[dict[str, Any]]:
    return [event.fields for event in effective(read_events(folder / "events.jsonl")) if event.type == kind]


def told(folder: Path) -> list[tuple[str, int, dict[str, Any]]]:
    return [(event["type"], event["step"], event["metrics"]) for event in events(folder, "METRICS")]


def test_a_training_leaves_what_the_design_says(trained: Trained) -> None:
    run, output = trained
    assert output.model_path == run / "model-state.tar"
    kept = sorted(path.name for path in (run / "checkpoints").iterdir() if "best" not in path.name)
    assert kept == ["model_002.npz", "model_003_last.npz", "state_003.npz"]
    assert len(list(run.glob("checkpoints/model_00?_best.npz"))) == 1
    classes = json.loads((run / "info" / "model_classes.json").read_text())
    assert classes[1] == {"title": "disc", "shape": "rectangle", "color": "#28C83C"}
    assert sorted(p.name for p in (run / "previews" / "val" / "ds_04").iterdir()) == [
        "epoch_001.png", "epoch_002.png", "epoch_003.png", "final.png"
    ]  # fmt: skip
    pictures = {path.stem for path in (run / "previews" / "evaluation").iterdir()}
    assert pictures == {"precision_recall", "confusion_matrix", "curves", "worst_1", "best_1"}


def test_it_tells_losses_and_cocos_scores_in_events(trained: Trained) -> None:
    run, _ = trained
    of_training = [metrics for kind, _, metrics in told(run) if kind == "train"]
    assert len(of_training) == 3
    assert of_training[0].keys() == {"loss", "class_loss", "box_loss", "lr"}
    validations = [(step, metrics) for kind, step, metrics in told(run) if kind == "val"]
    assert [step for step, _ in validations] == [1, 2, 3, 4, 5, 6]
    assert {"loss", "ap", "ap50", "ap75", "ap_small", "ar100", "ap/plate", "ap50/disc"} <= validations[0][
        1
    ].keys()
    assert [event["current"] for event in events(run, "PROGRESS") if event["subtask"] == "Epoch"] == [
        0,
        1,
        2,
        3,
    ]


def test_its_evaluation_says_what_the_scores_say(trained: Trained) -> None:
    run, output = trained
    found = json.loads((run / "evaluation.json").read_text())
    assert output.scores is not None and list(output.scores.items) == found["images"] == [
        "ds/04.png",
        "ds/05.png",
    ]
    assert output.scores.values()["ap"] == pytest.approx(found["scores"]["ap"])
    assert output.metadata["metrics"]["val/ap"] == pytest.approx(found["scores"]["ap"])
    assert sum(map(len, output.scores.records["truths"])) == 4
    truth = np.array(found["confusion"]["objects"])[:2].sum(axis=1)
    assert truth.tolist() == [2, 2] and found["confusion"]["titles"] == ["plate", "disc", "nothing"]


@pytest.mark.slow  # 50 s: TensorFlow traces the network twice more
def test_a_training_that_was_stopped_and_resumed_ends_with_the_same_weights(
    trained: Trained, make_input: MakeInput, tmp_path: Path
) -> None:
    settings = small_settings(**SETTINGS)
    assert run_training(make_input(settings, make_run=stops_after(3))) is None
    stopped = tmp_path / "run"
    assert (stopped / "checkpoints" / "model_001_00001_last.npz").exists()
    output = run_training(make_input(settings, resume=True, make_run=begin_again))
    assert output is not None
    assert same(last_weights(stopped), last_weights(trained[0]))
    assert told(stopped) == told(trained[0])
    with pytest.raises(InputError, match=r"lr: the run in .* cannot resume with 0.5"):
        run_training(make_input(small_settings(**SETTINGS, lr=0.5), resume=True, make_run=begin_again))


@pytest.mark.slow  # TensorFlow traces the network once more
def test_a_training_killed_before_its_first_checkpoint_begins_again_with_its_weights(
    trained: Trained, make_input: MakeInput, tmp_path: Path
) -> None:
    (weights,) = (trained[0] / "checkpoints").glob("*_last.npz")
    settings = small_settings(
        epochs=1, previews=0, weights=str(weights), weights_init_type="continue_training", lr=1e-9
    )
    make_input(settings).run.detach()  # killed when no more than its folder was there
    run_training(make_input(settings, resume=True))
    before, after = last_weights(trained[0]), last_weights(tmp_path / "run")
    trained_ones = [name for name in before if "moving" not in name]
    assert all(np.allclose(before[name], after[name], atol=1e-5) for name in trained_ones)


def test_what_cannot_be_trained_is_refused_before_tensorflow_begins(
    make_input: MakeInput, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match="best_by: no metric is called 'aq'"):
        run_training(make_input(small_settings(best_by="aq")))
    with pytest.raises(InputError, match="there is no file nonsense"):
        run_training(make_input(small_settings(augmentations="nonsense")))
    with pytest.raises(InputError, match=r"weights: .*nowhere\.npz does not exist"):
        run_training(make_input(small_settings(weights="nowhere.npz")))
    assert not (tmp_path / "run").exists()


def test_a_training_that_diverges_ends_and_leaves_no_weights_that_are_not_finite(
    make_input: MakeInput, tmp_path: Path
) -> None:
    wild = small_settings(epochs=30, optimizer="SGD", lr=100.0, max_grad_norm=0, checkpoint_every=1)
    with pytest.raises(RavenError, match=r"not finite (at|after) step \d+ .*smaller --lr than 100\."):
        run_training(make_input(wild))
    for path in (tmp_path / "run" / "checkpoints").glob("model_*"):
        assert all(np.isfinite(one).all() for one in np.load(path).values()), path.name
    assert not list((tmp_path / "run" / "checkpoints").glob("*best*"))  # nothing was found: AP 0 is no best


def test_the_loss_of_a_validation_is_the_same_whatever_the_size_of_its_batches(
    trained: Trained, project_path: Path, tmp_path: Path
) -> None:
    model, project = trained[1].model_path, Project.open(project_path)
    assert model is not None
    losses = [
        evaluate_model(model, project, tmp_path / str(size), batch_size=size, workers=0).loss
        for size in (1, 4)
    ]
    assert losses[0] == pytest.approx(losses[1], rel=1e-4)
