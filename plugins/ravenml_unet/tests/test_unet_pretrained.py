"""What a training may begin from."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from unet_support import MakeInput, small_settings

from ravenml.data.project import ObjClass
from ravenml.errors import InputError
from ravenml_unet.export import export_model
from ravenml_unet.models.registry import create_model
from ravenml_unet.pretrained import inspect_weights
from ravenml_unet.settings import UNetSettings
from ravenml_unet.training import run_training
from ravenml_unet.weights import bare_state, load_encoder, load_initial_weights, save_torch


def write_app_folder(root: Path, titles: list[str], model: str = "UNet", size: int = 48) -> Path:
    """The artifact folder of a training in Supervisely's U-Net app, as far as it is read."""
    (root / "info").mkdir(parents=True)
    state = {
        "selectedModel": model,
        "imgSize": {"width": size, "height": 32, "proportional": False},
        "epochs": 3,
    }
    (root / "info" / "ui_state.json").write_text(json.dumps(state))
    classes = [{"title": t, "shape": "bitmap", "color": "#101010", "id": 7, "hotkey": ""} for t in titles]
    (root / "info" / "model_classes.json").write_text(json.dumps(classes))
    torch.manual_seed(1)
    network = create_model(model, len(titles))
    for name in ("model_001.pth", "model_002_best.pth", "model_003_last.pth"):
        save_torch(root / "checkpoints" / name, bare_state(network))
    return root


def classes_of(folder: Path) -> list[str]:
    return [c["title"] for c in json.loads((folder / "info" / "model_classes.json").read_text())]


def test_the_apps_folder_names_architecture_size_and_order_of_classes(tmp_path: Path) -> None:
    folder = write_app_folder(tmp_path / "app", ["red", "green", "__bg__"], "UNet11")
    start = inspect_weights(folder)
    assert (start.architecture, start.size) == ("UNet11", (48, 32))
    assert [c.title for c in start.classes or []] == ["red", "green", "__bg__"]
    assert start.path.name == "model_002_best.pth"
    one = inspect_weights(folder / "checkpoints" / "model_001.pth")
    assert (one.path.name, one.architecture) == ("model_001.pth", "UNet11")


def test_settings_take_architecture_and_size_from_the_folder_where_they_say_nothing(tmp_path: Path) -> None:
    folder = str(write_app_folder(tmp_path / "app", ["red", "__bg__"], "UNet11"))
    settings = UNetSettings(weights=folder)
    assert (settings.model, settings.input_size.width, settings.input_size.height) == ("UNet11", 48, 32)
    wider = UNetSettings.model_validate({"weights": folder, "input_size": {"width": 96, "height": 64}})
    assert (wider.model, wider.input_size.width) == ("UNet11", 96)
    # What was written down once does not change when the folder does.
    assert UNetSettings(**json.loads(settings.model_dump_json())) == settings


@pytest.mark.usefixtures("slim_unet")
def test_a_training_of_the_app_is_continued_with_its_classes_in_its_order(
    make_input: MakeInput, tmp_path: Path
) -> None:
    folder = write_app_folder(tmp_path / "app", ["red", "green", "__bg__"])
    settings = small_settings(epochs=1, weights=str(folder), weights_init_type="continue_training", lr=1e-9)
    run_training(make_input(settings))
    assert classes_of(tmp_path / "run") == ["red", "green", "__bg__"]
    before = torch.load(folder / "checkpoints" / "model_002_best.pth", weights_only=True)
    after = torch.load(next(tmp_path.glob("run/checkpoints/*_last.pth")), weights_only=True)
    assert all(torch.allclose(before[key], after[key], atol=1e-6) for key in before)


@pytest.mark.usefixtures("slim_unet")
def test_a_training_killed_before_its_first_checkpoint_begins_again_with_its_weights(
    make_input: MakeInput, tmp_path: Path
) -> None:
    folder = write_app_folder(tmp_path / "app", ["red", "green", "__bg__"])
    settings = small_settings(epochs=1, weights=str(folder), weights_init_type="continue_training", lr=1e-9)
    make_input(settings).run.detach()  # killed when no more than its folder was there
    run_training(make_input(settings, resume=True))
    before = torch.load(folder / "checkpoints" / "model_002_best.pth", weights_only=True)
    after = torch.load(next(tmp_path.glob("run/checkpoints/*_last.pth")), weights_only=True)
    assert all(torch.allclose(before[key], after[key], atol=1e-6) for key in before)


@pytest.mark.usefixtures("slim_unet")
def test_transfer_learning_keeps_all_but_the_last_layer_and_takes_the_datas_classes(
    make_input: MakeInput, tmp_path: Path
) -> None:
    folder = write_app_folder(tmp_path / "app", ["cat", "dog", "cow", "__bg__"])
    run_training(make_input(small_settings(epochs=1, weights=str(folder), lr=1e-9)))
    assert classes_of(tmp_path / "run") == ["__bg__", "red", "green"]
    before = torch.load(folder / "checkpoints" / "model_002_best.pth", weights_only=True)
    after = torch.load(next(tmp_path.glob("run/checkpoints/*_last.pth")), weights_only=True)
    kept = [key for key in before if before[key].shape == after[key].shape and "conv_final" not in key]
    assert len(kept) == len(before) - 2
    assert all(torch.allclose(before[key], after[key], atol=1e-6) for key in kept)
    assert after["conv_final.weight"].shape[0] == 3


def test_the_last_layer_is_begun_anew_even_where_it_would_fit(tmp_path: Path) -> None:
    torch.manual_seed(0)
    given, model = create_model("UNet", 2), create_model("UNet", 2)
    fresh = model.conv_final.weight.clone()  # type: ignore[union-attr, operator]
    path = save_torch(tmp_path / "given.pth", bare_state(given))
    load_initial_weights(model, inspect_weights(path), "UNet", replace_head=True)
    state = model.state_dict()
    assert torch.equal(state["conv_final.weight"], fresh)
    assert torch.equal(state["down.0.l1.conv.weight"], given.state_dict()["down.0.l1.conv.weight"])


@pytest.mark.usefixtures("slim_unet")
def test_a_run_of_ours_is_a_start_like_the_apps(make_input: MakeInput, tmp_path: Path) -> None:
    train = make_input(small_settings(epochs=1))
    run_training(train)
    state = {"plugin": {"model": "UNet", "input_size": {"width": 32, "height": 32}}}
    (tmp_path / "run" / "info" / "ui_state.json").write_text(json.dumps(state))
    start = inspect_weights(tmp_path / "run")
    assert (start.architecture, start.size) == ("UNet", (32, 32))


def test_a_packed_model_names_its_architecture_too(tmp_path: Path) -> None:
    classes = [ObjClass("__bg__", "bitmap", "#000000"), ObjClass("cat", "bitmap", "#FF0000")]
    path = export_model(
        tmp_path / "m.tar", create_model("LinkNet34", 2), small_settings(model="LinkNet34"), classes
    )
    settings = UNetSettings(weights=str(path))
    assert (settings.model, settings.input_size.width) == ("LinkNet34", 32)


@pytest.mark.parametrize("missing", ["info/ui_state.json", "info/model_classes.json", "checkpoints"])
def test_a_folder_that_lacks_something_is_named_with_what_it_lacks(tmp_path: Path, missing: str) -> None:
    folder = write_app_folder(tmp_path / "app", ["red", "__bg__"])
    if missing == "checkpoints":
        for path in (folder / missing).iterdir():
            path.unlink()
    else:
        (folder / missing).unlink()
    with pytest.raises(InputError, match=missing):
        inspect_weights(folder)


def torchvision_resnet34() -> dict[str, torch.Tensor]:
    """Names and shapes as torchvision saves them, which are those of our own ResNet34."""
    from ravenml_unet.models.resnet import ResNet34

    return {name: value.clone() for name, value in ResNet34().state_dict().items()}


@pytest.mark.parametrize(("model", "here"), [("LinkNet34", "encoder2.0.conv1"), ("AlbuNet", "conv3.0.conv1")])
def test_a_resnet_in_torchvisions_format_becomes_the_encoder(tmp_path: Path, model: str, here: str) -> None:
    given = torchvision_resnet34()
    path = save_torch(tmp_path / "resnet34.pth", given)
    network = create_model(model, 2)
    load_encoder(network, path, model)
    assert torch.equal(network.state_dict()[f"{here}.weight"], given["layer2.0.conv1.weight"])


@pytest.mark.parametrize("model", ["UNet11", "UNet16"])
def test_a_vgg_in_torchvisions_format_becomes_the_encoder(tmp_path: Path, model: str) -> None:
    network = create_model(model, 2)
    given = {
        name.replace("encoder.", "features."): torch.full_like(value, 0.5)
        for name, value in network.state_dict().items()
        if name.startswith("encoder.")
    }
    path = save_torch(tmp_path / "vgg.pth", given | {"classifier.0.weight": torch.zeros(4, 4)})
    load_encoder(network, path, model)
    assert (network.conv1[0].weight == 0.5).all()  # type: ignore[index, union-attr]


def without(names: str) -> Any:
    return {key: value for key, value in torchvision_resnet34().items() if not key.startswith(names)}


@pytest.mark.parametrize(
    ("model", "given", "named"),
    [
        ("UNet", {}, "UNet has no encoder of torchvision's"),
        ("LinkNet34", without("layer3.1.conv2"), r"it lacks encoder3\.1\.conv2\.weight"),
        ("UNet11", torchvision_resnet34(), r"it has conv1\.weight"),
        (
            "LinkNet34",
            torchvision_resnet34() | {"conv1.weight": torch.zeros(64, 3, 3, 3)},
            r"shape \[64, 3, 3, 3\]",
        ),
    ],
)
def test_another_networks_encoder_is_refused(tmp_path: Path, model: str, given: Any, named: str) -> None:
    path = save_torch(tmp_path / "encoder.pth", given)
    with pytest.raises(InputError, match=named):
        load_encoder(create_model(model, 2), path, model)
