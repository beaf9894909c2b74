"""The settings: their names, their limits, and the presets."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

import ravenml_unet
from ravenml.infer.modes.catalog import effective_config
from ravenml.train.settings import leaves
from ravenml_unet.settings import UNetSettings


def test_options_have_the_names_that_the_documentation_promises() -> None:
    options = {leaf.option for leaf in leaves(UNetSettings)}
    assert {"--model", "--epochs", "--input-width", "--input-height", "--batch-size", "--lr"} <= options
    assert len(options) == len(list(leaves(UNetSettings)))


def test_every_setting_says_what_it_is() -> None:
    assert all(leaf.field.description for leaf in leaves(UNetSettings))


@pytest.mark.parametrize(
    "wrong",
    [
        {"epochs": 0},
        {"epochs": "many"},
        {"lr": 0},
        {"lr": -1},
        {"model": "UNet12"},
        {"input_size": {"width": 8}},
        {"input_size": {"depth": 8}},
        {"batch_size": {"train": 0}},
        {"val_every": 0},
        {"precision": "64"},
        {"seed": -1},
        {"epoch": 3},
        {"nesterov": True},
        {"optimizer": "SGD", "nesterov": True, "momentum": 0},
        {"lr_schedule": "steplr"},
        {"milestones": [5, 3]},
        {"lr_schedule": "cosine", "min_lr": 1},
        {"jaccard_weight": 1.5},
        {"class_weights": "rare"},
        {"class_weights": {"cat": -1}},
        {"loss": "no_colon"},
        {"metric": ["a:b", "no_colon"]},
        {"loss": "a:b", "jaccard_weight": 0.5},
        {"dataset_tags": {"train": "a", "val": "a"}},
        {"weights": "a.pth", "encoder_weights": "b.pth"},
        {"weights_init_type": "anew"},
    ],
)
def test_what_is_unknown_or_out_of_range_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        UNetSettings(**wrong)


def test_a_precision_that_yaml_read_as_a_number_is_understood() -> None:
    assert UNetSettings.model_validate({"precision": 32}).precision == "32"


def test_every_preset_is_a_valid_setting() -> None:
    path = Path(ravenml_unet.__file__).parent / "predefined_run_configs.json"
    presets = json.loads(path.read_text())
    assert len({preset["title"] for preset in presets}) == len(presets) >= 3
    for preset in presets:
        if preset["type"] == "train":
            UNetSettings(**preset["config"])
        else:
            assert preset["type"] == "inference" and set(preset["config"]) <= {"model", "mode"}
            effective_config(preset["config"]["mode"], {}, preset["title"], {})


def test_class_weights_are_understood_as_the_command_line_writes_them() -> None:
    assert UNetSettings.model_validate({"class_weights": "sky=0.5, car=2"}).class_weights == {
        "sky": 0.5,
        "car": 2,
    }
    assert UNetSettings.model_validate({"class_weights": "balanced"}).class_weights == "balanced"


def test_files_are_written_down_with_their_whole_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "mine.pth").write_bytes(b"\x80\x02weights")
    monkeypatch.chdir(tmp_path)
    assert UNetSettings(weights="mine.pth").weights == str(tmp_path / "mine.pth")
    assert UNetSettings(weights="not_there.pth").weights == "not_there.pth"
    assert UNetSettings(augmentations="colour").augmentations == "colour"


def test_lists_may_come_as_the_command_line_cuts_them() -> None:
    assert UNetSettings.model_validate({"milestones": ["3", "7"]}).milestones == [3, 7]


def test_what_is_written_down_is_read_again_as_the_same() -> None:
    settings = UNetSettings.model_validate({"class_weights": "a=2", "metric": ["m:f"], "best_by": "val/f"})
    assert UNetSettings.model_validate(settings.model_dump(mode="json")) == settings


@pytest.mark.parametrize(
    ("settings", "higher_is_better"),
    [({}, True), ({"best_by": "val/loss"}, False), ({"best_by": "loss", "best_is": "max"}, True)],
)
def test_a_loss_is_best_when_lowest_unless_told_otherwise(
    settings: dict[str, Any], higher_is_better: bool
) -> None:
    chosen = UNetSettings(**settings)
    assert chosen.better(2.0, 1.0) is higher_is_better and not chosen.better(1.0, 1.0)
