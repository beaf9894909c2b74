"""What a training may begin from."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from bbox_support import small_settings

from ravenml.errors import InputError, RavenError
from ravenml.train.interfaces import TrainOutput
from ravenml_tf_bbox.framework import tensorflow
from ravenml_tf_bbox.settings import BoxSettings
from ravenml_tf_bbox.training import make_detector
from ravenml_tf_bbox.weights import (
    inspect_weights,
    load_arrays,
    load_pretrained,
    load_weights,
    model_arrays,
    save_arrays,
)

Trained = tuple[Path, TrainOutput]


@pytest.fixture(scope="module")
def fresh() -> object:
    tensorflow()
    return make_detector(small_settings(), 2, seed=7).model


def test_a_disk_that_is_full_is_said_with_the_file_and_the_fix(small_disk: Path) -> None:
    with pytest.raises(RavenError, match=r"model_001\.npz: the disk is full; free some space"):
        save_arrays(small_disk / "model_001.npz", {"weights": np.zeros(1 << 20)})
    assert list(small_disk.iterdir()) == []


def test_a_packed_model_and_a_run_say_what_they_are_and_give_their_weights(
    trained: Trained, fresh: object
) -> None:
    run, _ = trained
    packed = inspect_weights(run / "model-state.tar")
    assert (packed.architecture, packed.size) == ("RetinaNetSmall", (64, 64))
    assert [c.title for c in packed.classes or []] == ["plate", "disc"]
    (best,) = (run / "checkpoints").glob("model_*_best.npz")
    load_pretrained(fresh, packed, new_head=False)  # type: ignore[arg-type]
    loaded = model_arrays(fresh)  # type: ignore[arg-type]
    assert all(np.array_equal(loaded[name], value) for name, value in load_arrays(best).items())


def test_transfer_learning_keeps_all_but_the_layer_of_the_classes(trained: Trained) -> None:
    model = make_detector(small_settings(), 5, seed=1).model  # five classes, where the weights know two
    before = model_arrays(model)
    load_pretrained(model, inspect_weights(trained[0] / "model-state.tar"), new_head=True)
    after = model_arrays(model)
    unlike = {name for name in after if not np.array_equal(after[name], before[name])}
    assert "conv1_conv/kernel" in unlike and not any(
        name.startswith("classes_head/logits") for name in unlike
    )
    with pytest.raises(InputError, match="does not fit RetinaNetSmall: classes_head/logits_layer/kernel"):
        load_pretrained(model, inspect_weights(trained[0] / "model-state.tar"), new_head=False)


def test_weights_that_keras_saved_can_be_begun_from(fresh: object, tmp_path: Path) -> None:
    path = tmp_path / "own.weights.h5"
    fresh.save_weights(path)  # type: ignore[attr-defined]
    expected = model_arrays(fresh)  # type: ignore[arg-type]
    other = make_detector(small_settings(), 2, seed=8).model
    load_weights(other, path)
    assert all(np.array_equal(value, model_arrays(other)[name]) for name, value in expected.items())
    assert inspect_weights(path).architecture is None


def test_a_file_that_holds_no_weights_is_named(fresh: object, tmp_path: Path) -> None:
    (tmp_path / "torn.npz").write_bytes(b"PK\x03\x04torn")
    with pytest.raises(InputError, match=r"torn\.npz holds no weights"):
        load_weights(fresh, tmp_path / "torn.npz")  # type: ignore[arg-type]
    save_arrays(tmp_path / "other.npz", {"a/b": np.zeros(3)})
    with pytest.raises(
        InputError, match=r"other\.npz does not fit RetinaNetSmall: conv1_conv/kernel .* lacks it"
    ):
        load_weights(fresh, tmp_path / "other.npz")  # type: ignore[arg-type]


def test_the_first_weights_are_the_seeds() -> None:
    one, same, other = (model_arrays(make_detector(small_settings(), 2, seed).model) for seed in (3, 3, 4))
    assert all(np.array_equal(one[name], same[name]) for name in one)
    assert not np.array_equal(one["conv1_conv/kernel"], other["conv1_conv/kernel"])


def test_size_and_network_are_taken_over_unless_others_are_asked_for(trained: Trained) -> None:
    model = str(trained[0] / "model-state.tar")
    assert BoxSettings(weights=model).input_size.width == 64
    asked = BoxSettings(weights=model, input_size={"width": 96, "height": 64})  # type: ignore[arg-type]
    assert asked.input_size.width == 96 and asked.model == "RetinaNetSmall"
