"""A model leaves ravenML: both forms are what the model is, or there are none."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from click.testing import CliRunner

from ravenml.data.images import read_image
from ravenml.errors import RavenError
from ravenml.train.interfaces import TrainOutput
from ravenml_tf_bbox import exporting
from ravenml_tf_bbox.core import tf_bbox
from ravenml_tf_bbox.detecting import Choice
from ravenml_tf_bbox.export_check import Agreement, RawOutput, compare_outputs
from ravenml_tf_bbox.loading import load_model

Trained = tuple[Path, TrainOutput]
DOCS = Path(__file__).resolve().parents[3] / "docs"
CHOICE = Choice(iou=0.5, most=4)


@pytest.fixture(scope="module")
def exported(trained: Trained, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("forms") / "exported"
    model = trained[0] / "model-state.tar"
    done = CliRunner().invoke(
        tf_bbox, ["export", str(model), "--out", str(folder), "--score", "0.01", "--most", "1000"]
    )
    assert done.exit_code == 0, done.output
    said = done.stdout.splitlines()
    assert len(said) == 2 and all("predicts what the model predicts" in line for line in said)
    return folder


def test_there_are_two_forms_and_the_classes_and_nothing_else(exported: Path) -> None:
    assert {path.name for path in exported.iterdir()} == {"saved_model", "model.tflite", "classes.json"}
    assert [path.name for path in exported.parent.iterdir()] == ["exported"]
    titles = [one["title"] for one in json.loads((exported / "classes.json").read_text())]
    assert titles == ["plate", "disc"]


def test_they_find_in_an_image_what_ravenml_finds(
    exported: Path, trained: Trained, project_path: Path
) -> None:
    predictor = load_model(trained[0])
    predictor.configure({"score": 0.01, "most": 1000})
    image = np.zeros((1, 64, 64, 3), np.uint8)
    image[0, :48] = read_image(project_path / "ds" / "img" / "04.png")
    said = exporting.raw_output(predictor, image)
    expected = predictor.detector(image)[0]
    for load, name in ((exporting.load_saved_model, "saved_model"), (exporting.load_tflite, "model.tflite")):
        found = load(exported / name)(image)
        count = int(found["count"])
        assert count == len(expected) > 0
        assert found["boxes"].shape == (1000, 6) and found["boxes"].dtype == np.float32
        assert found["boxes"][count - 1, 4] > 0.01 >= found["boxes"][count, 4]
        same = compare_outputs(said, found["boxes"][found["boxes"][:, 4] > 0], predictor.detector.choice)
        assert same.boxes >= count and same.pixels < 0.01 and same.score < 1e-4


@pytest.mark.slow  # 18 s: TensorFlow starts in another process
def test_the_guide_s_example_runs(exported: Path, project_path: Path, tmp_path: Path) -> None:
    (example,) = re.findall(r"```python\n(.*?)```", (DOCS / "boxes.md").read_text(), re.DOTALL)
    os.symlink(exported, tmp_path / "exported")
    picture = read_image(project_path / "ds" / "img" / "04.png")
    cv2.imwrite(str(tmp_path / "frame.jpg"), cv2.resize(picture, (128, 96)))
    done = subprocess.run([sys.executable, "-c", example], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines and all(re.fullmatch(r"(plate|disc) 0\.\d\d( \d+){4}", line) for line in lines)
    edges = np.array([[int(edge) for edge in line.split()[2:]] for line in lines])
    assert 64 < edges.max() <= 128 and (edges[:, 2:] > edges[:, :2]).all()


@pytest.mark.slow  # 17 s: TensorFlow traces and converts a second model
def test_a_form_of_other_weights_is_refused_and_nothing_is_written(
    trained: Trained, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def changed(predictor: exporting.BoxPredictor) -> object:
        """The module of the same network after a small change of one of its weights."""
        bias = predictor.detector.model.get_layer("boxes_head").prediction_layer.bias
        bias.assign(bias + 0.05)
        return made(predictor)

    made = exporting._module
    monkeypatch.setattr(exporting, "_module", changed)
    with pytest.raises(RavenError, match=r"^saved_model does not predict what the model predicts: it finds "):
        exporting.export_model(trained[0], tmp_path / "exported", {})
    assert not any(tmp_path.iterdir())


# What is a right list of boxes, and what is not: four boxes of class 0, the first two of which overlap.
PLACES = np.array([[0, 0, 10, 10], [0, 0, 10, 12], [20, 0, 30, 10], [40, 0, 50, 10]], np.float32)
SCORES = np.array([[0.9], [0.9 - 1e-5], [0.5], [0.1]], np.float32)


def rows(*numbers: int) -> np.ndarray:
    """Boxes as a form gives them, by their numbers."""
    chosen = list(numbers)
    return np.concatenate([PLACES[chosen], SCORES[chosen], np.zeros((len(chosen), 1), np.float32)], axis=1)


MODEL = RawOutput(PLACES, SCORES, rows(0, 2, 3))


def test_the_model_s_own_boxes_are_right() -> None:
    assert compare_outputs(MODEL, rows(0, 2, 3), CHOICE) == Agreement(3, 0, 0.0, 0.0)


def test_of_two_boxes_that_are_as_likely_either_is_right_and_counted() -> None:
    assert compare_outputs(MODEL, rows(1, 2, 3), CHOICE).others == 1


def test_where_no_more_are_wanted_the_least_likely_may_be_missing() -> None:
    assert compare_outputs(MODEL, rows(0, 2), Choice(iou=0.5, most=2)).boxes == 2
    with pytest.raises(RavenError, match=r"does not find the box \(20\.0, 0\.0, 30\.0, 10\.0\) of class 0"):
        compare_outputs(MODEL, rows(0, 3), Choice(iou=0.5, most=2))


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        (rows(0, 2), "it does not find the box (40.0"),
        (rows(), "it does not find the box (0.0"),
        (rows(0, 1, 2, 3), "it finds both"),
        (rows(2, 0, 3), "do not come in the order"),
        (rows(0, 2, 3) + np.array([1, 0, 1, 0, 0, 0], np.float32), "of which the model says nothing"),
        (rows(0, 2, 3) + np.array([0, 0, 0, 0, 0, 1], np.float32), "of which the model says nothing"),
        (rows(0, 2, 3) * np.array([1, 1, 1, 1, 0.99, 1], np.float32), "of which the model says nothing"),
        (rows(0, 2, 3) * np.float32("nan"), "of which the model says nothing"),
    ],
)
def test_what_no_suppression_could_give_is_refused(given: np.ndarray, problem: str) -> None:
    with pytest.raises(RavenError, match=re.escape(problem)):
        compare_outputs(MODEL, given, CHOICE)


def test_the_less_likely_of_two_boxes_is_refused() -> None:
    surer = np.array([[0.9], [0.8], [0.5], [0.1]], np.float32)
    less = rows(1, 2, 3)
    less[0, 4] = 0.8
    with pytest.raises(RavenError, match=r"does not find the box \(0\.0, 0\.0, 10\.0, 10\.0\)"):
        compare_outputs(RawOutput(PLACES, surer, MODEL.rows), less, CHOICE)
