"""Reading and writing weights."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest
import torch
from unet_support import run_unet, small_settings

from ravenml.data.project import ObjClass
from ravenml.errors import InputError, RavenError
from ravenml.store.model_state import pack_model
from ravenml_unet import load_model
from ravenml_unet.export import export_model, model_config
from ravenml_unet.models.registry import create_model
from ravenml_unet.pretrained import inspect_weights
from ravenml_unet.weights import (
    bare_state,
    load_initial_weights,
    load_safetensors,
    load_weights,
    save_safetensors,
    save_torch,
)


def test_a_disk_that_is_full_is_said_with_the_file_and_the_fix(small_disk: Path) -> None:
    """PyTorch's writer hides the operating system's error behind one of its own."""
    path = small_disk / "model_001.pth"
    with pytest.raises(RavenError, match=r"model_001\.pth: the disk is full; free some space") as caught:
        save_torch(path, {"weights": torch.zeros(1 << 20)})
    assert "enforce fail" not in str(caught.value)
    assert list(small_disk.iterdir()) == []


def test_saved_weights_are_plain_and_come_back_the_same(tmp_path: Path) -> None:
    model = create_model("UNet", 2).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    path = save_torch(tmp_path / "model_001.pth", bare_state(model))
    saved = torch.load(path, weights_only=True)
    assert all(value.is_contiguous() and value.dtype == torch.float32 for value in saved.values())
    other = create_model("UNet", 2)
    load_weights(other, path, "UNet")
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), other.parameters(), strict=True))
    assert [p.name for p in tmp_path.iterdir()] == ["model_001.pth"]


def test_weights_under_two_names_are_written_once(tmp_path: Path) -> None:
    model = create_model("AlbuNet", 2).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    path = save_torch(tmp_path / "model.pth", bare_state(model))
    parameters = sum(p.numel() for p in model.parameters())
    assert path.stat().st_size < 4.1 * parameters
    assert torch.load(path, weights_only=True).keys() == model.state_dict().keys()


def test_another_networks_weights_are_refused_by_the_first_name_that_differs(tmp_path: Path) -> None:
    path = save_torch(tmp_path / "unet.pth", bare_state(create_model("UNet", 2)))
    with pytest.raises(InputError, match=r"unet\.pth does not fit LinkNet34: it lacks firstconv\.weight"):
        load_initial_weights(create_model("LinkNet34", 2), inspect_weights(path), "LinkNet34")


def test_another_number_of_classes_is_refused_by_its_shape(tmp_path: Path) -> None:
    path = save_torch(tmp_path / "unet.pth", bare_state(create_model("UNet", 2)))
    with pytest.raises(InputError, match=r"conv_final\.weight has the shape \[2, 32, 1, 1\] instead of \[3,"):
        load_initial_weights(create_model("UNet", 3), inspect_weights(path), "UNet")


def test_a_packed_model_is_a_beginning_too(tmp_path: Path) -> None:
    model = create_model("UNet", 2)
    classes = [ObjClass("__bg__", "bitmap", "#000000"), ObjClass("cat", "bitmap", "#FF0000")]
    path = export_model(tmp_path / "model-state.tar", model, small_settings(), classes)
    other = create_model("UNet", 2)
    load_initial_weights(other, inspect_weights(path), "UNet")
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), other.parameters(), strict=True))
    with pytest.raises(InputError, match=r"holds a UNet, not a UNet11"):
        load_initial_weights(create_model("UNet11", 2), inspect_weights(path), "UNet11")
    assert [p.name for p in tmp_path.iterdir()] == ["model-state.tar"]


def test_a_file_that_would_run_code_is_refused(tmp_path: Path) -> None:
    class Harmful:
        def __reduce__(self) -> tuple[object, ...]:
            return (Path.touch, (tmp_path / "harm",))

    path = tmp_path / "model.pth"
    path.write_bytes(pickle.dumps(Harmful(), protocol=2))
    with pytest.raises(InputError, match=r"cannot be read safely|holds no weights"):
        load_initial_weights(create_model("UNet", 2), inspect_weights(path), "UNet")
    assert not (tmp_path / "harm").exists()


def test_safetensors_are_written_and_begun_with(tmp_path: Path) -> None:
    model, other = create_model("UNet", 2), create_model("UNet", 2)
    state = bare_state(model)
    state["again"] = next(iter(state.values()))  # one tensor under two names
    assert load_safetensors(save_safetensors(tmp_path / "two.safetensors", state)).keys() == state.keys()
    path = save_safetensors(tmp_path / "unet.safetensors", bare_state(model))
    load_initial_weights(other, inspect_weights(path), "UNet")
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), other.parameters(), strict=True))


def test_a_model_may_have_its_weights_as_safetensors(tmp_path: Path) -> None:
    model, classes = create_model("UNet", 1), [ObjClass("red", "bitmap", "#FF0000")]
    config = model_config(small_settings(), classes)
    config["settings"]["weights"] = "model.safetensors"
    weights = save_safetensors(tmp_path / "model.safetensors", bare_state(model))
    tar = pack_model(tmp_path / "model-state.tar", config, [weights])
    loaded = load_model(tar, "cpu").model
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), loaded.parameters(), strict=True))
    file = tmp_path / "exported.safetensors"
    assert run_unet("train", "unet", "export", tar, file).stdout == f"Exported: {file}\n"
    assert file.read_bytes() == weights.read_bytes()
    run_unet("train", "unet", "export", tar, tmp_path / "exported.pth", code=2)


@pytest.mark.parametrize("content", [b"", b"no weights", b"\xff" * 40, b"\x02\0\0\0\0\0\0\0{}"])
def test_broken_safetensors_are_named(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "model.safetensors"
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"model\.safetensors (is broken|does not fit|is empty|is text)"):
        load_initial_weights(create_model("UNet", 2), inspect_weights(path), "UNet")


@pytest.mark.parametrize("content", [b"", b"no weights", b"PK\x03\x04 torn"])
def test_a_broken_file_is_named(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "model.pth"
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"model\.pth (holds no weights|is empty|is text)"):
        load_initial_weights(create_model("UNet", 2), inspect_weights(path), "UNet")


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"nothing\.pth does not exist"):
        inspect_weights(tmp_path / "nothing.pth")
