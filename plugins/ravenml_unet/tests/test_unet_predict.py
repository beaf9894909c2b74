"""Inference, previews, and what they do not import."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn
from unet_support import small_settings

from ravenml.data.project import ObjClass
from ravenml.errors import InputError, RavenError
from ravenml.store.model_state import unpack_model
from ravenml_unet.export import export_model
from ravenml_unet.models.registry import create_model
from ravenml_unet.predict import UNetPredictor, load
from ravenml_unet.predicting import most_likely
from ravenml_unet.previews import side_by_side

CLASSES = [ObjClass("__bg__", "bitmap", "#000000"), ObjClass("cat", "polygon", "#FF0000")]


@pytest.fixture
def model_dir(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    model = create_model("UNet", 2)
    nn.init.normal_(model.conv_final.weight)  # type: ignore[union-attr, arg-type]
    model.eval()
    with torch.no_grad():  # balanced, so that both classes are predicted
        guess = model.logits(torch.randn(1, 3, 32, 32)).mean(dim=(0, 2, 3))
        model.conv_final.bias -= guess  # type: ignore[union-attr, operator]
    tar = export_model(tmp_path / "model-state.tar", model, small_settings(), CLASSES)
    return unpack_model(tar, tmp_path / "model")


@pytest.fixture
def predictor(model_dir: Path) -> UNetPredictor:
    return load(model_dir, "cpu")


def test_predictions_have_the_images_own_size(predictor: UNetPredictor) -> None:
    images = np.random.default_rng(0).integers(0, 256, (2, 45, 61, 3), dtype=np.uint8)
    labels = predictor.predict(images, want="labels")
    probabilities = predictor.predict(images, want="probabilities")
    assert labels.shape == (2, 45, 61) and labels.dtype == np.uint8
    assert probabilities.shape == (2, 2, 45, 61) and probabilities.dtype == np.float32
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, atol=1e-5)
    assert np.array_equal(probabilities.argmax(axis=1), labels)
    assert 0 < labels.mean() < 1


def test_a_batch_is_predicted_as_its_images_are_one_by_one(predictor: UNetPredictor) -> None:
    images = np.random.default_rng(0).integers(0, 256, (3, 32, 32, 3), dtype=np.uint8)
    together = predictor.predict(images, "probabilities")
    alone = np.concatenate([predictor.predict(image[None], "probabilities") for image in images])
    np.testing.assert_allclose(together, alone, atol=1e-5)


def test_images_side_by_side_in_threads_of_their_own_come_out_the_same(predictor: UNetPredictor) -> None:
    images = np.random.default_rng(0).integers(0, 256, (5, 40, 50, 3), np.uint8)
    alone = predictor.predict(images, want="probabilities")
    assert predictor.batch_size == 1
    torch.set_num_threads(3)
    try:
        assert predictor.batch_size == 3
        together = predictor.predict(images, want="probabilities")
        assert torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(1)
    assert together.flags.writeable
    np.testing.assert_allclose(together, alone, atol=1e-5)


def test_a_single_class_is_told_from_everything_else_at_one_half() -> None:
    assert most_likely(torch.tensor([[[[0.4, 0.6]]]])).tolist() == [[[0, 1]]]


def test_images_of_another_shape_or_type_are_refused(predictor: UNetPredictor) -> None:
    with pytest.raises(InputError, match=r"uint8 of shape \(N, H, W, 3\)"):
        predictor.predict(np.zeros((4, 4, 3), np.uint8))
    with pytest.raises(InputError, match="float64"):
        predictor.predict(np.zeros((1, 4, 4, 3)))  # type: ignore[arg-type]
    with pytest.raises(InputError, match="'boxes' is not known"):
        predictor.predict(np.zeros((1, 4, 4, 3), np.uint8), want="boxes")  # type: ignore[arg-type]


def test_a_folder_without_a_model_is_named(tmp_path: Path) -> None:
    with pytest.raises(RavenError, match=str(tmp_path)):
        load(tmp_path, "cpu")


def test_a_preview_shows_image_truth_and_prediction_side_by_side() -> None:
    image = np.full((30, 160, 3), 100, np.uint8)
    truth, predicted = np.zeros((2, 30, 160), np.uint8)
    truth[:, 80:] = predicted[:15] = 1
    palette = np.array([[0, 0, 0], [255, 0, 0]], np.uint8)
    picture = side_by_side(image, truth, predicted, palette, background=0, caption="prediction")
    assert picture.dtype == np.uint8 and picture.shape == (30 + 22, 3 * 160 + 2 * 4, 3)
    below = picture[22:]
    assert (below[:, :160] == 100).all()
    background, object_ = below[0, 164], below[0, 164 + 159]
    assert background[0] == background[1] < 100 and object_[0] > 150 > object_[1]
    assert np.array_equal(below[0, 328], object_) and np.array_equal(below[29, 328], background)


@pytest.mark.parametrize(("size", "shown"), [((100, 2048), (25, 512)), ((30, 40), (120, 160))])
def test_a_large_image_is_shown_smaller_and_a_small_one_larger(
    size: tuple[int, int], shown: tuple[int, int]
) -> None:
    image, labels = np.zeros((*size, 3), np.uint8), np.zeros(size, np.uint8)
    picture = side_by_side(image, labels, labels, np.zeros((1, 3), np.uint8), 0, "prediction")
    assert picture.shape == (shown[0] + 22, 3 * shown[1] + 2 * 4, 3)


@pytest.mark.parametrize("module", ["core", "settings", "predict"])
def test_entry_points_import_no_framework(module: str) -> None:
    heavy = "{'torch', 'numpy', 'lightning_fabric', 'cv2', 'ray'} & sys.modules.keys()"
    code = f"import sys, ravenml_unet.{module}; print({heavy} or 'light')"
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert printed.strip() == "light"
