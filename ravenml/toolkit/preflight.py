"""Refusing what cannot be trained, before anything is written."""

from __future__ import annotations

from collections.abc import Collection

from ravenml.data.problems import suggestion
from ravenml.data.project import Item
from ravenml.data.split import Split
from ravenml.errors import InputError
from ravenml.renamed import former_names
from ravenml.toolkit.hyperparameters import LoopSettings

__getattr__ = former_names(__name__, {"parts": "split_parts"})


def split_parts(split: Split) -> dict[str, list[Item]]:
    """The split's items by the name that files and metrics use."""
    return {"train": list(split.train), "val": list(split.val)}


def check_parts(split: Split) -> None:
    """Refuse a split of which one part is empty.

    Raises:
        InputError: with the part's name.
    """
    for kind, items in split_parts(split).items():
        if not items:
            raise InputError(f"The {kind} part of the split is empty; give it at least one image.")


def check_best_by(settings: LoopSettings, known: Collection[str]) -> None:
    """Refuse to look for the best by a metric that there will not be.

    Args:
        known: the metrics of a validation.

    Raises:
        InputError: with the metrics that there are.
    """
    if settings.save_best and settings.best_name not in known:
        meant = suggestion(settings.best_name, list(known))
        raise InputError(f"best_by: no metric is called {settings.best_name!r}; {meant}.")
