"""Refusing what cannot be trained, before anything is written.  No framework is imported here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from ravenml.data.classes import BACKGROUND
from ravenml.data.problems import suggestion
from ravenml.data.project import ObjClass
from ravenml.data.split import Split
from ravenml.errors import InputError
from ravenml.toolkit import preflight
from ravenml.toolkit.augmentation.reading import read_augmentations
from ravenml.toolkit.pretrained import check_binary, match_classes
from ravenml_unet.pretrained import check_architecture, inspect_weights
from ravenml_unet.settings import UNetSettings

METRICS = ("loss", "miou", "mdice", "miou_fg", "mdice_fg", "pixel_accuracy")  # beside those of each class


def find_problems(settings: UNetSettings, classes: Sequence[str]) -> dict[str, str]:
    """See `ravenml.train.settings.TrainSettings.find_problems`."""
    chosen = classes if settings.classes is None else settings.classes
    titles = [BACKGROUND, *(title for title in classes if title in chosen and title != BACKGROUND)]
    return preflight.find_problems(
        {
            "classes": lambda: preflight.check_classes(settings.classes, classes),
            "augmentations": lambda: read_augmentations(settings.augmentations),
            "weights": lambda: check_weights(settings, titles),
            "encoder_weights": lambda: check_encoder_weights(settings),
            "class_weights": lambda: check_class_weights(settings, titles),
            "best_by": lambda: check_best(settings, titles),
        }
    )


def check_batches(settings: UNetSettings, split: Split) -> None:
    """Refuse what cannot be trained.

    Raises:
        InputError: an empty part, or a batch of one image that batch norm can make nothing of.
    """
    preflight.check_parts(split)
    smallest = len(split.train) % settings.batch_size.train or settings.batch_size.train
    tiny = settings.input_size.width <= 32 and settings.input_size.height <= 32
    if settings.model == "LinkNet34" and tiny and smallest == 1:
        raise InputError(
            "batch_size.train: LinkNet34 shrinks an input of 32×32 to one pixel, which batch norm cannot "
            "learn from in a batch of one image; choose a larger input size or another batch size."
        )


def check_weights(settings: UNetSettings, titles: Sequence[str]) -> None:
    """Refuse weights of another network, or to continue a training of other classes; none are read.

    Raises:
        InputError: with the file.
    """
    if settings.weights is None:
        return
    start = inspect_weights(Path(settings.weights))
    check_architecture(start, settings.model)
    classes = [ObjClass(title, "bitmap", "#000000") for title in titles]  # only titles are compared
    match_classes(start, classes, settings.weights_init_type)


def check_encoder_weights(settings: UNetSettings) -> None:
    """Refuse what can be no file of an encoder's weights; it is not read.

    Raises:
        InputError: with the file.
    """
    if settings.encoder_weights is not None:
        check_binary(Path(settings.encoder_weights), "encoder_weights", ".pth")


def check_class_weights(settings: UNetSettings, titles: Sequence[str]) -> None:
    """Refuse weights of classes that there are not.

    Raises:
        InputError: with the classes that there are.
    """
    if isinstance(settings.class_weights, dict):
        list_class_weights(settings.class_weights, titles)


def list_class_weights(weights: Mapping[str, float], titles: Sequence[str]) -> list[float]:
    """The weight of every class; classes that are not named weigh 1.

    Raises:
        InputError: a class is unknown, or nothing would weigh anything.
    """
    for title in weights:
        if title not in titles:
            raise InputError(
                f"class_weights: there is no class {title!r}; {suggestion(title, list(titles))}."
            )
    values = [weights.get(title, 1.0) for title in titles]
    if not any(values):
        raise InputError("class_weights: all classes weigh 0, so there is nothing to learn.")
    return values


def check_best(settings: UNetSettings, titles: Sequence[str]) -> None:
    """Refuse to look for the best by a metric that there will not be.

    Raises:
        InputError: with the metrics that there are.
    """
    own = [metric_name(reference) for reference in settings.metric]
    known = [*METRICS, *own, *(f"{score}/{title}" for score in ("iou", "dice") for title in titles)]
    preflight.check_best_by(settings, known)


def metric_name(reference: str) -> str:
    """What a metric of the user's own, ``package.module:function``, is called."""
    return reference.rpartition(":")[2].rpartition(".")[2]
