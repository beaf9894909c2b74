"""Keras: what ``fit`` logs after each epoch, and what ``evaluate`` finds."""

from __future__ import annotations

import functools
import weakref
from typing import Any

from .metrics import name_of, report_by_part, report_metrics
from .reporting import guarded

_done: weakref.WeakKeyDictionary[Any, int] = weakref.WeakKeyDictionary()  # epochs of a model's earlier fits
_fitting: weakref.WeakKeyDictionary[Any, int] = weakref.WeakKeyDictionary()  # and of the one that goes on


def watch_keras(callbacks: Any) -> None:
    """Report from the list of callbacks that ``fit`` and ``evaluate`` call, whichever the user gave."""
    kind = getattr(callbacks, "CallbackList", None)
    if kind is None or hasattr(kind.on_epoch_end, "__wrapped__"):
        return  # one class may be found under two names
    on_train_begin, on_epoch_end, on_test_end = kind.on_train_begin, kind.on_epoch_end, kind.on_test_end

    @functools.wraps(on_train_begin)
    def beginning(self: Any, logs: Any = None) -> None:
        guarded(_begin)(self)
        on_train_begin(self, logs)

    @functools.wraps(on_epoch_end)
    def ending(self: Any, epoch: int, logs: Any = None) -> None:
        on_epoch_end(self, epoch, logs)
        guarded(_report_epoch)(self, epoch, logs)

    @functools.wraps(on_test_end)
    def tested(self: Any, logs: Any = None) -> None:
        on_test_end(self, logs)
        guarded(_report_test)(self, logs)

    kind.on_train_begin, kind.on_epoch_end, kind.on_test_end = beginning, ending, tested


def _begin(callbacks: Any) -> None:
    _done[callbacks.model] = _fitting.get(callbacks.model, 0)


def _report_epoch(callbacks: Any, epoch: int, logs: Any) -> None:
    done = _done.get(callbacks.model, 0)
    number = epoch + 1 if epoch >= done else epoch + 1 + done  # a second fit that counts from 0 again goes on
    _fitting[callbacks.model] = number
    if not _writes_tensorboard(callbacks):
        steps = (callbacks.params or {}).get("steps")
        values = name_of(callbacks.model, "Keras", dict(logs or {}))
        report_by_part(values, step=number * steps if steps else None, epoch=number)


def _report_test(callbacks: Any, logs: Any) -> None:
    if "epochs" in (callbacks.params or {}) and not _is_validation(callbacks):
        report_metrics("test", name_of(callbacks.model, "Keras", dict(logs or {})))


def _is_validation(callbacks: Any) -> bool:
    """Whether this list is of a ``fit``, which evaluates within each epoch and logs it with that."""
    return any(type(one).__name__ == "History" for one in callbacks.callbacks)


def _writes_tensorboard(callbacks: Any) -> bool:
    """Whether the same numbers are read from TensorBoard's files."""
    return any(type(one).__name__ == "TensorBoard" for one in callbacks.callbacks)
