"""Refusing what cannot be trained, before anything is written."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from ravenml.data.split import Split
from ravenml.errors import InputError
from ravenml.toolkit.preflight import check_best_by, check_parts
from ravenml_unet.loss import read_weights
from ravenml_unet.settings import UNetSettings

METRICS = ("loss", "miou", "mdice", "miou_fg", "mdice_fg", "pixel_accuracy")  # beside those of each class


def check_batches(settings: UNetSettings, split: Split) -> None:
    """Refuse what cannot be trained.

    Raises:
        InputError: an empty part, or a batch of one image that batch norm can make nothing of.
    """
    check_parts(split)
    smallest = len(split.train) % settings.batch_size.train or settings.batch_size.train
    tiny = settings.input_size.width <= 32 and settings.input_size.height <= 32
    if settings.model == "LinkNet34" and tiny and smallest == 1:
        raise InputError(
            "batch_size.train: LinkNet34 shrinks an input of 32×32 to one pixel, which batch norm cannot "
            "learn from in a batch of one image; choose a larger input size or another batch size."
        )


def check_class_weights(settings: UNetSettings, titles: Sequence[str]) -> None:
    """Refuse weights of classes that there are not.

    Raises:
        InputError: with the classes that there are.
    """
    if isinstance(settings.class_weights, dict):
        read_weights(settings.class_weights, titles)


def check_best(settings: UNetSettings, titles: Sequence[str], own: Collection[str]) -> None:
    """Refuse to look for the best by a metric that there will not be.

    Args:
        own: the names of the user's own metrics.

    Raises:
        InputError: with the metrics that there are.
    """
    known = [*METRICS, *own, *(f"{score}/{title}" for score in ("iou", "dice") for title in titles)]
    check_best_by(settings, known)
