"""What ``ravenml_unet`` offers to code of one's own."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from test_unet_pretrained import write_app_folder

import ravenml_unet
from ravenml.data.annotation import parse_annotation
from ravenml.data.masks import draw_mask
from ravenml.errors import InputError
from ravenml_unet import convert_prediction_to_sly_format, inference, load_model


@pytest.fixture
def app_folder(tmp_path: Path) -> Path:
    return write_app_folder(tmp_path / "app", ["red", "green", "__bg__"])


def test_a_model_of_superviselys_app_is_loaded_and_predicts(app_folder: Path, tmp_path: Path) -> None:
    model = load_model(app_folder, "cpu")
    assert (model.classes, model.input_size) == (["red", "green", "__bg__"], (48, 32))
    image = np.random.default_rng(0).integers(0, 256, (50, 70, 3), dtype=np.uint8)
    labels = inference(model, image)
    assert labels.shape == (50, 70) and labels.max() < 3
    file = tmp_path / "image.png"
    cv2.imwrite(str(file), image[..., ::-1])
    assert np.array_equal(inference(model, file), labels)
    one = load_model(app_folder / "checkpoints" / "model_001.pth", "cpu")
    assert np.array_equal(inference(one, image), labels)


def test_a_bare_state_dict_says_too_little(app_folder: Path, tmp_path: Path) -> None:
    path = (app_folder / "checkpoints" / "model_001.pth").rename(tmp_path / "bare.pth")
    with pytest.raises(InputError, match=r"bare\.pth is a bare state dict"):
        load_model(path)


def test_a_prediction_becomes_an_annotation_that_draws_the_same_map() -> None:
    titles = ["red", "__bg__", "green"]
    labels = np.random.default_rng(0).integers(0, 3, (21, 33)).astype(np.uint8)
    annotation = convert_prediction_to_sly_format(labels, titles)
    assert annotation["size"] == {"height": 21, "width": 33}
    assert [one["classTitle"] for one in annotation["objects"]] == ["red", "green"]
    shapes = {"red": "bitmap", "green": "bitmap"}
    parsed = parse_annotation(json.dumps(annotation).encode(), Path("a.json"), shapes)
    drawn = draw_mask(parsed, ["red", "green"])
    assert np.array_equal(drawn, np.array([1, 0, 2])[labels])


def test_a_class_that_was_not_predicted_has_no_object(app_folder: Path) -> None:
    model = load_model(app_folder, "cpu")
    labels = np.full((4, 5), 2)
    assert convert_prediction_to_sly_format(labels, model)["objects"] == []
    labels[1, 2] = 1
    (one,) = convert_prediction_to_sly_format(labels, model)["objects"]
    assert one["classTitle"] == "green" and one["bitmap"]["origin"] == [2, 1]
    whole = convert_prediction_to_sly_format(labels, model, background="")
    assert [o["classTitle"] for o in whole["objects"]] == ["green", "__bg__"]


@pytest.mark.parametrize(("shape", "value", "said"), [((4, 5, 1), 0, r"\(4, 5, 1\)"), ((4, 5), 3, "index 3")])
def test_what_is_no_prediction_is_refused(shape: tuple[int, ...], value: int, said: str) -> None:
    with pytest.raises(InputError, match=said):
        convert_prediction_to_sly_format(np.full(shape, value), ["a", "b"])


def test_the_package_offers_what_it_lists_and_imports_no_framework() -> None:
    assert all(hasattr(ravenml_unet, name) for name in ravenml_unet.__all__)
    code = "import sys, ravenml_unet; print({'torch', 'numpy', 'cv2'} & sys.modules.keys() or 'light')"
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert printed.strip() == "light"
    with pytest.raises(AttributeError, match="nothing"):
        _ = ravenml_unet.nothing
