"""How a draft divides the images of its project, and how even that is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from ravenml.common.validation import message_of
from ravenml.dashboard.train.dataset_stats import DatasetStats
from ravenml.dashboard.train.draft import SplitOptions
from ravenml.data.folds import make_folds
from ravenml.data.project import Project
from ravenml.data.split import TRAIN, VAL, Split, Untagged
from ravenml.errors import RavenError
from ravenml.train.config import SplitChoice
from ravenml.train.split_from_config import split_from_config


@dataclass(frozen=True)
class SplitPreview:
    """The splits (one, or one per fold), what is to be known of them, or why there are none."""

    splits: list[Split] = field(default_factory=list)
    notices: list[str] = field(default_factory=list)
    error: str | None = None


@dataclass(frozen=True)
class Share:
    """How many objects of a class lie on either side."""

    title: str
    color: str
    train: int
    val: int


def preview_split(project: Project, options: SplitOptions) -> SplitPreview:
    """Divide a project; reads the annotations' tags where they matter, so call it in a thread."""
    notices: list[str] = []
    try:
        if options.way == "kfold":
            folds = make_folds(
                project, options.folds, options.by, options.seed, options.only_tag or None, notices.append
            )
            return SplitPreview(folds, notices)
        choice, untagged = _choice(options), options.untagged if options.way == "tags" else None
        split = split_from_config(project, choice, options.seed, notices.append, untagged)
        return SplitPreview([split], notices)
    except RavenError as error:
        return SplitPreview(error=str(error))
    except ValueError as error:  # pydantic's, of a choice that makes no sense
        return SplitPreview(error=_first_message(error))


def propose_split(project: Project, stats: DatasetStats, untagged: Untagged = "train") -> SplitOptions:
    """What is proposed: the tags `train` and `val` where both are used, else a fifth by chance.

    Args:
        untagged: what an imported config says of untagged images, which is kept.
    """
    return SplitOptions(way="tags" if {TRAIN, VAL} <= set(stats.tags) else "percent", untagged=untagged)


def class_balance(
    project: Project, stats: DatasetStats, split: Split, rows: Mapping[str, int]
) -> list[Share]:
    """Per class, how its objects are divided.

    Args:
        rows: the number of each image, by its key.
    """

    def counted(items: list[str]) -> list[int]:
        return [int(n) for n in stats.objects[[rows[key] for key in items]].sum(axis=0)]

    train = counted([item.key for item in split.train])
    val = counted([item.key for item in split.val])
    return [
        Share(known.title, known.color, a, b) for known, a, b in zip(project.classes, train, val, strict=True)
    ]


def find_imbalance(shares: list[Share]) -> list[str]:
    """Classes that have objects, but none on one of the sides: what cannot be learned, or not measured."""
    found = []
    for share in shares:
        if share.train + share.val and not share.train:
            found.append(f"{share.title} has no training objects.")
        elif share.train + share.val and not share.val:
            found.append(f"{share.title} has no validation objects.")
    return found


def steps_per_epoch(split_preview: SplitPreview, batch: int) -> int:
    """How many steps an epoch of the first split has."""
    images = len(split_preview.splits[0].train) if split_preview.splits else batch
    return max(1, int(np.ceil(images / max(batch, 1))))


def _choice(options: SplitOptions) -> SplitChoice:
    if options.way == "tags":
        return SplitChoice.model_validate({"tags": (options.train_tag, options.val_tag)})
    if options.way == "datasets":
        if not options.datasets:
            raise ValueError("Choose at least one validation dataset.")
        return SplitChoice.model_validate({"datasets": options.datasets})
    return SplitChoice.model_validate({"percent": options.percent})


def _first_message(error: ValueError) -> str:
    from pydantic import ValidationError

    if isinstance(error, ValidationError):
        return f"{message_of(error.errors()[0])}."
    return str(error)
