"""What an evaluation measures, and what it leaves."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from unet_support import MakeInput, small_settings

from ravenml.data.project import Project
from ravenml.data.samples import Samples
from ravenml.errors import InputError
from ravenml.infer.evaluation import make_section, score_classes
from ravenml.infer.metrics import confusion_matrix, segmentation_metrics
from ravenml.toolkit.pictures import plot_confusion, plot_curves
from ravenml.train.summary import predict_scores
from ravenml_unet import load_model
from ravenml_unet.evaluating import evaluate_model
from ravenml_unet.evaluation import Evaluation
from ravenml_unet.report import by_score, worst_and_best
from ravenml_unet.training import run_training

TITLES = ["__bg__", "cat", "dog", "cow"]


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(2, 4), st.integers(1, 4))
def test_iou_dice_and_accuracy_are_scikit_learns(seed: int, classes: int, seen: int) -> None:
    """Also where some classes are absent, which scikit-learn leaves to the labels that it is given."""
    metrics = pytest.importorskip("sklearn.metrics")
    random = np.random.default_rng(seed)
    truth, predicted = random.integers(0, min(seen, classes), (2, 300))
    ours = segmentation_metrics(confusion_matrix(truth, predicted, classes), TITLES[:classes])
    labels = sorted(set(truth) | set(predicted))
    iou = metrics.jaccard_score(truth, predicted, labels=labels, average=None, zero_division=0)
    dice = metrics.f1_score(truth, predicted, labels=labels, average=None, zero_division=0)
    assert ours["pixel_accuracy"] == pytest.approx(metrics.accuracy_score(truth, predicted))
    if any(labels):  # with nothing but background, no mean is defined
        assert ours["miou"] == pytest.approx(iou.mean()) and ours["mdice"] == pytest.approx(dice.mean())
    for label, one_iou, one_dice in zip(labels, iou, dice, strict=True):
        assert ours[f"iou/{TITLES[label]}"] == pytest.approx(one_iou)
        assert ours[f"dice/{TITLES[label]}"] == pytest.approx(one_dice)
    counts = metrics.confusion_matrix(truth, predicted, labels=range(classes))
    assert (counts == confusion_matrix(truth, predicted, classes)).all()


def test_precision_and_recall_are_scikit_learns() -> None:
    metrics = pytest.importorskip("sklearn.metrics")
    truth, predicted = np.random.default_rng(0).integers(0, 4, (2, 500))
    ours = score_classes(confusion_matrix(truth, predicted, 4), TITLES)
    for name, theirs in (("precision", metrics.precision_score), ("recall", metrics.recall_score)):
        assert [one[name] for one in ours.values()] == pytest.approx(
            list(theirs(truth, predicted, average=None))
        )


def test_a_class_that_nobody_saw_has_no_score_but_stands_there() -> None:
    ours = score_classes(np.diag([5, 0]), ["__bg__", "cat"])
    assert ours["cat"] == {
        "iou": None, "dice": None, "precision": None, "recall": None, "truth_pixels": 0, "predicted_pixels": 0
    }  # fmt: skip


def an_evaluation(right: list[int]) -> Evaluation:
    """Images of ten pixels of a cat, of which so many are right."""
    return Evaluation(0.5, np.array([[[0, 0], [10 - n, n]] for n in right]), TITLES[:2])


def test_images_are_ranked_from_the_worst_to_the_best_and_none_is_shown_twice() -> None:
    assert [index for _, index in by_score(an_evaluation([9, 1, 5]))] == [1, 2, 0]
    assert [(name, index) for name, _, index in worst_and_best(an_evaluation([9, 1, 5]))] == [
        ("worst_1", 1), ("best_1", 0)
    ]  # fmt: skip
    shown = worst_and_best(an_evaluation([3, 1, 4, 1, 5, 9, 2, 6]))
    assert len({index for _, _, index in shown}) == len(shown) == 6
    assert worst_and_best(an_evaluation([3]))[0][0] == "worst_1"


def test_images_with_nothing_but_background_are_not_ranked() -> None:
    empty = Evaluation(0.5, np.array([[[10, 0], [0, 0]], [[0, 0], [4, 6]]]), TITLES[:2])
    assert worst_and_best(empty) == [("worst_1", 0.6, 1)]
    section = make_section(empty.confusion[:1], TITLES[:2], ["a/1.png"])
    assert section["scores"]["miou"] is None and section["scores"]["mdice_fg"] is None


def test_a_section_has_every_image_and_every_class() -> None:
    one = make_section(an_evaluation([9, 1]).confusion, TITLES[:2], ["a/1.png", "a/2.png"])
    assert one["confusion"] == [[0, 0], [10, 10]]
    assert one["scores"]["pixel_accuracy"] == 0.5 and not any("/" in name for name in one["scores"])
    assert [image["item"] for image in one["per_image"]] == ["a/1.png", "a/2.png"]
    assert one["per_image"][0]["iou/cat"] == 0.9
    assert list(one["per_class"]) == ["__bg__", "cat"]


@pytest.mark.parametrize("classes", [2, 30])
def test_charts_are_pictures(classes: int) -> None:
    picture = plot_confusion(np.eye(classes, dtype=np.int64) * 7, [f"class {n}" for n in range(classes)])
    assert picture.dtype == np.uint8 and picture.ndim == 3 and picture.std() > 5
    curve = plot_curves({"train/loss": [(1.0, 2.0), (2.0, 1.0)], "val/miou": [(1.0, 0.5)]}, ["miou"])
    assert curve.shape[2] == 3 and curve.std() > 5


@pytest.fixture
def trained(make_input: MakeInput, tmp_path: Path, slim_unet: None) -> Path:
    run_training(make_input(small_settings(epochs=2)))
    return tmp_path / "run"


def test_every_training_leaves_its_evaluation(trained: Path, project_path: Path) -> None:
    found = json.loads((trained / "evaluation.json").read_text())
    assert found["images"] == ["shapes/04.png", "shapes/05.png"] and found["classes"] == [
        "__bg__",
        "red",
        "green",
    ]
    assert np.sum(found["model_size"]["confusion"]) == 2 * 32 * 32
    assert np.sum(found["original_size"]["confusion"]) == 2 * 40 * 36
    assert len(found["model_size"]["per_image"]) == len(found["original_size"]["per_image"]) == 2
    pictures = {path.stem for path in (trained / "previews" / "evaluation").iterdir()}
    assert pictures == {"confusion_matrix", "curves", "worst_1", "best_1"}
    # At the images' own size it is what the predictor predicts.
    project = Project.open(project_path)
    scores = predict_scores(trained / "model-state.tar", project, project.items[4:])
    assert scores.statistics["confusion"].sum(axis=0).tolist() == found["original_size"]["confusion"]
    assert list(scores.reduce.titles) == found["classes"]


def test_a_model_is_evaluated_as_its_training_was(trained: Path, project_path: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    evaluate_model(trained, Project.open(project_path), out, items(tmp_path))
    ours, theirs = (json.loads((folder / "evaluation.json").read_text()) for folder in (out, trained))
    for size in ("model_size", "original_size"):
        assert ours[size] == theirs[size]
    assert ours["loss"] == pytest.approx(theirs["loss"])
    names = {path.name for path in out.iterdir()}
    assert names == {"evaluation.json", "confusion_matrix.png", "curves.png", "worst_1.png", "best_1.png"}
    assert cv2.imread(str(out / "worst_1.png")) is not None


def items(tmp_path: Path, *names: str) -> Path:
    path = tmp_path / "items.json"
    listed = [{"dataset_name": "shapes", "item_name": name} for name in names or ("04.png", "05.png")]
    path.write_text(json.dumps(listed))
    return path


def test_without_a_list_all_images_are_measured(trained: Path, project_path: Path, tmp_path: Path) -> None:
    evaluation = evaluate_model(trained / "model-state.tar", Project.open(project_path), tmp_path / "out")
    assert len(evaluation.confusion) == 6
    assert not (tmp_path / "out" / "curves.png").exists()  # a tar does not know how it was trained


@pytest.mark.parametrize("content", [[], {"a": 1}, [1], [{"dataset_name": "shapes", "item_name": "99.png"}]])
def test_a_list_that_is_none_is_refused(
    trained: Path, project_path: Path, tmp_path: Path, content: Any
) -> None:
    (tmp_path / "items.json").write_text(json.dumps(content))
    with pytest.raises(InputError, match=r"items\.json|99\.png"):
        evaluate_model(trained, Project.open(project_path), tmp_path / "out", tmp_path / "items.json")


def test_a_dataset_without_one_of_the_models_classes_is_refused(
    trained: Path, project_path: Path, tmp_path: Path
) -> None:
    project = Project.open(project_path)
    project.classes = [known for known in project.classes if known.title != "red"]
    with pytest.raises(InputError, match="has no class 'red'"):
        evaluate_model(trained, project, tmp_path / "out")


def test_labels_of_a_truth_are_found_by_the_models_titles(trained: Path, project_path: Path) -> None:
    model = load_model(trained, "cpu")
    project = Project.open(project_path)
    assert set(np.unique(Samples(project, project.items[:1], model.classes)[0][1])) == {0, 1, 2}
