"""What all hooks for metrics share: a report of numbers alone, by one process, for one training at a time."""

from __future__ import annotations

import itertools
import math
import os
import sys
import weakref
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from . import is_first_of_its_rank
from .reporting import guarded, report

TRAININGS = 50  # of one process and library that are reported; a search makes hundreds
_PARTS = ("train", "training", "val", "valid", "validation", "eval", "test")

_numbers: dict[str, Iterator[int]] = {}
_known: dict[int, tuple[weakref.ref[Any], int]] = {}  # by id, as not every model can be hashed
_depth = 0  # of the whole process: a nested estimator may be fitted in another thread


@guarded
def report_metrics(
    kind: str, values: Mapping[str, Any], step: int | None = None, epoch: float | None = None
) -> None:
    """Report the numbers among ``values``, if this process is the one of its training that reports.

    Args:
        kind: ``train``, ``val``, …; a metric's full name is ``<kind>/<name>``.
        step: optimizer steps, or boosting rounds, since the start.
        epoch: epochs since the start.
    """
    if not reports():
        return
    numbers = {
        str(name): number for name, value in values.items() if (number := to_number(value)) is not None
    }
    moment = {"step": step, "epoch": epoch}
    if numbers:
        given = {name: value for name, value in moment.items() if value is not None}
        report("METRICS", type=kind, metrics=numbers, **given)


def report_by_part(values: Mapping[str, Any], step: int | None = None, epoch: float | None = None) -> None:
    """Report values that say in their names what they are of: ``val_loss`` and ``val/loss`` are of ``val``,
    those that do not say of ``train``.
    """
    parts: dict[str, dict[str, Any]] = {}
    for name, value in values.items():
        for part in _PARTS:
            if name.startswith((f"{part}_", f"{part}/")) and len(name) > len(part) + 1:
                parts.setdefault(part, {})[name[len(part) + 1 :]] = value
                break
        else:
            parts.setdefault("train", {})[name] = value
    for part, found in parts.items():
        report_metrics(part, found, step, epoch)


def to_number(value: Any) -> float | str | None:
    """A number as an event has it, of NumPy's and tensors of one element too; None for anything else."""
    if isinstance(value, (bool, str, bytes)) or value is None:
        return None
    try:
        number = float(value)
    except (TypeError, ValueError, RuntimeError):
        return None
    if math.isfinite(number):
        return number
    return "NaN" if math.isnan(number) else "Infinity" if number > 0 else "-Infinity"


def reports() -> bool:
    """Whether this process speaks for its training: rank 0, as its environment or torch says."""
    if not is_first_of_its_rank():
        return False
    distributed = sys.modules.get("torch.distributed")
    if distributed is None or not distributed.is_available() or not distributed.is_initialized():
        return True
    return bool(distributed.get_rank() == 0)


def is_worker() -> bool:
    """Whether joblib or multiprocessing has started this process, for a part of another's work."""
    multiprocessing = sys.modules.get("multiprocessing.process")
    if multiprocessing is None:
        return False
    return multiprocessing.parent_process() is not None or "Loky" in multiprocessing.current_process().name


def number_of(training: object, library: str) -> int | None:
    """1 for the first training of this process with a library, 2 for the second, and so on.

    Args:
        training: what lives as long as the training does, such as its model or trainer.

    Returns:
        None for those beyond the first `TRAININGS`, which are not reported.
    """
    known, number = _known.get(id(training), (None, 0))
    if known is None or known() is not training:
        number = next(_numbers.setdefault(library, itertools.count(1)))
        _known[id(training)] = (weakref.ref(training), number)
        if number == TRAININGS + 1:
            print(f"raven: of {library}, the first {TRAININGS} trainings are reported", file=sys.stderr)
    return number if number <= TRAININGS else None


def name_of(training: object, library: str, values: Mapping[str, Any]) -> dict[str, Any]:
    """``values`` under names of this training's own: ``loss``; ``loss 2`` in the second of its library."""
    number = number_of(training, library)
    if number is None:
        return {}
    return dict(values) if number == 1 else {f"{name} {number}": value for name, value in values.items()}


@contextmanager
def outermost() -> Iterator[bool]:
    """A block that is one training; whether no other training's block is around it."""
    global _depth
    _depth += 1
    try:
        yield _depth == 1
    finally:
        _depth -= 1


def _forget_outer() -> None:
    """A forked child's trainings are its own."""
    global _depth
    _depth = 0


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_outer)
