"""What the training minimises."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from ravenml.errors import InputError
from ravenml_unet.checks import list_class_weights
from ravenml_unet.loss import balanced_weights, segmentation_loss


def a_batch(classes: int = 3) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(2, classes, 8, 9, generator=generator)
    return logits.log_softmax(dim=1), torch.randint(classes, (2, 8, 9), generator=generator)


def published(log_probabilities: torch.Tensor, labels: torch.Tensor, w: float) -> float:
    """The formula, written once more, a class and a pixel at a time, in double precision."""
    p, truth = log_probabilities.double().exp().numpy(), labels.numpy()
    pixels = truth.size
    nll = -sum(math.log(p[n, truth[n, y, x], y, x]) for n, y, x in np.ndindex(*truth.shape)) / pixels
    total = (1 - w) * nll
    for c in range(p.shape[1]):
        intersection = p[:, c][truth == c].sum()
        union = p[:, c].sum() + (truth == c).sum() - intersection
        total -= w * math.log((intersection + 1e-15) / (union + 1e-15))
    return total


@pytest.mark.parametrize("w", [0.0, 0.3, 1.0])
def test_the_loss_is_the_published_one(w: float) -> None:
    output, labels = a_batch()
    assert float(segmentation_loss(output, labels, w)) == pytest.approx(
        published(output, labels, w), rel=1e-5
    )


def test_a_class_that_the_batch_lacks_costs_what_is_given_to_it_and_no_more() -> None:
    output, labels = a_batch()
    labels[labels == 2] = 0
    assert math.isfinite(float(segmentation_loss(output, labels, 0.5)))
    assert float(segmentation_loss(output, labels, 0.5)) == pytest.approx(
        published(output, labels, 0.5), rel=1e-5
    )


def test_the_jaccard_part_has_the_gradient_that_finite_differences_have() -> None:
    output, labels = a_batch()
    output = output[:1, :, :3, :3].double().requires_grad_()
    assert torch.autograd.gradcheck(lambda x: segmentation_loss(x, labels[:1, :3, :3], 0.7), (output,))


def test_class_weights_weigh_the_pixels_of_the_nll() -> None:
    output, labels = a_batch()
    weights = torch.tensor(list_class_weights({"cat": 3.0, "dog": 0.0}, ["__bg__", "cat", "dog"]))
    assert weights.tolist() == [1, 3, 0]
    expected = F.nll_loss(output, labels, weight=torch.tensor([1.0, 3.0, 0.0]))
    torch.testing.assert_close(segmentation_loss(output, labels, class_weights=weights), expected)


def test_balanced_weights_are_the_median_frequency_over_the_class_s_own() -> None:
    assert balanced_weights(np.array([80, 10, 40, 0])).tolist() == [0.5, 4.0, 1.0, 1.0]


@pytest.mark.parametrize(
    ("weights", "named"),
    [({"cot": 2.0}, r"'cot'; did you mean \"cat\""), ({"cat": 0, "__bg__": 0}, "weigh 0")],
)
def test_weights_of_no_class_or_of_nothing_are_refused(weights: dict[str, float], named: str) -> None:
    with pytest.raises(InputError, match=named):
        list_class_weights(weights, ["__bg__", "cat"])
