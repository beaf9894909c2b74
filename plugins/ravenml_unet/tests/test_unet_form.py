"""What the plugin tells pages of its settings: groups, roles, choices, the schedule, changed images."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from unet_support import run_unet, write_project

from ravenml.toolkit.augmentation.pipeline import Pipeline
from ravenml.toolkit.augmentation.reading import read_augmentations
from ravenml.train.form import describe_settings
from ravenml.train.helper import answer
from ravenml_unet.settings import UNetSettings


def test_every_field_has_a_place_and_the_roles_are_taken_once() -> None:
    form = describe_settings(UNetSettings)
    fields = {field["name"]: field for field in form["fields"]}
    assert fields["lr"]["group"] == "optimizer" and fields["lr"]["above"] == 0
    assert fields["input_size.width"] | {"least": 16, "unit": "pixels"} == fields["input_size.width"]
    assert fields["milestones"]["group"] == "schedule" and fields["checkpoint_every"]["kind"] == "whole"
    assert fields["momentum"]["when"] == {"optimizer": ["SGD"]}
    roles = [field["role"] for field in form["fields"] if field["role"]]
    assert len(set(roles)) == len(roles) and {"architecture", "classes", "augmentations", "weights"} <= {
        *roles
    }
    assert [one["title"] for one in form["presets"]] == ["quick", "standard", "large"]


def test_architectures_are_offered_with_a_line_and_their_parameters() -> None:
    offered = {one.value: one for one in UNetSettings.choices("model")}
    assert offered["LinkNet34"].parameters == 21_794_850 and "fastest" in offered["LinkNet34"].text
    assert [one.value for one in UNetSettings.choices("augmentations")][:2] == ["none", "colour"]


def test_the_schedule_is_told_step_by_step() -> None:
    rates = UNetSettings(lr=1.0, lr_schedule="StepLR", step_size=1, epochs=3).learning_rates(2)
    np.testing.assert_allclose(rates, [1, 1, 0.1, 0.1, 0.01, 0.01])


def test_what_augmentations_do_to_an_image_is_shown() -> None:
    image = np.zeros((32, 48, 3), np.uint8)
    image[:, :10] = 255
    settings = UNetSettings(augmentations="colour+rotate+crop+fliplr")
    seen = settings.augmented(image, 6, seed=1)
    assert len(seen) == 6 and {(one.shape, one.dtype) for one in seen} == {(image.shape, image.dtype)}
    assert any((one != image).any() for one in seen)
    assert all((one == image).all() for one in UNetSettings().augmented(image, 2, seed=1))


def test_a_mask_is_changed_with_its_image_and_the_pipeline_is_python_that_makes_it_again() -> None:
    image, mask = np.zeros((32, 48, 3), np.uint8), np.zeros((32, 48), np.uint8)
    image[:, :10], mask[:, :10] = 255, 3
    for template in ("colour+rotate+crop+fliplr", "none"):
        settings = UNetSettings(augmentations=template)
        pairs = settings.augmented_with_mask(image, mask, 6, seed=1)
        assert len(pairs) == 6 and {(its.shape, its.dtype) for _, its in pairs} == {(mask.shape, mask.dtype)}
        assert all({*np.unique(its)} <= {0, 3} for _, its in pairs)
        code, made = settings.augmentation_code(), {}
        exec(code, made)  # noqa: S102
        assert made.get("pipeline", Pipeline()) == read_augmentations(template)
    pairs = UNetSettings(augmentations="colour+rotate+crop+fliplr").augmented_with_mask(image, mask, 6, 1)
    assert any((its != mask).any() for _, its in pairs)


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("augmentations", "augs.yml", "pipeline[0]: there is no operation 'twirl'"),
        ("class_weights", "rad=2", "there is no class 'rad'; did you mean \"red\"?"),
        ("weights", "net.py", "net.py is text, not weights; give a .pth file"),
        ("best_by", "val/iou/rad", "no metric is called 'iou/rad'; did you mean \"iou/red\"?"),
        ("classes", "reed", 'the project has no class "reed"; did you mean "red"?'),
        ("encoder_weights", "net.py", "net.py is text, not weights"),
    ],
)
def test_what_the_command_refuses_the_form_says_in_the_same_words(
    tmp_path: Path, own_home: Path, field: str, value: str, said: str
) -> None:
    root = write_project(tmp_path / "shapes")
    (tmp_path / "augs.yml").write_text("pipeline: [{name: twirl}]")
    (tmp_path / "net.py").write_text("import torch\n\nprint('größer')\n")
    if (tmp_path / value).exists():
        value = str(tmp_path / value)
    settings = {field: [value] if field == "classes" else value}
    question = {"ask": "check", "settings": settings, "classes": ["red", "green"]}
    ((named, problem),) = answer(UNetSettings, question)["wrong"].items()
    assert named == field and said in problem
    option = f"--{field.replace('_', '-')}"
    done = run_unet("train", "--dataset", root, "unet", "train", option, value, code=2, cwd=tmp_path)
    assert done.stderr.strip() == f"Error: {field}: {problem}."
    assert not (own_home / "runs").exists() or not list((own_home / "runs").iterdir())
