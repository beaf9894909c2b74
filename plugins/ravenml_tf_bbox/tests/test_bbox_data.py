"""Images that are fitted, and changed together with their boxes."""

from __future__ import annotations

import numpy as np
import pytest

from ravenml.data.boxes import BoxedImage
from ravenml.toolkit.augmentation import pipeline as p
from ravenml_tf_bbox.augmentation.augmenter import augment
from ravenml_tf_bbox.augmentation.mosaic import mosaic
from ravenml_tf_bbox.augmentation.templates import BOXES, find_pipeline
from ravenml_tf_bbox.data import Loader, collate, fit_image, pad_image

BOX = (20, 12, 36, 30)  # left, top, right, bottom edges of what is bright in `sample`
GEOMETRIC = [
    p.FlipLR(),
    p.FlipUD(),
    p.Affine(scale_x=(0.5, 1.2), keep_aspect=True),
    p.Affine(scale_x=(0.8, 1.2), scale_y=(0.8, 1.2), translate_x=(-0.1, 0.1), translate_y=(-0.1, 0.1)),
    p.CropPad(percent=(-0.15, 0.2)),
    p.Rotate(degrees=(90, 90)),
]


def sample() -> BoxedImage:
    image = np.zeros((48, 64, 3), np.uint8)
    image[BOX[1] : BOX[3], BOX[0] : BOX[2]] = 255
    return BoxedImage(image, np.array([BOX], np.float32), np.array([1]))


@pytest.mark.parametrize("step", GEOMETRIC, ids=lambda step: type(step).__name__)
@pytest.mark.parametrize("seed", range(3))
def test_a_box_goes_where_its_pixels_go(step: p.Operation, seed: int) -> None:
    image, boxes, classes = augment(sample(), p.Pipeline(pipeline=[step]), seed)
    rows, columns = np.nonzero(image[..., 0] > 127)
    there = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
    assert classes.tolist() == [1]
    assert np.abs(boxes[0] - there).max() <= 1


def test_a_box_that_was_turned_is_the_upright_box_around_it() -> None:
    _, boxes, _ = augment(sample(), p.Pipeline(pipeline=[p.Rotate(degrees=(45, 45))]), 0)
    width, height = boxes[0, 2:] - boxes[0, :2]
    assert width == pytest.approx((16 + 18) / 2**0.5, abs=0.1) and height == pytest.approx(width, abs=0.1)


def test_what_has_left_the_image_is_no_object_any_more() -> None:
    away = p.Affine(translate_x=(0.7, 0.7))
    _, boxes, classes = augment(sample(), p.Pipeline(pipeline=[away]), 0)
    assert len(boxes) == len(classes) == 0


@pytest.mark.parametrize(
    "name", [name for name in p.OPERATIONS if name not in ("rotate", "affine", "crop_pad")]
)
def test_every_other_operation_keeps_size_and_type(name: str) -> None:
    image, boxes, _ = augment(sample(), p.Pipeline(pipeline=[p.OPERATIONS[name](name=name)]), 1)
    assert image.shape == (48, 64, 3) and image.dtype == np.uint8 and boxes.shape == (1, 4)


@pytest.mark.parametrize("template", [*BOXES, "colour+rotate+crop+fliplr+flipud"])
def test_randomness_is_the_seeds_alone(template: str) -> None:
    pipeline = find_pipeline(template)
    first, again, other = (augment(sample(), pipeline, seed) for seed in (5, 5, 6))
    assert np.array_equal(first.image, again.image) and np.array_equal(first.boxes, again.boxes)
    assert not np.array_equal(first.image, other.image)


def test_four_images_become_one_that_has_the_boxes_of_what_is_seen() -> None:
    nothing = BoxedImage(
        np.full((20, 100, 3), 9, np.uint8), np.zeros((0, 4), np.float32), np.zeros(0, np.int64)
    )
    found = 0
    for seed in range(8):
        image, boxes, classes = mosaic(
            [sample(), nothing, nothing, nothing], 128, 96, np.random.default_rng(seed)
        )
        assert image.shape == (96, 128, 3) and (image[:48, 64:] == 9).mean() > 0.2
        rows, columns = np.nonzero(image[..., 0] > 127)
        if len(boxes):
            there = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
            assert np.abs(boxes[0] - there).max() <= 1.5 and classes.tolist() == [1]
            found += 1
    assert found >= 6


def test_an_image_is_fitted_without_changing_its_proportions() -> None:
    image, scale = fit_image(np.full((40, 100, 3), 9, np.uint8), 50, 64)
    assert scale == 0.5 and image.shape == (20, 50, 3)
    whole = pad_image(image, 50, 64)
    assert (whole[:20] == 9).all() and (whole[20:] == 0).all() and whole.shape == (64, 50, 3)


def test_images_with_different_numbers_of_boxes_are_filled_up() -> None:
    empty = BoxedImage(sample().image, np.zeros((0, 4), np.float32), np.zeros(0, np.int64))
    batch = collate([sample(), empty], 64, 48)
    assert batch.boxes.tolist() == [[list(BOX)], [[-1] * 4]] and batch.classes.tolist() == [[1], [-1]]
    assert collate([empty], 96, 64).boxes.shape == (1, 1, 4)


@pytest.mark.parametrize("workers", [0, 2])
def test_a_sample_knows_its_place_in_the_order_wherever_a_training_goes_on(workers: int) -> None:
    places: list[int] = []

    def change(one: BoxedImage, place: int) -> BoxedImage:
        return one._replace(classes=np.array([place]))

    class Same:
        width, height = 64, 48

        def __getitem__(self, index: int) -> BoxedImage:
            return sample()

    with Loader(workers) as loader:
        for batch in loader.batches(Same(), [4, 3, 2, 1, 0], 2, change, start=2):  # type: ignore[arg-type]
            places += batch.classes[:, 0].astype(int).tolist()
    assert places == [2, 3, 4]
