"""A detector is data: whatever its files say, nothing that they name is imported, called or read."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import keras
import numpy as np
import pytest
from bbox_support import small_settings

from ravenml.data.project import ObjClass
from ravenml.errors import InputError
from ravenml.infer.predictor import load_predictor
from ravenml_tf_bbox.export import model_config
from ravenml_tf_bbox.models import ARCHITECTURES, create_model
from ravenml_tf_bbox.weights import load_arrays, load_weights, newest_state

CLASSES = [ObjClass("plate", "rectangle", "#D22828")]


def model(folder: Path, content: bytes = b"weights", **changes: object) -> Path:
    """A model's folder whose settings say what they should not."""
    folder.mkdir()
    config = model_config(small_settings(), CLASSES)
    config["settings"] |= changes
    (folder / "config.json").write_text(json.dumps(config))
    for name in ("model.npz", "model.keras", "model.weights.h5"):
        (folder / name).write_bytes(content)
    return folder


@pytest.fixture
def canary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file that is there once a module ``evil`` of the working folder was imported, or a pickle has run."""
    work = tmp_path / "work"
    work.mkdir()
    (work / "evil.py").write_text(f"from pathlib import Path\nPath({str(tmp_path / 'canary')!r}).touch()\n")
    monkeypatch.chdir(work)
    monkeypatch.syspath_prepend(str(work))
    return tmp_path / "canary"


@pytest.mark.parametrize("name", ["evil:Net", "evil", "os:system", "keras>Lambda", ["evil"], {}, None, 3])
def test_a_model_names_the_plugins_own_networks_alone(name: object, tmp_path: Path, canary: Path) -> None:
    with pytest.raises(InputError, match=r"there is no network|should name the network"):
        load_predictor(model(tmp_path / "model", architecture=name), "cpu")
    assert not canary.exists()


@pytest.mark.parametrize("name", ["../model.npz", "/etc/passwd", "..", "link.npz", 5, None])
def test_weights_lie_within_the_models_folder(name: object, tmp_path: Path) -> None:
    folder = model(tmp_path / "model", weights=name)
    (tmp_path / "model.npz").write_bytes(b"weights")
    (folder / "link.npz").symlink_to(tmp_path / "model.npz")
    with pytest.raises(InputError, match=r"settings\.weights`"):
        load_predictor(folder, "cpu")


@pytest.mark.parametrize(
    "change",
    [
        {"input_size": {"width": 2**20, "height": 2**20}},
        {"input_size": {"width": 8192, "height": 8192}, "anchors": {"size": 1, "aspect_ratios": [1.0] * 9}},
        {"input_size": {"width": 65, "height": 64}},
        {"anchors": {"size": -1, "aspect_ratios": [1.0]}},
        {"anchors": {"size": 1, "aspect_ratios": []}},
        {"anchors": None},
    ],
)
def test_a_network_of_an_impossible_size_is_refused(change: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"settings\.(input_size|anchors)`"):
        load_predictor(model(tmp_path / "model", **change), "cpu")


class Harmful:
    """Unpickled, it makes a file."""

    def __init__(self, place: Path) -> None:
        self.place = place

    def __reduce__(self) -> tuple[object, ...]:
        return Path.touch, (self.place,)


def lambda_model(place: Path, canary: Path) -> bytes:
    """A whole Keras model with a function in it, which Keras would not load either."""
    network = keras.Sequential([keras.Input((3,)), keras.layers.Lambda(lambda x: x, output_shape=(3,))])
    network.save(place)
    return place.read_bytes()


def pickled_array(place: Path, canary: Path) -> bytes:
    """NumPy's archive with an array of objects."""
    np.savez(place.with_suffix(".npz"), a=np.array([Harmful(canary)], object))
    return place.with_suffix(".npz").read_bytes()


@pytest.mark.parametrize("write", [lambda_model, pickled_array])
@pytest.mark.parametrize("name", ["model.npz", "model.keras", "model.weights.h5"])
def test_weights_run_nothing(
    write: Callable[[Path, Path], bytes], name: str, tmp_path: Path, canary: Path
) -> None:
    content = write(tmp_path / "hostile.keras", canary)
    with pytest.raises(InputError, match=r"holds no weights that can be read|does not fit"):
        load_predictor(model(tmp_path / "model", content, weights=name), "cpu")
    (tmp_path / "state_001.npz").write_bytes(content)
    with pytest.raises(InputError, match=r"holds no weights|not a training's state"):
        newest_state(tmp_path)
    assert not canary.exists()


def external(file: h5py.File, place: str, secret: Path) -> None:
    file.create_dataset(place, file.attrs["shape"], "f4", external=[(str(secret), 0, 2**20)])


def link(file: h5py.File, place: str, secret: Path) -> None:
    file[place] = h5py.ExternalLink(str(secret), "x")


def virtual(file: h5py.File, place: str, secret: Path) -> None:
    shape = tuple(file.attrs["shape"])
    layout = h5py.VirtualLayout(shape, "f4")
    layout[:] = h5py.VirtualSource(str(secret), "x", shape=shape)
    file.create_virtual_dataset(place, layout)


@pytest.fixture(scope="module")
def network() -> keras.Model:
    return create_model(next(iter(ARCHITECTURES)), 1, 9, 64, 64)


@pytest.mark.parametrize("lead_out", [external, link, virtual])
def test_weights_of_keras_read_no_other_file(
    lead_out: Callable[[h5py.File, str, Path], None], tmp_path: Path, network: keras.Model
) -> None:
    good, bad, secret = tmp_path / "good.weights.h5", tmp_path / "bad.weights.h5", tmp_path / "secret.h5"
    network.save_weights(good)
    shutil.copy2(good, bad)
    places: list[str] = []
    with h5py.File(bad, "r+") as file:
        file.visititems(lambda name, one: places.append(name) if isinstance(one, h5py.Dataset) else None)
        place = max(places, key=lambda one: file[one].size)
        with h5py.File(secret, "w") as other:
            other["x"] = np.full(file[place].shape, 7, np.float32)
        file.attrs["shape"] = file[place].shape
        del file[place]
        lead_out(file, place, secret)
    load_weights(network, good)
    with pytest.raises(InputError, match="does not fit"):
        load_weights(network, bad)


def test_a_named_pipe_in_place_of_weights_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "model.npz")
    with pytest.raises(InputError, match="it is a named pipe, not a file"):
        load_arrays(tmp_path / "model.npz")
