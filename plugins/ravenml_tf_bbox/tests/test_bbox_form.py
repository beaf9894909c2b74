"""What the plugin tells pages of its settings."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ravenml.train.form import describe_settings
from ravenml.train.helper import answer
from ravenml_tf_bbox.models import ARCHITECTURES
from ravenml_tf_bbox.settings import BoxSettings


def test_every_role_is_taken_once_and_the_presets_are_there() -> None:
    form = describe_settings(BoxSettings)
    roles = [field["role"] for field in form["fields"] if field["role"]]
    assert len(set(roles)) == len(roles)
    assert {"architecture", "classes", "augmentations", "weights", "epochs", "device"} <= {*roles}
    assert [one["title"] for one in form["presets"]] == ["small", "standard"]


def test_networks_and_templates_are_offered() -> None:
    assert [one.value for one in BoxSettings.choices("model")] == list(ARCHITECTURES)
    assert {"none", "upright", "from_above", "colour"} <= {
        one.value for one in BoxSettings.choices("augmentations")
    }


def test_what_augmentations_do_to_an_image_is_shown() -> None:
    image = np.zeros((32, 48, 3), np.uint8)
    image[:, :10] = 255
    seen = BoxSettings(augmentations="from_above").augmented(image, 4, seed=1)
    assert len(seen) == 4 and {(one.shape, one.dtype) for one in seen} == {(image.shape, image.dtype)}
    assert any((one != image).any() for one in seen)


def test_what_cannot_be_trained_is_said_of_each_field(tmp_path: Path) -> None:
    (tmp_path / "net.py").write_text("import keras")
    settings = {
        "augmentations": "nowhere.yml",
        "best_by": "ap/cot",
        "classes": ["cot"],
        "model": "RetinaNetSmall",
    }
    settings |= {"input_size": {"width": 64, "height": 64}, "weights": str(tmp_path / "net.py")}
    question = {"ask": "check", "settings": settings, "classes": ["cat", "dog"]}
    wrong = answer(BoxSettings, question)["wrong"]
    assert wrong["classes"] == 'the project has no class "cot"; did you mean "cat"?'
    assert "there is no file nowhere.yml" in wrong["augmentations"] and "is text" in wrong["weights"]
    assert "no metric is called 'ap/cot'" in wrong["best_by"]
    settings |= {"weights": None, "augmentations": "upright", "best_by": "ap/cat", "classes": ["cat"]}
    assert answer(BoxSettings, question)["wrong"] == {}
