"""Counting pixels, on any device's path."""

from __future__ import annotations

import numpy as np
import torch

from ravenml.infer.metrics import confusion_matrix
from ravenml_unet.confusion import confusion_per_image
from ravenml_unet.evaluation import Evaluation
from ravenml_unet.predicting import likeliest


def test_each_image_is_counted_for_itself_as_numpy_counts_it() -> None:
    random = np.random.default_rng(0)
    truth, predicted = random.integers(0, 5, (2, 3, 17, 19))
    counted = confusion_per_image(torch.from_numpy(truth), torch.from_numpy(predicted), 5)
    assert counted.dtype == torch.int64 and counted.shape == (3, 5, 5)
    for image in range(3):
        assert np.array_equal(counted[image].numpy(), confusion_matrix(truth[image], predicted[image], 5))


def test_scores_come_from_all_images_pixels_together() -> None:
    confusion = np.array([[[3, 1], [0, 0]], [[0, 0], [1, 5]]])
    metrics = Evaluation(0.5, confusion, ["__bg__", "cat"]).metrics()
    assert metrics["loss"] == 0.5
    assert metrics["iou/cat"] == 5 / 7
    assert metrics["iou/__bg__"] == 3 / 5
    assert metrics["miou"] == (5 / 7 + 3 / 5) / 2
    assert metrics["miou_fg"] == 5 / 7
    assert metrics["dice/cat"] == 10 / 12
    assert metrics["pixel_accuracy"] == 8 / 10


def test_a_class_that_nobody_saw_is_left_out_of_the_mean() -> None:
    confusion = np.zeros((1, 3, 3), dtype=np.int64)
    confusion[0, 0, 0] = confusion[0, 1, 1] = 4
    metrics = Evaluation(0.0, confusion, ["__bg__", "cat", "dog"]).metrics()
    assert metrics["miou"] == metrics["miou_fg"] == 1.0 and "iou/dog" not in metrics


def test_no_mean_is_defined_where_nothing_is_annotated() -> None:
    confusion = np.zeros((1, 2, 2), dtype=np.int64)
    confusion[0, 0, 0] = 4
    metrics = Evaluation(0.0, confusion, ["__bg__", "cat"]).metrics()
    assert metrics["iou/__bg__"] == 1.0 and not metrics.keys() & {"miou", "miou_fg"}


def test_the_likeliest_class_is_what_argmax_gives_among_equals_too() -> None:
    scores = torch.randint(0, 4, (2, 6, 9, 7), generator=torch.Generator().manual_seed(0)).float()
    for layout in (torch.contiguous_format, torch.channels_last):
        assert torch.equal(likeliest(scores.contiguous(memory_format=layout)), scores.argmax(dim=1))
