"""``raven train tf-bbox …`` as a user types it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from ravenml.agent.plugin_folder import PluginFolder
from ravenml_tf_bbox import __version__
from ravenml_tf_bbox.settings import BoxSettings

PLUGIN = Path(__file__).resolve().parents[1]
SMALL = [
    "--epochs",
    "2",
    "--input-width",
    "64",
    "--input-height",
    "64",
    "--batch-size",
    "2",
    "--previews",
    "0",
]
SMALL += ["--aspect-ratios", "1", "--workers", "0"]


def raven(*arguments: str | Path, code: int = 0, **environment: str) -> str:
    """What ``raven`` printed on both channels; it must end with ``code``."""
    variables = {**os.environ, "OMP_NUM_THREADS": "1", **environment}
    command = [sys.executable, "-m", "ravenml", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, env=variables, timeout=900)
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout + done.stderr


def test_listing_and_help_do_not_import_tensorflow(tmp_path: Path) -> None:
    (tmp_path / "tensorflow.py").write_text("raise SystemExit('tensorflow was imported')")
    (tmp_path / "keras.py").write_text("raise SystemExit('keras was imported')")
    hidden = {"PYTHONPATH": str(tmp_path)}
    assert "tf-bbox" in raven("train", "list", **hidden).split()
    said = raven("train", "tf-bbox", "train", "--help", **hidden)
    assert "RMSProp" in said and "--anchor-size" in said
    assert "RetinaNet50" in raven("train", "tf-bbox", "models", **hidden)


def test_what_cannot_be_is_said_in_one_line(project_path: Path) -> None:
    dataset = ("train", "--dataset", project_path, "tf-bbox", "train")
    said = raven(*dataset, "--model", "YOLO", code=2)
    assert "there is no 'YOLO'; choose one of RetinaNetSmall" in said and "Traceback" not in said
    said = raven(*dataset, "--input-width", "100", code=2)
    assert "width must be a multiple of 32, such as 96, not 100" in said and "Traceback" not in said


def test_its_contract_files_are_whole() -> None:
    folder = PluginFolder.open(PLUGIN)
    assert folder.modes == ["train", "inference", "deploy"] and folder.info["type"] == "architecture"
    assert folder.version == f"ravenml-tf-bbox:{__version__}"
    presets = [entry for entry in folder.configs if entry["type"] == "train"]
    assert [entry["title"] for entry in presets] == ["small", "standard"]
    for entry in presets:
        BoxSettings.model_validate(entry["config"])


@pytest.mark.slow
def test_folds_are_trained_and_scored_over_all_images_and_a_model_finds_boxes(
    project_path: Path, own_home: Path, tmp_path: Path
) -> None:
    said = raven("train", "--dataset", project_path, "tf-bbox", "train", "--kfold", "--folds", "2", *SMALL)
    (run,) = (own_home / "runs").iterdir()
    summary = json.loads((run / "summary.json").read_text())
    assert summary["out_of_fold_images"] == 6 and summary["out_of_fold_source"] == "scores"
    assert {"ap", "ap50", "ap/disc", "ar100"} <= summary["out_of_fold"].keys() and "val/ap" in said
    model = run / "folds" / "0" / "model-state.tar"
    for mode in ("full_image", "sliding_window_det"):
        config = tmp_path / f"{mode}.json"
        window = {"window": {"width": 32, "height": 32}, "min_overlap": {"x": 8, "y": 8}}
        more = window if mode == "sliding_window_det" else {}
        content = {"model": {"score": 0.0, "most": 5}, "mode": {"name": mode, **more}}
        config.write_text(json.dumps(content))
        raven("infer", model, "--data", project_path, "--out", tmp_path / mode, "--config", config)
        written = [json.loads(file.read_text()) for file in (tmp_path / mode / "ds" / "ann").iterdir()]
        added = [one for file in written for one in file["objects"] if one["classTitle"].endswith("bbox")]
        assert added and {one["geometryType"] for one in added} == {"rectangle"}
        assert all(one["tags"][0]["name"] == "confidence" for one in added)


def test_all_settings_are_written_as_a_file_that_means_the_defaults(tmp_path: Path) -> None:
    file = tmp_path / "my.yml"
    raven("train", "tf-bbox", "train", "--write-config", file)
    values = yaml.safe_load(file.read_text())
    assert BoxSettings.model_validate(values["plugin"]) == BoxSettings()
    assert values["plugin"].keys() == BoxSettings.model_fields.keys()
    assert raven("train", "-c", file, "tf-bbox", "train", "--write-config", "-") == file.read_text()
