"""A finished model: predicting, and being measured."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from ravenml.data.images import read_image
from ravenml.data.project import Project
from ravenml.errors import InputError
from ravenml.infer.predictor import Predictor, load_predictor
from ravenml.train.interfaces import TrainOutput
from ravenml_tf_bbox.predict import BoxPredictor

Trained = tuple[Path, TrainOutput]


@pytest.fixture(scope="module")
def loaded(trained: Trained) -> BoxPredictor:
    found = load_predictor(trained[0] / "model-state.tar", "cpu")
    assert isinstance(found, BoxPredictor)
    return found


@pytest.fixture
def predictor(loaded: BoxPredictor) -> Iterator[BoxPredictor]:
    """The same one for all tests, which may configure it."""
    before = loaded.detector.choice
    yield loaded
    loaded.detector.configure(before)


def test_a_model_is_known_to_inference_as_a_detector(predictor: BoxPredictor) -> None:
    assert isinstance(predictor, Predictor)
    assert predictor.task == "detection" and predictor.classes == ["plate", "disc"]
    assert predictor.input_size == (64, 64) and predictor.device == "cpu"
    assert [c.color for c in predictor.obj_classes] == ["#D22828", "#28C83C"]


def test_it_finds_what_its_training_found(
    predictor: BoxPredictor, trained: Trained, project_path: Path
) -> None:
    scores = trained[1].scores
    assert scores is not None
    predictor.configure({"score": 0.01})
    images = [read_image(project_path / "ds" / "img" / name) for name in ("04.png", "05.png")]
    for one, expected in zip(predictor.predict(np.stack(images)), scores.records["detections"], strict=True):
        assert one.dtype == np.float32 and one.shape[1] == 6
        np.testing.assert_allclose(one, expected, rtol=0, atol=1e-3)
    assert predictor.predict(np.zeros((0, 48, 64, 3), np.uint8)) == []


def test_fewer_boxes_are_given_where_that_is_wished(predictor: BoxPredictor) -> None:
    image = np.zeros((1, 30, 90, 3), np.uint8)
    predictor.configure({"score": 0.0, "most": 3})
    assert len(predictor.predict(image)[0]) <= 3
    predictor.configure({"score": 1.0})
    assert predictor.predict(image)[0].shape == (0, 6)
    with pytest.raises(InputError, match=r"model\.iou must be a number from 0\.0 to 1\.0, not 'much'"):
        predictor.configure({"iou": "much"})
    with pytest.raises(InputError, match=r"model\.scores is not a known field"):
        predictor.configure({"scores": 1})


def test_what_is_no_image_is_refused(predictor: BoxPredictor) -> None:
    with pytest.raises(InputError, match="uint8 of shape"):
        predictor.predict(np.zeros((1, 8, 8, 3), np.float32))  # type: ignore[arg-type]


def test_it_is_measured_as_it_was_when_it_was_trained(
    trained: Trained, project_path: Path, tmp_path: Path
) -> None:
    from ravenml_tf_bbox.evaluating import evaluate_model

    run, _ = trained
    found = evaluate_model(
        run, Project.open(project_path), tmp_path, run / "info" / "val_vis_items.json", "cpu"
    )
    evaluation = json.loads((tmp_path / "evaluation.json").read_text())
    assert evaluation["images"] == ["ds/04.png"] and len(found.found) == 1
    whole = json.loads((run / "evaluation.json").read_text())
    assert evaluation["per_image"] == whole["per_image"][:1]
    assert {"precision_recall.png", "confusion_matrix.png", "worst_1.png"} <= {
        p.name for p in tmp_path.iterdir()
    }


def test_what_is_no_model_is_named(tmp_path: Path) -> None:
    from ravenml_tf_bbox.loading import load_model

    with pytest.raises(InputError, match=r"nothing\.tar does not exist"):
        load_model(tmp_path / "nothing.tar")
    (tmp_path / "config.json").write_text(json.dumps({"settings": {"plugin": "tf-bbox"}}))
    with pytest.raises(InputError, match=r"`settings\.architecture` should name the network, not None"):
        load_model(tmp_path)
