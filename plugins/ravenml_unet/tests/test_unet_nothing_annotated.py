"""Trainings whose validation images hold nothing: refused, or without a score, but never perfect."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from unet_support import MakeInput, small_settings, write_project

from ravenml.errors import InputError
from ravenml.runs.events import effective_metrics
from ravenml_unet.training import run_training


@pytest.fixture
def project_path(tmp_path: Path) -> Path:
    """The usual project, without the objects of the two images that validate."""
    root = write_project(tmp_path / "project")
    for name in ("04", "05"):
        file = root / "shapes" / "ann" / f"{name}.png.json"
        file.write_text(json.dumps(json.loads(file.read_text()) | {"objects": []}))
    return root


def test_it_is_refused_before_anything_is_written(make_input: MakeInput, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="none of the 2 images to validate with has an annotated object"):
        run_training(make_input(small_settings()))
    assert not (tmp_path / "run").exists()


def test_a_fold_has_no_score_and_keeps_its_last_weights_whatever_it_finds(
    make_input: MakeInput, tmp_path: Path, slim_unet: None
) -> None:
    output = run_training(make_input(small_settings(), fold=0))
    validations = [one.values for one in effective_metrics(tmp_path / "run" / "events.jsonl")]
    assert {one["val/miou"] for one in validations if "val/miou" in one} == {"NaN"}
    assert not list((tmp_path / "run" / "checkpoints").glob("*_best*"))
    said = (tmp_path / "run" / "events.jsonl").read_text()
    assert "val/miou was not defined in any validation; the model has the last weights." in said
    assert "No image to validate with has an object of " in said
    assert output is not None and output.model_path is not None and output.model_path.is_file()
    scores = json.loads((tmp_path / "run" / "evaluation.json").read_text())["model_size"]["scores"]
    assert scores["miou"] is None and 0 <= scores["pixel_accuracy"] <= 1
