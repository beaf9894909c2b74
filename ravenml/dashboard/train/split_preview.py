"""How a draft divides the images of its project, and how even that is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from ravenml.dashboard.train.dataset_stats import Survey
from ravenml.dashboard.train.draft import SplitWish
from ravenml.data.folds import make_folds
from ravenml.data.project import Project
from ravenml.data.split import TRAIN, VAL, Split
from ravenml.errors import RavenError
from ravenml.train.config import SplitChoice
from ravenml.train.split_from_config import chosen_split


@dataclass(frozen=True)
class Division:
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


def divide(project: Project, wish: SplitWish) -> Division:
    """Divide a project; reads the annotations' tags where they matter, so call it in a thread."""
    notices: list[str] = []
    try:
        if wish.way == "kfold":
            folds = make_folds(project, wish.folds, wish.by, wish.seed, wish.only_tag or None, notices.append)
            return Division(folds, notices)
        return Division([chosen_split(project, _choice(wish), wish.seed, notices.append)], notices)
    except RavenError as error:
        return Division(error=str(error))
    except ValueError as error:  # pydantic's, of a choice that makes no sense
        return Division(error=_first(error))


def by_itself(project: Project, survey: Survey) -> SplitWish:
    """What is proposed: the tags `train` and `val` where both are used, else a fifth by chance."""
    return SplitWish(way="tags" if {TRAIN, VAL} <= set(survey.tags) else "percent")


def balance(project: Project, survey: Survey, split: Split, rows: Mapping[str, int]) -> list[Share]:
    """Per class, how its objects are divided.

    Args:
        rows: the number of each image, by its key.
    """

    def counted(items: list[str]) -> list[int]:
        return [int(n) for n in survey.objects[[rows[key] for key in items]].sum(axis=0)]

    train = counted([item.key for item in split.train])
    val = counted([item.key for item in split.val])
    return [
        Share(known.title, known.color, a, b) for known, a, b in zip(project.classes, train, val, strict=True)
    ]


def unevenness(shares: list[Share]) -> list[str]:
    """Classes that have objects, but none on one of the sides: what cannot be learned, or not measured."""
    told = []
    for share in shares:
        if share.train + share.val and not share.train:
            told.append(f"{share.title} has no object to learn from.")
        elif share.train + share.val and not share.val:
            told.append(f"{share.title} has no object to validate with.")
    return told


def steps_per_epoch(division: Division, batch: int) -> int:
    """How many steps an epoch of the first split has."""
    images = len(division.splits[0].train) if division.splits else batch
    return max(1, int(np.ceil(images / max(batch, 1))))


def _choice(wish: SplitWish) -> SplitChoice:
    if wish.way == "tags":
        return SplitChoice.model_validate({"tags": (wish.train_tag, wish.val_tag)})
    if wish.way == "datasets":
        if not wish.datasets:
            raise ValueError("Choose at least one dataset that validates.")
        return SplitChoice.model_validate({"datasets": wish.datasets})
    return SplitChoice.model_validate({"percent": wish.percent})


def _first(error: ValueError) -> str:
    from pydantic import ValidationError

    if isinstance(error, ValidationError):
        said = str(error.errors()[0]["msg"]).removeprefix("Value error, ")
        return f"{said[:1].upper()}{said[1:]}."
    return str(error)
