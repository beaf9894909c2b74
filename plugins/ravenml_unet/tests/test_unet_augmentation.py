"""Augmentations: image and mask together, pure randomness, templates and files."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from unet_support import MakeInput, small_settings

from ravenml.errors import InputError
from ravenml.toolkit.augmentation.imgaug import CONVERTERS
from ravenml.toolkit.augmentation.pipeline import (
    OPERATIONS,
    Affine,
    CropPad,
    FlipLR,
    Operation,
    Pipeline,
    Rotate,
)
from ravenml.toolkit.augmentation.reading import read_augmentations
from ravenml.toolkit.augmentation.templates import TEMPLATES
from ravenml_unet.augmentation.augmenter import Augmenter
from ravenml_unet.training import run_training

COLOURS = {"brightness", "multiply", "contrast", "gamma", "saturation", "hue", "grayscale", "invert", "blur"}
COLOURS |= {"motion_blur", "noise", "salt_pepper", "jpeg", "cutout"}
MANY = OPERATIONS["affine"](degrees=(20, 40), scale_x=(0.7, 0.8), shear_y=(5, 9), translate_x=(0.1, 0.2))  # type: ignore[call-arg]


def a_batch(count: int = 4, height: int = 24, width: int = 40) -> tuple[torch.Tensor, torch.Tensor]:
    """Images whose channels are their own labels, so that one can be compared with the other."""
    generator = torch.Generator().manual_seed(0)
    labels = torch.randint(0, 5, (count, height // 8, width // 8), generator=generator)
    labels = labels.repeat_interleave(8, dim=1).repeat_interleave(8, dim=2)
    return labels.unsqueeze(1).float().div(10).repeat(1, 3, 1, 1), labels


def only(operation: Operation, background: int = 0, seed: int = 1) -> tuple[torch.Tensor, torch.Tensor]:
    return Augmenter(Pipeline(pipeline=[operation]), background)(*a_batch(), seed)


@pytest.mark.parametrize("name", OPERATIONS)
def test_every_operation_keeps_shapes_ranges_and_whole_labels(name: str) -> None:
    images, labels = a_batch()
    operation = MANY if name == "affine" else OPERATIONS[name]()
    changed, moved = only(operation)
    assert changed.shape == images.shape and changed.dtype == torch.float32
    assert moved.shape == labels.shape and moved.dtype == torch.int64
    assert changed.min() >= 0 and changed.max() <= 1
    assert set(moved.unique().tolist()) <= set(labels.unique().tolist()) | {0}
    assert not torch.equal(changed, images) or name in (
        "multiply",
        "contrast",
        "saturation",
        "hue",
        "grayscale",
    )
    if name in COLOURS:
        assert torch.equal(moved, labels)
    assert torch.equal(images, a_batch()[0]) and torch.equal(labels, a_batch()[1])  # nothing is done in place


@pytest.mark.parametrize("name", sorted(COLOURS))
def test_every_colour_operation_changes_a_coloured_image(name: str) -> None:
    images = torch.rand(2, 3, 24, 40, generator=torch.Generator().manual_seed(0))
    changed, _ = Augmenter(Pipeline(pipeline=[OPERATIONS[name]()]), 0)(
        images, torch.zeros(2, 24, 40).long(), 3
    )
    assert not torch.equal(changed, images)


@pytest.mark.parametrize("fill", ["constant", "reflect", "edge"])
@pytest.mark.parametrize(
    "kind", [Rotate(degrees=(10, 80)), MANY, CropPad(percent=(-0.4, 0.4)), FlipLR(), OPERATIONS["flip_ud"]()]
)
def test_the_mask_goes_where_the_image_goes(kind: Operation, fill: str) -> None:
    if "fill" in type(kind).model_fields:
        kind = kind.model_copy(update={"fill": fill})
    changed, moved = only(kind)
    # The image holds label / 10; away from edges, where it is blended, both must agree.
    difference = (changed[:, 0] * 10 - moved).abs()
    inside = torch.nn.functional.max_pool2d(moved.float().unsqueeze(1), 3, 1, 1).squeeze(1) == moved
    inside &= -torch.nn.functional.max_pool2d(-moved.float().unsqueeze(1), 3, 1, 1).squeeze(1) == moved
    inside[:, [0, -1]] = inside[:, :, [0, -1]] = False  # a neighbour that is not in the picture is not seen
    assert inside.float().mean() > 0.3
    assert difference[inside].max() < 1e-3


def test_what_comes_in_from_outside_is_the_background_wherever_it_stands() -> None:
    outside = CropPad(percent=(0.5, 0.5))
    assert (only(outside, background=4)[1][:, 0] == 4).all()
    assert (only(outside, background=0)[1][:, 0] == 0).all()


def test_a_right_angle_is_a_right_angle_in_pixels() -> None:
    images, labels = a_batch(1, 32, 32)
    turned, moved = Augmenter(Pipeline(pipeline=[Rotate(degrees=(90, 90))]), 0)(images, labels, 0)
    assert torch.equal(moved, labels.rot90(-1, (1, 2)))  # clockwise
    torch.testing.assert_close(turned, images.rot90(-1, (2, 3)), atol=1e-4, rtol=0)


def test_crop_pad_with_nothing_and_an_affine_map_of_nothing_change_nothing() -> None:
    images, labels = a_batch()
    for operation in (CropPad(percent=(0, 0)), Affine()):
        changed, moved = only(operation)
        torch.testing.assert_close(changed, images, atol=1e-5, rtol=0)
        assert torch.equal(moved, labels)


def test_randomness_is_the_seeds_alone() -> None:
    augmenter = Augmenter(TEMPLATES["colour+rotate+crop+fliplr+flipud"], 0)
    first = augmenter(*a_batch(), 7)
    torch.manual_seed(123)
    state = torch.get_rng_state()
    again, other = augmenter(*a_batch(), 7), augmenter(*a_batch(), 8)
    assert torch.equal(torch.get_rng_state(), state)  # the network's own generator is left alone
    assert torch.equal(first[0], again[0]) and torch.equal(first[1], again[1])
    assert not torch.equal(first[0], other[0])


def test_chance_decides_for_every_image_by_itself() -> None:
    images, labels = a_batch(400, 8, 8)
    images += torch.rand(400, 1, 8, 8, generator=torch.Generator().manual_seed(0)) / 10
    changed, _ = Augmenter(Pipeline(pipeline=[FlipLR(p=0.3)]), 0)(images, labels, 0)
    share = (changed != images).flatten(1).any(dim=1).float().mean()
    assert 0.2 < share < 0.4


def test_a_random_order_is_another_one_in_every_step() -> None:
    pipeline = Pipeline(pipeline=[Rotate(degrees=(30, 30)), CropPad(percent=(0.3, 0.3))], random_order=True)
    results = {tuple(Augmenter(pipeline, 0)(*a_batch(1), seed)[1].flatten().tolist()) for seed in range(8)}
    assert len(results) == 2


def test_the_five_templates_grow_from_one_to_the_next() -> None:
    sizes = [len(template.pipeline) for template in TEMPLATES.values()]
    assert sizes == [5, 6, 7, 8, 9]
    assert list(TEMPLATES)[-1] == "colour+rotate+crop+fliplr+flipud"


@pytest.mark.parametrize("name", TEMPLATES)
def test_what_is_recorded_can_be_loaded_again(tmp_path: Path, name: str) -> None:
    path = tmp_path / "augs_config.json"
    path.write_text(json.dumps(TEMPLATES[name].plain()))
    again = read_augmentations(str(path))
    assert again == TEMPLATES[name] and again.plain() == TEMPLATES[name].plain()


def test_a_file_of_ours_may_be_yaml(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(
        "pipeline:\n- {name: rotate, degrees: [-5, 5], fill: reflect, p: 0.5}\n- {name: blur, sigma: 2}\n"
    )
    pipeline = read_augmentations(str(path))
    assert pipeline.pipeline[0] == Rotate(degrees=(-5, 5), fill="reflect", p=0.5)
    assert pipeline.plain()["pipeline"][1]["sigma"] == [2, 2]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("pipeline: [{name: shake}]", r"pipeline\[0\]: there is no operation 'shake'; there are brightness"),
        ("pipeline: [{name: rotate, angle: 3}]", r"pipeline\[0\] \(rotate\): `angle` is not a known field"),
        ("pipeline: [{name: rotate, degrees: [5, -5]}]", r"degrees. should be \[low, high\]"),
        ("pipeline: [{name: blur, p: 2}]", "`p` should be"),
        ("pipeline: [rotate]", "is not an operation"),
        ("steps: []", "`pipeline` is missing"),
        ("pipeline: [", "is not valid YAML"),
        ("pipeline: [{name: {a: 1}}]", "there is no operation {'a': 1}"),
    ],
)
def test_what_is_wrong_in_a_file_is_named(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    with pytest.raises(InputError, match=said):
        read_augmentations(str(path))


def test_a_template_that_there_is_not_is_answered_with_those_that_there_are() -> None:
    with pytest.raises(
        InputError, match=r"no file color; name one, or choose one of none, colour, colour\+rotate"
    ):
        read_augmentations("color")


def studio(*steps: dict[str, Any], random_order: bool = False) -> str:
    return json.dumps({"pipeline": steps, "random_order": random_order})


def step(kind: str, sometimes: float | None = None, **params: Any) -> dict[str, Any]:
    category, name = kind.split(".")
    made = {"category": category, "name": name, "params": params, "python": f"iaa.{kind}(…)"}
    return made if sometimes is None else made | {"sometimes": sometimes}


# As the template of Supervisely's U-Net app with everything in it says it.
EVERYTHING = [
    step("arithmetic.SaltAndPepper", 0.2, p=[0, 0.23], per_channel=False),
    step(
        "color.MultiplyAndAddToBrightness",
        0.2,
        mul=[0.7, 1.3],
        add=[-30, 30],
        to_colorspace="YCrCb",
        from_colorspace="RGB",
        random_order=True,
    ),
    step("blur.GaussianBlur", 0.2, sigma=[0, 3]),
    step("contrast.GammaContrast", 0.2, gamma=[0.7, 1.7], per_channel=False),
    step("arithmetic.JpegCompression", 0.2, compression=[85, 100]),
    step("geometric.Rotate", 0.2, rotate=[-30, 30], order=1, cval=0, mode="constant", fit_output=False),
    step(
        "size.CropAndPad",
        0.2,
        percent=[-0.5, 0.5],
        pad_mode="constant",
        pad_cval=0,
        keep_size=False,
        sample_independently=True,
    ),
    step("flip.Fliplr", 0.3, p=1.0),
    step("flip.Flipud", 0.3, p=1.0),
]


def test_imgaug_studios_json_is_understood(tmp_path: Path) -> None:
    path = tmp_path / "studio.json"
    path.write_text(studio(*EVERYTHING))
    ours = read_augmentations(str(path)).plain()["pipeline"]
    template = TEMPLATES["colour+rotate+crop+fliplr+flipud"].plain()["pipeline"]
    assert [one["name"] for one in ours] == [one["name"] for one in template]
    for mine, theirs in zip(ours, template, strict=True):
        for field, value in theirs.items():
            near = 0.2 if field == "quality" else None  # 1 … 15.85, which the template rounds
            assert mine[field] == (pytest.approx(value, abs=near) if isinstance(value, list) else value)


def test_every_counterpart_of_imgaugs_runs(tmp_path: Path) -> None:
    needed: dict[str, dict[str, Any]] = {
        "JpegCompression": {"compression": [0, 90]},
        "Rotate": {"rotate": 10},
        "ShearX": {"shear": [-5, 5]},
        "ShearY": {"shear": [-5, 5]},
        "ScaleX": {"scale": [0.5, 1.5]},
        "ScaleY": {"scale": [0.5, 1.5], "mode": "reflect"},
        "TranslateX": {"percent": [-0.1, 0.1]},
        "TranslateY": {"percent": [-0.1, 0.1]},
        "CropAndPad": {"percent": [-0.1, 0.1]},
        "Crop": {"percent": [0, 0.1]},
        "Affine": {
            "scale": {"x": [0.8, 1.2], "y": 1},
            "translate_percent": [-0.1, 0.1],
            "rotate": [-9, 9],
            "shear": 3,
        },
    }
    steps = [step(f"{category}.{name}", **needed.get(name, {})) for category, name in CONVERTERS]
    path = tmp_path / "studio.json"
    path.write_text(studio(*steps, random_order=True))
    pipeline = read_augmentations(str(path))
    assert pipeline.random_order and len(pipeline.pipeline) == len(CONVERTERS)
    changed, _ = Augmenter(pipeline, 0)(*a_batch(), 0)
    assert torch.isfinite(changed).all()


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (step("imgcorruptlike.Frost", severity=[1, 3]), "no counterpart of imgaug's imgcorruptlike.Frost"),
        (step("flip.Fliplr", p=1, strength=3), r"flip.Fliplr\): strength is not supported"),
        (step("geometric.Rotate", rotate=[0, 90, 180]), "rotate must be a number or a range of two"),
        (step("geometric.Rotate", rotate=3, fit_output=True), "fit_output = True is not supported"),
        (step("geometric.Rotate", rotate=3, mode="wrap"), "mode = 'wrap' is not supported"),
        (step("geometric.Rotate", rotate=3, cval=255), "cval = 255 is not supported"),
        (step("geometric.Rotate"), "rotate is missing"),
        (step("size.CropAndPad", px=3), "px = 3 is not supported"),
    ],
)
def test_what_imgaug_has_and_we_have_not_is_named_and_not_skipped(
    tmp_path: Path, wrong: dict[str, Any], said: str
) -> None:
    path = tmp_path / "studio.json"
    path.write_text(studio(EVERYTHING[0], wrong))
    with pytest.raises(InputError, match=r"pipeline\[1\].*" + said):
        read_augmentations(str(path))


@pytest.mark.usefixtures("slim_unet")
def test_a_training_records_what_ran_and_a_script_that_shows_it(
    make_input: MakeInput, tmp_path: Path
) -> None:
    run_training(make_input(small_settings(augmentations="colour+rotate+crop+fliplr"), folder="first"))
    info = tmp_path / "first" / "info"
    assert read_augmentations(str(info / "augs_config.json")) == TEMPLATES["colour+rotate+crop+fliplr"]
    run_training(make_input(small_settings(augmentations=str(info / "augs_config.json")), folder="second"))
    first, second = (
        torch.load(next(tmp_path.glob(f"{folder}/checkpoints/*_last.pth")), weights_only=True)
        for folder in ("first", "second")
    )
    assert all(torch.equal(first[key], second[key]) for key in first)

    image = tmp_path / "image.png"
    cv2.imwrite(str(image), np.random.default_rng(0).integers(0, 256, (30, 40, 3), dtype=np.uint8))
    command = [
        sys.executable,
        str(info / "augs_preview.py"),
        str(image),
        "--out",
        str(tmp_path / "shown.png"),
    ]
    subprocess.run(command, check=True, capture_output=True)
    assert cv2.imread(str(tmp_path / "shown.png")).shape == (3 * 34, 4 * 44, 3)


@pytest.mark.usefixtures("slim_unet")
def test_without_augmentations_that_is_recorded_too(make_input: MakeInput, tmp_path: Path) -> None:
    run_training(make_input(small_settings(epochs=1)))
    assert read_augmentations(str(tmp_path / "run" / "info" / "augs_config.json")) == Pipeline()
    assert not (tmp_path / "run" / "info" / "augs_preview.py").exists()
