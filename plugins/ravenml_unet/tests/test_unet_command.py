"""``raven train unet …`` as a user types it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import yaml
from unet_support import run_unet

from ravenml_unet.settings import UNetSettings

SMALL = [
    "--epochs",
    "1",
    "--input-width",
    "32",
    "--input-height",
    "32",
    "--batch-size",
    "2",
    "--previews",
    "0",
]
SMALL += ["--device", "cpu", "--precision", "32", "--workers", "0"]
TINY = """
from torch import nn

class Tiny(nn.Conv2d):
    def __init__(self, num_classes):
        super().__init__(3, num_classes, 3, padding=1)
"""


@pytest.fixture
def work(tmp_path: Path) -> Path:
    """The folder that a user works in, with a network of their own."""
    folder = tmp_path / "work"
    folder.mkdir()
    (folder / "own_net.py").write_text(TINY)
    return folder


def raven(work: Path, *arguments: str | Path, code: int = 0) -> str:
    """What ``raven`` printed on both channels; it must end with ``code``."""
    done = run_unet(*arguments, cwd=work, code=code)
    return done.stdout + done.stderr


def the_run(own_home: Path) -> Path:
    (run,) = (own_home / "runs").iterdir()
    return run


def names(file: Path) -> list[str]:
    return [item["item_name"] for item in json.loads(file.read_text())]


def test_a_training_with_a_network_and_tags_of_ones_own(
    work: Path, project_path: Path, own_home: Path
) -> None:
    project = shutil.copytree(project_path, work / "project")
    for path in sorted((project / "shapes" / "ann").iterdir()):
        tag = "check" if path.name.startswith(("04", "05")) else "learn"
        path.write_text(json.dumps(json.loads(path.read_text()) | {"tags": [{"name": tag}]}))
    raven(
        work, "train", "--dataset", project, "unet", "train", *SMALL, "--model", "own_net:Tiny",
        "--train-tag", "learn", "--val-tag", "check", "--class-weights", "red=2", "--milestones", "1,2",
    )  # fmt: skip
    run = the_run(own_home)
    assert names(run / "info" / "val_set.json") == ["04.png", "05.png"]
    config = json.loads((run / "info" / "ui_state.json").read_text())["plugin"]
    assert config["dataset_tags"] == {"train": "learn", "val": "check"}
    assert config["class_weights"] == {"red": 2.0} and config["milestones"] == [1, 2]
    assert config["model"] == "own_net:Tiny"


def test_a_finished_model_is_evaluated(work: Path, project_path: Path, own_home: Path) -> None:
    raven(work, "train", "--dataset", project_path, "unet", "train", *SMALL, "--model", "own_net:Tiny")
    model = the_run(own_home) / "model-state.tar"
    said = raven(work, "train", "unet", "evaluate", model, "--dataset", project_path, "--device", "cpu")
    assert "miou" in said and str(Path("evaluation", "evaluation.json")) in said
    found = json.loads((work / "evaluation" / "evaluation.json").read_text())
    assert len(found["images"]) == 6 and found["architecture"] == "own_net:Tiny"
    assert (work / "evaluation" / "confusion_matrix.png").is_file()
    said = raven(work, "train", "unet", "evaluate", work / "nothing.tar", "--dataset", project_path, code=2)
    assert "nothing.tar does not exist" in said and "Traceback" not in said


def test_what_cannot_be_is_said_in_one_line(work: Path, project_path: Path) -> None:
    dataset = ("train", "--dataset", project_path, "unet", "train", *SMALL)
    said = raven(work, *dataset, "--model", "UNet12", code=2)
    assert "--model" in said and "LinkNet34" in said and "Traceback" not in said
    said = raven(work, *dataset, "--model", "own_net:Missing", code=2)
    assert "own_net has no Missing" in said and "Traceback" not in said
    said = raven(work, *dataset, "--nesterov", code=2)
    assert "nesterov needs optimizer SGD" in said


def test_networks_are_listed_with_what_they_are(work: Path) -> None:
    lines = raven(work, "train", "unet", "models").splitlines()
    assert lines[0].startswith("UNet\t") and len(lines) >= 5


def test_all_settings_are_written_as_a_file_that_means_the_defaults(work: Path) -> None:
    raven(work, "train", "unet", "train", "--write-config", "my.yml")
    values = yaml.safe_load((work / "my.yml").read_text())
    assert UNetSettings.model_validate(values["plugin"]) == UNetSettings()
    assert values["plugin"].keys() == UNetSettings.model_fields.keys()
    assert (
        raven(work, "train", "-c", "my.yml", "unet", "train", "--write-config", "-")
        == (work / "my.yml").read_text()
    )
