"""Batches, and the order in which they come."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from ravenml.toolkit.seeding import ORDER, STEP, derived_seed, epoch_order
from ravenml_unet.data import Loader, ResizedSamples, split_batches
from ravenml_unet.device import seed_generators
from ravenml_unet.preprocessing import MEAN, STD, normalise, resize_labels


class Numbered:
    """Images that are filled with their number, and count how often they are read."""

    def __init__(self, count: int, kind: type = np.uint8) -> None:
        self.count, self.kind, self.reads = count, kind, 0

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> tuple[NDArray[np.uint8], NDArray[Any]]:
        self.reads += 1
        return np.full((6, 8, 3), index, np.uint8), np.full((6, 8), index, self.kind)


@pytest.mark.parametrize("workers", [0, 1, 3])
def test_batches_come_in_order_with_any_number_of_workers(workers: int) -> None:
    order = epoch_order(11, seed=1, fold=None, epoch=0)
    with Loader(workers) as loader:
        batches = list(loader.batches(ResizedSamples(Numbered(11), 4, 3), split_batches(order, 4)))
    assert [len(batch) for batch in batches] == [4, 4, 3]
    assert [int(i) for batch in batches for i in batch.labels[:, 0, 0]] == order.tolist()
    assert batches[0].images.shape == (4, 3, 4, 3)


@pytest.mark.parametrize("workers", [0, 2])
def test_an_image_that_cannot_be_read_ends_the_epoch_with_its_own_error(workers: int) -> None:
    class Broken(Numbered):
        def __getitem__(self, index: int) -> tuple[NDArray[np.uint8], NDArray[Any]]:
            raise ValueError(f"image {index} is torn")

    with Loader(workers) as loader, pytest.raises(ValueError, match="image 0 is torn"):
        list(loader.batches(ResizedSamples(Broken(5), 4, 3), split_batches(np.arange(5), 2)))


def test_what_fits_in_memory_is_read_once_and_the_rest_each_time() -> None:
    all_fit, one_fits = Numbered(3), Numbered(3)
    roomy = ResizedSamples(all_fit, 8, 6)
    tight = ResizedSamples(one_fits, 8, 6, memory=6 * 8 * 4)
    for samples in (roomy, tight):
        for _ in range(2):
            samples.batch([0, 1, 2])
    assert all_fit.reads == 3
    assert one_fits.reads == 5


def test_more_than_256_classes_become_a_type_that_torch_knows() -> None:
    batch = ResizedSamples(Numbered(2, np.uint16), 4, 4).batch([1])
    assert batch.labels.dtype == torch.int32 and int(batch.labels[0, 0, 0]) == 1


def test_labels_stay_whole_numbers_and_centred() -> None:
    labels = np.repeat(np.arange(4, dtype=np.uint8), 4)[None].repeat(16, axis=0)
    small = resize_labels(labels, 4, 4)
    assert small.tolist() == [[0, 1, 2, 3]] * 4
    odd = np.zeros((1, 6), np.uint8)
    odd[0, 1::3] = 7  # the middle one of each three
    assert resize_labels(odd, 2, 1).tolist() == [[7, 7]]


def test_normalisation_takes_out_imagenets_mean_and_keeps_channels_last() -> None:
    x = normalise(torch.full((2, 4, 5, 3), 255, dtype=torch.uint8), "cpu")
    assert x.shape == (2, 3, 4, 5) and x.is_contiguous(memory_format=torch.channels_last)
    expected = [(1 - mean) / std for mean, std in zip(MEAN, STD, strict=True)]
    torch.testing.assert_close(x[0, :, 0, 0], torch.tensor(expected))


def test_the_order_depends_on_seed_fold_and_epoch_alone() -> None:
    reference = epoch_order(50, seed=1, fold=2, epoch=3).tolist()
    assert sorted(reference) == list(range(50))
    assert epoch_order(50, seed=1, fold=2, epoch=3).tolist() == reference
    others = [(2, 2, 3), (1, 3, 3), (1, None, 3), (1, 2, 4)]
    assert all(epoch_order(50, *other).tolist() != reference for other in others)


def test_two_purposes_never_share_their_random_numbers() -> None:
    seeds = {derived_seed(0, None, purpose, epoch, 0) for purpose in (ORDER, STEP) for epoch in range(100)}
    assert len(seeds) == 200 and all(0 <= seed < 2**63 for seed in seeds)


def test_seeding_before_a_step_gives_what_torchs_own_seeding_gives() -> None:
    for seed in (0, 7, 2**63 - 1):
        torch.manual_seed(seed)
        expected = torch.rand(3)
        torch.rand(5)
        seed_generators(seed, torch.device("cpu"))
        assert torch.equal(torch.rand(3), expected)
