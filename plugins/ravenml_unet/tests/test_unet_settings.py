"""The settings: their names, their limits, and the presets."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

import ravenml_unet
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
        assert preset["type"] == "train"
        UNetSettings(**preset["config"])
