"""The plugin through Supervisely's contract: it gives what ``raven train`` and ``raven infer`` give."""

from __future__ import annotations

import json
import shutil
import tarfile
from pathlib import Path
from typing import Any

import pytest
from projects import real_data
from unet_support import run_unet, write_project

PLUGIN = Path(__file__).resolve().parents[1]
SETTINGS = {
    "model": "LinkNet34",
    "epochs": 2,
    "input_size": {"width": 64, "height": 48},
    "batch_size": {"train": 8, "val": 8},
    "val_every": 0.5,
    "previews": 1,
    "device": "cpu",
    "precision": "32",
    "workers": 0,
    "seed": 3,
}
pytestmark = pytest.mark.skipif(
    shutil.which("bwrap") is None, reason="bubblewrap is missing (apt install bubblewrap)"
)


@pytest.fixture(params=["painted", "camvid_small"])
def dataset(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A painted project, and the real one where it lies beside the checkout."""
    if request.param == "painted":
        return write_project(tmp_path / "painted", images=24)
    return real_data(request.param).resolve()


def raven(*arguments: str | Path, **environment: str) -> str:
    """``raven`` as a process; it must end well."""
    return run_unet(*arguments, **environment).stdout


def the_run(home: Path) -> Path:
    return sorted((home / "runs").iterdir())[-1]


def validations(run: Path) -> list[dict[str, Any]]:
    lines = [json.loads(line) for line in (run / "events.jsonl").read_text().splitlines()]
    return [
        {"epoch": line["epoch"], **line["metrics"]}
        for line in lines
        if line["event_type"] == "EventType.METRICS" and line["type"] == "val"
    ]


def contents(tar: Path) -> dict[str, bytes]:
    with tarfile.open(tar) as opened:
        return {m.name: opened.extractfile(m).read() for m in opened if m.isfile()}  # type: ignore[union-attr]


def test_its_contract_files_are_whole() -> None:
    from ravenml.agent.plugin_folder import PluginFolder
    from ravenml_unet import __version__
    from ravenml_unet.settings import UNetSettings

    folder = PluginFolder.open(PLUGIN)
    assert folder.modes == ["train", "inference", "deploy"] and folder.info["type"] == "architecture"
    assert folder.version == f"ravenml-unet:{__version__}"
    for entry in folder.configs:
        if entry["type"] == "train":
            UNetSettings.model_validate(entry["config"])


def test_a_wrong_field_of_the_task_is_named(own_home: Path, tmp_path: Path) -> None:
    dataset = write_project(tmp_path / "painted", images=24)
    config = tmp_path / "task.json"
    config.write_text(json.dumps({**SETTINGS, "epoch": 3}))
    with pytest.raises(AssertionError, match="epoch"):
        raven("agent", "run", PLUGIN, "--mode", "train", "--data", dataset, "--config", config)


@pytest.mark.slow
def test_scores_and_predictions_are_those_of_raven_itself(
    dataset: Path, own_home: Path, tmp_path: Path
) -> None:
    config = tmp_path / "task.json"
    config.write_text(json.dumps(SETTINGS))
    raven("agent", "run", PLUGIN, "--mode", "train", "--data", dataset, "--config", config)
    ours = the_run(own_home)
    file = tmp_path / "train.yaml"
    file.write_text(json.dumps({"dataset": str(dataset), "plugin": SETTINGS}))
    raven("train", "-c", file, "unet", "train")
    theirs = the_run(own_home)

    told = validations(ours)
    assert told[:-1] == validations(theirs) and len(told) == 5
    results = [json.loads((run / "run.json").read_text())["result"] for run in (ours, theirs)]
    assert results[0]["metrics"] == results[1]["metrics"]
    one, other = contents(ours / "model-state.tar"), contents(theirs / "model-state.tar")
    assert one.keys() == other.keys()
    assert json.loads(one["config.json"]) == json.loads(other["config.json"])
    import io

    import torch

    weights = [torch.load(io.BytesIO(each["model.pth"]), weights_only=True) for each in (one, other)]
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[1])
    assert list((ours / "artifacts" / "previews").rglob("*.png"))

    mode = {"model": {}, "mode": {"name": "full_image", "model_classes": {"add_suffix": "_unet"}}}
    config.write_text(json.dumps(mode))
    arguments = ("--data", dataset, "--model", ours.name, "--config", config)
    raven("agent", "run", PLUGIN, "--mode", "inference", *arguments)
    made = the_run(own_home) / "artifacts" / dataset.name
    raven("infer", ours.name, "--data", dataset, "--out", tmp_path / "out", "--config", config)
    annotations = sorted(path.relative_to(made) for path in made.glob("*/ann/*.json"))
    assert annotations
    for name in annotations:
        assert json.loads((made / name).read_text()) == json.loads((tmp_path / "out" / name).read_text())

    config.write_text(json.dumps({**SETTINGS, "epochs": 1, "weights_init_type": "continue_training"}))
    arguments = ("--data", dataset, "--model", ours.name, "--config", config)
    raven("agent", "run", PLUGIN, "--mode", "train", *arguments)
    assert "It begins with" in (the_run(own_home) / "events.jsonl").read_text()
