"""Whole trainings, small ones."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from unet_support import MakeInput, small_settings

from ravenml.errors import InputError, RavenError
from ravenml.runs.events import read_events
from ravenml.runs.run import Run
from ravenml_unet.predict import load as load_predictor
from ravenml_unet.training import run_training

pytestmark = pytest.mark.usefixtures("slim_unet")


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


def last_weights(folder: Path) -> dict[str, torch.Tensor]:
    (path,) = folder.glob("checkpoints/model_*_last.pth")
    weights: dict[str, torch.Tensor] = torch.load(path, weights_only=True)
    return weights


def same(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[key], b[key]) for key in a)


def events(folder: Path, kind: str) -> list[dict[str, Any]]:
    wanted = f"EventType.{kind}"
    return [
        event.fields
        for event in read_events(folder / "events.jsonl")
        if event.fields.get("event_type") == wanted
    ]


def validations(folder: Path) -> list[tuple[float, dict[str, Any]]]:
    return [
        (event["epoch"], event["metrics"]) for event in events(folder, "METRICS") if event["type"] == "val"
    ]


@pytest.fixture
def undisturbed(make_input: MakeInput, tmp_path: Path) -> Path:
    """Three epochs of two steps each, validated twice per epoch, never interrupted."""
    run_training(make_input(small_settings(epochs=3, val_every=0.5), folder="undisturbed"))
    return tmp_path / "undisturbed"


def test_a_training_leaves_what_the_design_says(make_input: MakeInput, tmp_path: Path) -> None:
    train = make_input(small_settings(epochs=3, max_keep_checkpoints=1, previews=1))
    output = run_training(train)
    run = tmp_path / "run"
    assert output is not None and output.model_path == run / "model-state.tar"

    kept = sorted(path.name for path in (run / "checkpoints").iterdir() if "best" not in path.name)
    assert kept == ["model_002.pth", "model_003_last.pth", "state_003.pt"]
    assert len(list(run.glob("checkpoints/model_00?_best.pth"))) == 1
    classes = json.loads((run / "info" / "model_classes.json").read_text())
    assert [c["title"] for c in classes] == ["__bg__", "red", "green"]
    assert classes[1] == {"title": "red", "shape": "rectangle", "color": "#D22828"}
    shown = json.loads((run / "info" / "val_vis_items.json").read_text())
    assert shown == [{"dataset_name": "shapes", "item_name": "04.png"}]
    assert sorted(p.name for p in (run / "previews" / "val" / "shapes_04").iterdir()) == [
        "epoch_001.png", "epoch_002.png", "epoch_003.png", "final.png"
    ]  # fmt: skip

    assert output.scores is not None
    assert list(output.scores.items) == ["shapes/04.png", "shapes/05.png"]
    assert output.scores.statistics["confusion"].shape == (2, 3, 3)
    assert output.scores.statistics["confusion"].sum() == 2 * 32 * 32
    reported = max(metrics["miou"] for _, metrics in validations(run))
    assert output.scores.values()["miou"] == pytest.approx(reported)
    assert output.metadata["architecture"] == "UNet"


def test_it_tells_what_it_does_in_events(make_input: MakeInput, tmp_path: Path) -> None:
    run_training(make_input())
    run = tmp_path / "run"
    trained = [event for event in events(run, "METRICS") if event["type"] == "train"]
    assert [(event["epoch"], event["step"]) for event in trained] == [(1.0, 2), (2.0, 4)]
    assert {"loss", "lr", "miou", "mdice", "pixel_accuracy", "iou/red"} <= trained[0]["metrics"].keys()
    assert [epoch for epoch, _ in validations(run)] == [1.0, 2.0]
    assert {"loss", "miou", "mdice", "miou_fg", "mdice_fg", "pixel_accuracy"} <= validations(run)[0][1].keys()
    epochs = [event["current"] for event in events(run, "PROGRESS") if event["subtask"] == "Epoch"]
    assert epochs == [0, 1, 2]
    iterations = [event for event in events(run, "PROGRESS") if event["subtask"] == "Iteration"]
    assert (iterations[-1]["current"], iterations[-1]["total"], iterations[-1]["images"]) == (2, 2, 4)
    for event in events(run, "CHECKPOINT"):
        assert event["files"] and event["sizeb"] > 0
    assert any(event["best_now"] for event in events(run, "CHECKPOINT"))


def test_the_network_learns_what_it_is_shown(make_input: MakeInput, tmp_path: Path) -> None:
    settings = small_settings(epochs=60, lr=0.003, checkpoint_every=60, val_every=60)
    output = run_training(make_input(settings))
    losses = [e["metrics"]["loss"] for e in events(tmp_path / "run", "METRICS") if e["type"] == "train"]
    assert losses[-1] < 0.4 * losses[0]
    assert output is not None and output.scores is not None
    assert output.scores.values()["miou_fg"] > 0.5


@pytest.mark.parametrize(
    ("model", "epochs"), [("UNet", 3), pytest.param("LinkNet34", 1, marks=pytest.mark.slow)]
)
def test_the_same_seed_gives_the_same_bits_whatever_prepares_validates_or_shows(
    make_input: MakeInput, tmp_path: Path, model: str, epochs: int
) -> None:
    same_in_both = {"model": model, "epochs": epochs, "input_size": {"width": 64, "height": 32}}
    run_training(make_input(small_settings(**same_in_both), folder="plain"))
    busy = small_settings(**same_in_both, workers=2, val_every=0.5, previews=2)
    run_training(make_input(busy, folder="busy"))
    assert same(last_weights(tmp_path / "plain"), last_weights(tmp_path / "busy"))


def test_another_seed_gives_other_weights(make_input: MakeInput, tmp_path: Path) -> None:
    for seed in (0, 1):
        run_training(make_input(small_settings(epochs=1, seed=seed), folder=f"seed{seed}"))
    assert not same(last_weights(tmp_path / "seed0"), last_weights(tmp_path / "seed1"))


@pytest.mark.parametrize("steps", [0, 1, 2, 5])
def test_a_stopped_training_goes_on_to_the_same_bits(
    make_input: MakeInput, undisturbed: Path, tmp_path: Path, steps: int
) -> None:
    settings = small_settings(epochs=3, val_every=0.5)
    assert run_training(make_input(settings, folder="stopped", make_run=stops_after(steps))) is None
    assert len(list((tmp_path / "stopped" / "checkpoints").glob("state_*.pt"))) == 1

    output = run_training(make_input(settings, folder="stopped", resume=True, make_run=begin_again))
    assert output is not None
    assert same(last_weights(undisturbed), last_weights(tmp_path / "stopped"))
    resumed = events(tmp_path / "stopped", "RESUMED")
    assert resumed[-1]["step"] == steps
    before, after = validations(undisturbed), validations(tmp_path / "stopped")
    assert before == after
    trained = [e["metrics"] for e in events(undisturbed, "METRICS") if e["type"] == "train"]
    again = [e["metrics"] for e in events(tmp_path / "stopped", "METRICS") if e["type"] == "train"]
    assert trained == again


def begin_again(path: Path, run_id: str, fields: dict[str, Any]) -> Run:
    """Open a run whose former process has left its lock behind."""
    (path / "run.lock").unlink(missing_ok=True)
    return Run.begin(path, run_id, fields)


def test_a_run_whose_newest_weights_are_missing_goes_on_from_an_older_state(
    make_input: MakeInput, undisturbed: Path, tmp_path: Path
) -> None:
    """As after a kill between two files, in whichever order the disk kept them."""
    settings = small_settings(epochs=3, val_every=0.5)
    run_training(make_input(settings, folder="killed", make_run=stops_after(2)))
    checkpoints = tmp_path / "killed" / "checkpoints"
    shutil.copy(checkpoints / "state_001.pt", checkpoints / "state_002.pt")
    state = torch.load(checkpoints / "state_002.pt", weights_only=True)
    torch.save(state | {"epoch": 2, "weights": "model_002.pth"}, checkpoints / "state_002.pt")
    run_training(make_input(settings, folder="killed", resume=True, make_run=begin_again))
    assert same(last_weights(undisturbed), last_weights(tmp_path / "killed"))


def test_a_run_that_was_stopped_before_any_checkpoint_begins_anew(
    make_input: MakeInput, tmp_path: Path
) -> None:
    run_training(make_input(folder="lost", make_run=stops_after(1)))
    for path in (tmp_path / "lost" / "checkpoints").iterdir():
        path.unlink()
    assert run_training(make_input(folder="lost", resume=True, make_run=begin_again)) is not None


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"model": "UNet11"}, "model: .*'UNet'.*'UNet11'"),
        ({"classes": ["red"]}, "classes: "),
        ({"input_size": {"width": 64, "height": 32}}, "input_size: "),
        ({"lr": 0.5}, "lr: "),
        ({"augmentations": "colour"}, "augmentations: "),
    ],
)
def test_another_training_cannot_be_gone_on_with(
    make_input: MakeInput, change: dict[str, Any], named: str
) -> None:
    run_training(make_input(make_run=stops_after(1)))
    with pytest.raises(InputError, match=named):
        run_training(make_input(small_settings(**change), resume=True, make_run=begin_again))


RICH: dict[str, Any] = {
    "epochs": 3,
    "lr_schedule": "cosine",
    "warmup_epochs": 0.5,
    "jaccard_weight": 0.3,
    "class_weights": "balanced",
    "metrics_period": 1,
    "optimizer": "SGD",
    "nesterov": True,
    "augmentations": "colour+rotate+crop+fliplr+flipud",
}


def test_schedule_augmentations_and_metrics_period_go_on_as_if_nothing_had_happened(
    make_input: MakeInput, tmp_path: Path
) -> None:
    settings = small_settings(**RICH, batch_size={"train": 1, "val": 2})
    run_training(make_input(settings, folder="whole"))
    assert run_training(make_input(settings, folder="stopped", make_run=stops_after(6))) is None
    run_training(make_input(settings, folder="stopped", resume=True, make_run=begin_again))
    assert same(last_weights(tmp_path / "whole"), last_weights(tmp_path / "stopped"))
    whole, again = ([(e["step"], e["metrics"]) for e in trained(tmp_path / f)] for f in ("whole", "stopped"))
    assert [step for step, _ in whole] == list(range(1, 13))
    assert whole == again
    rates = [metrics["lr"] for _, metrics in whole]
    assert rates[0] == pytest.approx(0.001 / 3) and rates[-1] == pytest.approx(0, abs=1e-9)


def trained(folder: Path) -> list[dict[str, Any]]:
    return [event for event in events(folder, "METRICS") if event["type"] == "train"]


def test_a_cosine_schedule_cannot_be_prolonged(make_input: MakeInput) -> None:
    run_training(make_input(small_settings(lr_schedule="cosine", epochs=1)))
    with pytest.raises(InputError, match="learning rate: "):
        longer = small_settings(lr_schedule="cosine", epochs=2)
        run_training(make_input(longer, resume=True, make_run=begin_again))


@pytest.mark.parametrize(
    ("change", "kept"),
    [
        ({"save_best": False}, ["model_002.pth", "model_003_last.pth", "state_003.pt"]),
        ({"save_best": False, "save_last": False}, ["model_002.pth", "model_003.pth", "state_003.pt"]),
        ({"save_best": False, "save_last": False, "checkpoint_every": 2}, ["model_002.pth", "state_002.pt"]),
    ],
)
def test_what_is_not_to_be_kept_is_not_there(
    make_input: MakeInput, tmp_path: Path, change: dict[str, Any], kept: list[str]
) -> None:
    output = run_training(make_input(small_settings(epochs=3, max_keep_checkpoints=2, **change)))
    assert output is not None and output.scores is not None
    names = {path.name for path in (tmp_path / "run" / "checkpoints").iterdir()}
    assert set(kept) <= names and not any("best" in name for name in names)
    assert ("model_003_last.pth" in names) == ("model_003_last.pth" in kept)


@pytest.mark.parametrize(("seconds", "kept"), [(0.0, 2), (3600.0, 0)])
def test_by_default_short_epochs_do_not_each_end_with_a_checkpoint(
    make_input: MakeInput, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seconds: float, kept: int
) -> None:
    monkeypatch.setattr("ravenml.toolkit.loop.CHECKPOINT_SECONDS", seconds)
    run_training(make_input(small_settings(epochs=3, checkpoint_every=None)))
    names = sorted(path.name for path in (tmp_path / "run" / "checkpoints").glob("model_*[0-9].pth"))
    assert names == ["model_001.pth", "model_002.pth"][:kept]
    assert (tmp_path / "run" / "checkpoints" / "model_003_last.pth").exists()


def test_the_lowest_loss_may_decide_what_is_best(make_input: MakeInput, tmp_path: Path) -> None:
    run_training(make_input(small_settings(epochs=4, best_by="val/loss")))
    losses = [metrics["loss"] for _, metrics in validations(tmp_path / "run")]
    best = [e["optional"]["val/loss"] for e in events(tmp_path / "run", "CHECKPOINT") if e["best_now"]]
    assert best[-1] == min(losses) and best == sorted(best, reverse=True)


def test_a_training_can_be_prolonged(make_input: MakeInput, undisturbed: Path, tmp_path: Path) -> None:
    run_training(make_input(small_settings(epochs=2, val_every=0.5), folder="longer"))
    longer = small_settings(epochs=3, val_every=0.5)
    run_training(make_input(longer, folder="longer", resume=True, make_run=begin_again))
    assert same(last_weights(undisturbed), last_weights(tmp_path / "longer"))


def test_the_packed_model_predicts_as_the_training_did(make_input: MakeInput, tmp_path: Path) -> None:
    from ravenml.data.samples import Samples
    from ravenml.infer.metrics import confusion_matrix
    from ravenml.store.model_state import unpack_model
    from ravenml_unet.preprocessing import resize_image, resize_labels

    train = make_input(small_settings(epochs=4))
    output = run_training(train)
    assert output is not None and output.model_path is not None and output.scores is not None
    predictor = load_predictor(unpack_model(output.model_path, tmp_path / "unpacked"), "cpu")
    assert predictor.task == "segmentation" and predictor.input_size == (32, 32)
    assert predictor.classes == ["__bg__", "red", "green"]
    image, truth = Samples(train.dataset, train.split.val, ["__bg__", "red", "green"])[0]
    labels = predictor.predict(resize_image(image, 32, 32)[None])[0]
    counted = confusion_matrix(resize_labels(truth, 32, 32), labels, 3)
    assert (counted == output.scores.statistics["confusion"][0]).all()


def test_a_subset_of_classes_makes_the_others_background(make_input: MakeInput, tmp_path: Path) -> None:
    output = run_training(make_input(small_settings(epochs=1, classes=["green"])))
    assert output is not None and output.scores is not None
    assert output.scores.statistics["confusion"].shape == (2, 2, 2)
    classes = json.loads((tmp_path / "run" / "info" / "model_classes.json").read_text())
    assert [c["title"] for c in classes] == ["__bg__", "green"]


def test_a_given_model_keeps_its_own_order_of_classes(make_input: MakeInput, tmp_path: Path) -> None:
    from ravenml.data.project import ObjClass
    from ravenml_unet.export import export_model
    from ravenml_unet.models.registry import create_model

    own = [ObjClass(title, "bitmap", "#101010") for title in ("green", "red", "__bg__")]
    model = export_model(tmp_path / "given.tar", create_model("UNet", 3), small_settings(), own)
    going_on = {"weights": str(model), "weights_init_type": "continue_training"}
    run_training(make_input(small_settings(epochs=1, **going_on)))
    classes = json.loads((tmp_path / "run" / "info" / "model_classes.json").read_text())
    assert [c["title"] for c in classes] == ["green", "red", "__bg__"]
    with pytest.raises(InputError, match=r"the classes of .* differ: 'red'"):
        run_training(make_input(small_settings(**going_on, classes=["green"]), folder="other"))


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"classes": ["reed"]}, "reed"),
        ({"classes": []}, "no class to learn"),
        ({"weights": "nothing.pth"}, "nothing.pth"),
        ({"augmentations": "nothing.yaml"}, "nothing.yaml"),
        ({"class_weights": {"rad": 2.0}}, "class_weights: there is no class 'rad'"),
        ({"best_by": "val/iou/rad"}, "best_by: no metric is called 'iou/rad'"),
        ({"precision": "16"}, "precision: 16 needs"),
        ({"model": "LinkNet34", "batch_size": {"train": 1}}, "batch_size.train: LinkNet34"),
    ],
)
def test_what_cannot_be_trained_is_refused_before_anything_is_written(
    make_input: MakeInput, tmp_path: Path, change: dict[str, Any], named: str
) -> None:
    with pytest.raises(InputError, match=named):
        run_training(make_input(small_settings(**change)))
    assert not (tmp_path / "run").exists()


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU here")
def test_a_gpu_that_is_not_there_is_said_so(make_input: MakeInput) -> None:
    with pytest.raises(InputError, match="device: cuda was asked for"):
        run_training(make_input(small_settings(device="cuda")))


def test_a_loss_that_is_no_number_ends_the_training_with_advice(make_input: MakeInput) -> None:
    settings = small_settings(optimizer="SGD", lr=100, max_grad_norm=0, epochs=4)
    with pytest.raises(RavenError, match="smaller --lr than 100"):
        run_training(make_input(settings))


def test_bfloat16_learns_too(make_input: MakeInput, tmp_path: Path) -> None:
    run_training(make_input(small_settings(epochs=4, precision="bf16")))
    losses = [e["metrics"]["loss"] for e in events(tmp_path / "run", "METRICS") if e["type"] == "train"]
    assert losses[-1] < losses[0]
    assert all(v.dtype != torch.bfloat16 for v in last_weights(tmp_path / "run").values())


def test_a_training_that_diverges_ends_and_leaves_no_weights_that_are_not_finite(
    make_input: MakeInput, tmp_path: Path
) -> None:
    wild = small_settings(epochs=30, optimizer="SGD", lr=100.0, max_grad_norm=0, checkpoint_every=1)
    with pytest.raises(RavenError, match=r"not finite (at|after) step \d+ .*smaller --lr than 100, or with"):
        run_training(make_input(wild))
    for path in (tmp_path / "run" / "checkpoints").glob("model_*"):
        weights = torch.load(path, weights_only=True)
        assert all(bool(torch.isfinite(one).all()) for one in weights.values()), path.name
