"""The loss of a training and the metrics of the user's own, put together from its settings."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
import torch

from ravenml.errors import InputError
from ravenml.plugin.user_code import import_object
from ravenml_unet.checks import METRICS, list_class_weights, metric_name
from ravenml_unet.data import ResizedSamples
from ravenml_unet.loss import Loss, balanced_weights, segmentation_loss
from ravenml_unet.settings import BALANCED, UNetSettings

Metric = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]


def make_loss(
    settings: UNetSettings, titles: Sequence[str], samples: ResizedSamples, device: torch.device
) -> Loss:
    """The loss that the settings describe; balanced weights come from ``samples``' labels."""
    if settings.loss is not None:
        return Checked(import_object(settings.loss, "loss"), f"loss: {settings.loss}", per_image=False)
    if settings.class_weights is None:
        weights = None
    elif settings.class_weights == BALANCED:
        pixels = np.zeros(len(titles), np.int64)
        for index in range(len(samples)):
            pixels += np.bincount(samples[index][1].ravel(), minlength=len(titles))
        weights = balanced_weights(pixels).to(device)
    else:
        assert isinstance(settings.class_weights, dict)
        listed = list_class_weights(settings.class_weights, titles)
        weights = torch.tensor(listed, dtype=torch.float32, device=device)
    return partial(segmentation_loss, jaccard_weight=settings.jaccard_weight, class_weights=weights)


def make_metrics(settings: UNetSettings) -> dict[str, Metric]:
    """The user's own metrics by the functions' names.

    Raises:
        InputError: one cannot be found, or two have the same name.
    """
    metrics: dict[str, Metric] = {}
    for reference in settings.metric:
        name = metric_name(reference)
        if name in metrics or name in METRICS:
            raise InputError(f"metric: {reference}: a metric is called {name} already; rename the function.")
        metrics[name] = Checked(import_object(reference, "metric"), f"metric: {reference}", per_image=True)
    return metrics


class Checked:
    """A function of the user's own, whose first result is looked at.

    It is called with log-probabilities, float32 ``(N, classes, H, W)``, and labels, int64 ``(N, H, W)``, and
    returns their mean over the batch, a scalar; a metric may return a number per image, ``(N,)``, instead.
    """

    def __init__(self, function: Callable[..., Any], name: str, per_image: bool) -> None:
        self.function, self.name, self.per_image, self._checked = function, name, per_image, False

    def __call__(self, log_probabilities: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        result = self.function(log_probabilities, labels)
        if self.per_image and isinstance(result, float | int):
            result = torch.tensor(float(result))
        if not self._checked:
            self._check(result, log_probabilities)
            self._checked = True
        return result.float().mean() if self.per_image else result

    def _check(self, result: Any, log_probabilities: torch.Tensor) -> None:
        """Say what is wrong with the first result.

        Raises:
            InputError: it is not a tensor, has another shape, or nothing can be learned from it.
        """
        shapes = [(), (len(log_probabilities),)] if self.per_image else [()]
        if not isinstance(result, torch.Tensor) or tuple(result.shape) not in shapes:
            what = (
                f"the shape {tuple(result.shape)}"
                if isinstance(result, torch.Tensor)
                else type(result).__name__
            )
            wanted = "a scalar tensor, or one number per image" if self.per_image else "a scalar tensor"
            raise InputError(f"{self.name} returned {what}; it must return {wanted}.")
        if log_probabilities.requires_grad and not self.per_image and not result.requires_grad:
            raise InputError(
                f"{self.name} returned a tensor without gradient; compute it from its first argument."
            )
