"""The plugin through Supervisely's contract: it trains, and its model predicts."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from test_bbox_command import PLUGIN, raven

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        shutil.which("bwrap") is None, reason="bubblewrap is missing (apt install bubblewrap)"
    ),
]
SETTINGS = {
    "epochs": 2,
    "input_size": {"width": 64, "height": 64},
    "batch_size": {"train": 2, "val": 2},
    "aspect_ratios": [1.0],
    "device": "cpu",
}


def test_a_task_trains_and_its_model_annotates_a_project(
    project_path: Path, own_home: Path, tmp_path: Path
) -> None:
    config = tmp_path / "task.json"
    config.write_text(json.dumps(SETTINGS))
    raven("agent", "run", PLUGIN, "--mode", "train", "--data", project_path, "--config", config)
    (trained,) = (own_home / "runs").iterdir()
    assert (trained / "model-state.tar").is_file()
    assert "val/ap50" in json.loads((trained / "run.json").read_text())["result"]["metrics"]
    mode = {
        "model": {"score": 0.0, "most": 4},
        "mode": {"name": "full_image", "model_classes": {"add_suffix": "_box"}},
    }
    config.write_text(json.dumps(mode))
    arguments = ("--data", project_path, "--model", trained.name, "--config", config)
    raven("agent", "run", PLUGIN, "--mode", "inference", *arguments)
    made = sorted((own_home / "runs").iterdir())[-1] / "artifacts" / "shapes_project"
    files = sorted((made / "ds" / "ann").iterdir())
    assert len(files) == 6
    objects = [one for file in files for one in json.loads(file.read_text())["objects"]]
    assert any(one["classTitle"].endswith("_box") and one["geometryType"] == "rectangle" for one in objects)
