"""CatBoost: the parameters; and the results of each iteration, once the training has ended."""

from __future__ import annotations

import functools
from typing import Any

from .metrics import is_worker, name_of, outermost, report_metrics
from .reporting import guarded, report_parameters


def watch_training(core: Any) -> None:
    """Report when a model has been fitted, as CatBoost calls nobody in between if it trains on a GPU."""
    original = core.CatBoost._fit

    @functools.wraps(original)
    def fit(self: Any, *args: Any, **kwargs: Any) -> Any:
        with outermost() as is_outermost:
            result = original(self, *args, **kwargs)
            if is_outermost and not is_worker():
                guarded(_report)(self)
            return result

    core.CatBoost._fit = fit


def _report(model: Any) -> None:
    report_parameters(type(model).__name__, model.get_params())
    if model.get_params().get("allow_writing_files") is not False:
        return  # the same results are read from the files that it writes for TensorBoard
    for data, metrics in (model.get_evals_result() or {}).items():
        part = "train" if data == "learn" else data
        for name, values in metrics.items():
            for step, value in enumerate(values, 1):
                report_metrics(part, name_of(model, "CatBoost", {name: value}), step=step)
