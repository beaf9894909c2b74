"""The SDK's helpers: files, colours, images, configs, windows, masks, and what is logged."""

from __future__ import annotations

import json
import logging
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import ravenml.sly as sly
from ravenml.errors import InputError
from ravenml.sly import augmentation, color, configs, fs, utils
from ravenml.sly import image as images
from ravenml.sly.annotation_transforms import extract_labels_from_mask
from ravenml.sly.samples import partition_train_val
from ravenml.sly.sliding_windows import SlidingWindows, SlidingWindowsFuzzy


@pytest.fixture
def tree(tmp_path: Path) -> str:
    """A folder with files and folders."""
    for name in ("a.png", "b.JSON", "deep/c.png", "deep/er/d.txt"):
        fs.ensure_base_path(str(tmp_path / name))
        (tmp_path / name).write_text(name)
    fs.mkdir(str(tmp_path / "empty"))
    return str(tmp_path)


def test_files_are_listed_by_extension_and_filter(tree: str) -> None:
    names = [fs.get_file_name_with_ext(path) for path in fs.list_files(tree)]
    assert sorted(names) == ["a.png", "b.JSON"]
    assert [fs.get_file_name(path) for path in fs.list_files(tree, [".png"])] == ["a"]
    found = fs.list_files_recursively(tree, filter_fn=lambda path: "deep" in path)
    assert sorted(map(fs.get_file_ext, found)) == [".png", ".txt"]
    assert sorted(fs.list_dir_recursively(tree)) == ["a.png", "b.JSON", "deep/c.png", "deep/er/d.txt"]
    assert sorted(fs.get_subdirs(tree)) == ["deep", "empty"]
    assert fs.dir_empty(f"{tree}/empty") and fs.dir_empty(f"{tree}/none") and not fs.dir_empty(tree)
    assert fs.get_directory_size(tree) == sum(len(name) for name in fs.list_dir_recursively(tree))
    assert "deep/c.png (10)" in fs.tree(tree)


def test_files_are_copied_linked_and_removed(tree: str) -> None:
    fs.copy_file(f"{tree}/a.png", f"{tree}/new/place.png")
    assert Path(tree, "new/place.png").read_text() == "a.png"
    fs.hardlink_or_copy_tree(f"{tree}/deep", f"{tree}/twin")
    assert Path(tree, "twin/er/d.txt").samefile(Path(tree, "deep/er/d.txt"))
    fs.silent_remove(f"{tree}/a.png")
    fs.silent_remove(f"{tree}/a.png")
    fs.touch(f"{tree}/more/e")
    assert not fs.file_exists(f"{tree}/a.png") and fs.get_file_size(f"{tree}/more/e") == 0
    fs.clean_dir(f"{tree}/twin")
    fs.remove_dir(f"{tree}/deep")
    assert (
        fs.dir_exists(f"{tree}/twin") and fs.dir_empty(f"{tree}/twin") and not fs.dir_exists(f"{tree}/deep")
    )
    empty = "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="  # what SHA-256 gives for nothing
    assert fs.get_file_hash(f"{tree}/more/e") == fs.get_bytes_hash(b"") == empty


def test_colours_are_text_and_numbers() -> None:
    assert color.rgb2hex([255, 0, 16]) == "#FF0010" and color.hex2rgb("#ff0010") == [255, 0, 16]
    for wrong in ([1, 2], [1, 2, 256], "red"):
        with pytest.raises(ValueError, match="three parts"):
            color.rgb2hex(wrong)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="#RRGGBB"):
        color.hex2rgb("red")
    red = [255, 0, 0]
    assert abs(color._distance(color._hue(color.generate_rgb([red])), 0.5)) < 0.1, "far from red is cyan"


def test_names_are_made_free_and_many() -> None:
    assert utils.generate_names("a.png", 3) == ["a.png", "a_01.png", "a_02.png"]
    assert utils.generate_free_name(["a", "a_01"], "a") == "a_02"
    assert utils.generate_free_name(["a.png"], "a.png", with_ext=True) == "a_01.png"
    assert [list(part) for part in sly.batched(range(5), 2)] == [[0, 1], [2, 3], [4]]
    assert len(sly.rand_str(8)) == 8 and utils.camel_to_snake("CamelCase") == "camel_case"
    assert utils.str_to_type_or_none("None", list) is None and utils.str_to_type_or_none("[1]", list) == [1]
    assert json.dumps({"a": np.float32(0.5)}, cls=utils.NpEncoder) == '{"a": 0.5}'


# Images.


def test_a_size_follows_from_one_side_or_from_factors() -> None:
    restore = images.restore_proportional_size
    assert restore((40, 30), (20, images.KEEP_ASPECT_RATIO)) == (20, 15)
    assert restore((40, 30), (-1, 60)) == (80, 60)
    assert restore((40, 30), frow=0.5, fcol=2) == (20, 60) and restore((40, 30), f=0.1) == (4, 3)
    for wrong in (
        {"out_size": (-1, -1)},
        {"out_size": (0, 5)},
        {"out_size": (5, 5), "frow": 1},
        {"frow": 1},
        {},
    ):
        with pytest.raises(ValueError, match=r"positive|not both|both factors"):
            restore((40, 30), **wrong)


def test_scaling_is_bicubic_and_keeps_class_numbers_when_asked_to() -> None:
    edge = np.repeat([[0, 0, 200, 200]], 4, axis=0).astype(np.uint8)
    assert images.resize(edge, (8, 8)).max() > 200, "a bicubic curve goes beyond its points"
    assert images.resize(edge, frow=2, fcol=1).shape == (8, 4)
    twice = images.resize_inter_nearest(edge, frow=2, fcol=2)
    assert np.array_equal(twice, np.kron(edge, np.ones((2, 2), np.uint8)))


def test_a_crop_may_reach_out_when_it_is_padded() -> None:
    image = np.arange(1, 13, dtype=np.uint8).reshape(3, 4)
    rect = sly.Rectangle(-1, 2, 1, 5)
    assert images.crop_with_padding(image, rect).tolist() == [[0, 0, 0, 0], [3, 4, 0, 0], [7, 8, 0, 0]]
    assert not images.crop_with_padding(image, sly.Rectangle(9, 9, 10, 10)).any()
    assert images.crop(image, sly.Rectangle(0, 0, 1, 1)).tolist() == [[1, 2], [5, 6]]
    with pytest.raises(ValueError, match="reaches out"):
        images.crop(image, rect)


def test_images_are_files_and_bytes(tmp_path: Path) -> None:
    image = np.random.default_rng(1).integers(0, 255, (9, 7, 3), np.uint8)
    images.write(str(tmp_path / "new" / "a.png"), image)
    assert np.array_equal(images.read(str(tmp_path / "new" / "a.png")), image)
    assert np.array_equal(images.read_bytes(images.write_bytes(image, "png")), image)
    assert images.has_valid_ext("x/A.JPG") and not images.has_valid_ext("a.txt")
    with pytest.raises(images.ImageExtensionError, match=r"a\.txt"):
        images.validate_ext("a.txt")
    with pytest.raises(images.UnsupportedImageFormat):
        images.write_bytes(image, ".txt")
    with pytest.raises(ValueError, match="extension"):
        images.write(str(tmp_path / "a.txt"), image)
    (tmp_path / "b.png").write_text("no image")
    with pytest.raises(images.ImageReadException, match="not a"):
        images.validate_format(str(tmp_path / "b.png"))


def test_an_image_and_its_annotation_change_together() -> None:
    image = np.zeros((20, 30, 3), np.uint8)
    image[5:9, 10:20] = 255
    box = sly.Label(sly.Rectangle(5, 10, 8, 19), sly.ObjClass("box", sly.Rectangle))
    pairs = augmentation.flip_add_random_crops(image, sly.Annotation((20, 30), [box]), 3, (0.8, 1), (0.8, 1))
    assert len(pairs) == 2 + 2 * 3
    for changed, ann in pairs:
        canvas = np.zeros(changed.shape[:2], np.uint8)
        ann.draw(canvas, 255)
        assert np.array_equal(canvas, changed[:, :, 0])
    with pytest.raises(RuntimeError, match="its annotation"):
        augmentation.resize(image[1:], sly.Annotation((20, 30)), (10, 10))


def test_paths_may_be_bytes_as_tensorflow_hands_them_on(tmp_path: Path) -> None:
    image, ann = os.fsencode(tmp_path / "a" / "scene.png"), os.fsencode(tmp_path / "scene.png.json")
    sly.image.write(image, np.full((4, 5, 3), 7, np.uint8))
    sly.image.validate_ext(image)
    sly.image.validate_format(image)
    assert sly.image.read(image)[0, 0].tolist() == [7, 7, 7]
    configs.dump_json_file(sly.Annotation.from_img_path(image).to_json(), ann)
    assert configs.load_json_file(ann) == sly.Annotation((4, 5)).to_json()
    assert sly.Annotation.load_json_file(ann, sly.ProjectMeta()).img_size == (4, 5)
    with pytest.raises(InputError, match=r"gone\.json"):
        sly.Annotation.load_json_file(b"gone.json", sly.ProjectMeta())


# Configs.

SCHEMAS: dict[str, Any] = {
    "definitions": {"positive": {"type": "number", "minimum": 0, "exclusiveMinimum": True}},
    "training_config": {
        "type": "object",
        "required": ["lr"],
        "additionalProperties": False,
        "properties": {
            "lr": {"$ref": "#/definitions/positive"},
            "epochs": {"type": "integer", "default": 3},
            "size": {"type": "object", "default": {}, "properties": {"width": {"default": 64}}},
        },
    },
    "inference_config": {"type": "object"},
}


@pytest.fixture
def validator(tmp_path: Path) -> configs.JsonConfigValidator:
    """One for the schemas above."""
    (tmp_path / "schemas.json").write_text(json.dumps(SCHEMAS))
    return configs.JsonConfigValidator(str(tmp_path / "schemas.json"))


def test_a_config_is_checked_and_gets_the_schemas_defaults(validator: configs.JsonConfigValidator) -> None:
    config: dict[str, Any] = {"lr": 0.1}
    validator.validate_train_cfg(config)
    assert config == {"lr": 0.1, "epochs": 3, "size": {"width": 64}}
    validator.validate_inference_cfg({"anything": 1})
    for wrong, said in (
        ({}, "the config: 'lr' is a required property"),
        ({"lr": 0}, "lr: 0 is less than or equal to the minimum of 0"),
        ({"lr": 1, "epochs": "many"}, "epochs: 'many' is not of type 'integer'"),
        ({"lr": 1, "momentum": 1}, "momentum: no such field; there is epochs, lr, size"),
        ({"lr": "x", "epochs": "y"}, "epochs: 'y' is not of type 'integer'; lr: 'x' is not of type 'number'"),
    ):
        with pytest.raises(RuntimeError) as caught:
            validator.validate_train_cfg(wrong)
        assert said in str(caught.value) and "schemas.json" in str(caught.value)


def test_the_schemas_beside_the_plugins_program_are_found(
    validator: configs.JsonConfigValidator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.argv", [str(tmp_path / "train.py")])
    with pytest.raises(RuntimeError, match="lr"):
        configs.JsonConfigValidator().validate_train_cfg({})


def test_configs_of_older_tasks_are_understood() -> None:
    old = {"mode": {"source": "roi"}, "model_classes": {"add_suffix": "_x"}, "gpu_device": 0}
    assert configs.maybe_convert_from_v1_inference_task_config(old) == {
        "mode": {"name": "roi", "model_classes": {"add_suffix": "_x"}},
        "model": {"gpu_device": 0},
    }
    new = {"mode": {"name": "roi"}, "model": {}}
    assert configs.maybe_convert_from_v1_inference_task_config(new) == new
    assert configs.update_strict({"a": 1}, {"b": 2}) == {"a": 1, "b": 2}
    with pytest.raises(ValueError, match="a"):
        configs.update_strict({"a": 1}, {"a": 2})


# Windows and masks.


@given(st.integers(4, 40), st.integers(4, 40), st.integers(1, 4), st.integers(0, 3))
def test_windows_cover_the_image(height: int, width: int, side: int, overlap: int) -> None:
    size, window = (height, width), (side, 4)
    if overlap >= side:
        with pytest.raises(RuntimeError, match="overlap"):
            SlidingWindows(window, (overlap, 0))
        return
    for strategy in ("shift_window", "add_padding", "change_size"):
        covered = np.zeros((height + side, width + 4), int)
        for rect in SlidingWindowsFuzzy(window, (overlap, 0), strategy).get(size):
            rect.get_cropped_numpy_slice(covered)[:] += 1
            inside = sly.Rectangle.from_size(size).contains(rect)
            assert (inside or strategy == "add_padding") and rect.top >= 0
        full = covered[: height - (overlap if strategy == "change_size" else 0), :width]
        assert full.all()
    with pytest.raises(RuntimeError, match="larger"):
        list(SlidingWindows((height + 1, 4), (0, 0)).get(size))


def test_connected_areas_of_a_mask_become_objects_in_order() -> None:
    cat, dog = sly.ObjClass("cat", sly.Bitmap), sly.ObjClass("dog", sly.Bitmap)
    mask = np.array([[0, 2, 0, 1], [0, 2, 1, 0], [1, 9, 1, 1]])
    labels = extract_labels_from_mask(mask, {1: cat, 2: dog})
    assert [(one.obj_class.name, one.area) for one in labels] == [
        ("dog", 2), ("cat", 1), ("cat", 3), ("cat", 1)
    ]  # fmt: skip
    canvas = np.zeros(mask.shape, int)
    for label in labels:
        label.draw(canvas, color=1 if label.obj_class is cat else 2)
    assert np.array_equal(canvas, np.where(mask == 9, 0, mask))
    background = sly.ObjClass("background", sly.Bitmap)
    assert len(extract_labels_from_mask(mask, {0: background})) == 3


@given(st.integers(2, 50), st.floats(0, 1))
def test_samples_are_divided_so_that_no_part_is_empty(count: int, share: float) -> None:
    learns = partition_train_val(count, share)
    assert len(learns) == count and 1 <= learns.count(False) <= count - 1
    assert abs(learns.count(False) - count * share) <= 1


# What is logged.


def logged(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> list[logging.LogRecord]:
    """What the SDK's logger is told from here on."""
    records: list[logging.LogRecord] = []
    monkeypatch.setattr(sly.logger, "handle", records.append)
    return records


def test_wrapped_functions_log_their_exception(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    records = logged(caplog, monkeypatch)

    def fails() -> None:
        raise ValueError("no such thing")

    with pytest.raises(ValueError, match="no such thing"):
        sly.function_wrapper(fails)
    assert sly.function_wrapper_nofail(fails) is None and sly.catch_silently(fails) is None
    assert sly.function_wrapper(int, "7") == 7
    assert [(one.levelname, one.exc_str) for one in records] == [("ERROR", "no such thing")] * 2  # type: ignore[attr-defined]
    try:
        fails()
    except ValueError:
        sly.logger.error("It failed.")
    assert all(one.exc_info for one in records), "an error has the stack of what is being handled"
    sly.logger.error("Nothing is handled.")
    assert not records[-1].exc_info


def test_the_end_of_an_import_is_reported(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    records = logged(caplog, monkeypatch)
    sly.report_import_finished()
    sly.report_dtl_finished()
    assert [str(one.event_type) for one in records] == [  # type: ignore[attr-defined]
        "EventType.IMPORT_APPLIED", "EventType.DTL_APPLIED"
    ]  # fmt: skip
