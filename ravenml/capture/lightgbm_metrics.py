"""LightGBM: the results of each round on the data given for evaluation, and the parameters."""

from __future__ import annotations

import functools
import inspect
from typing import Any

from .metrics import is_worker, name_of, outermost, report_metrics
from .reporting import guarded, report_parameters


def watch_training(engine: Any) -> None:
    """Add a callback to those of each training; an estimator's parameters are reported as scikit-learn's."""
    original = engine.train
    signature = inspect.signature(original)

    @functools.wraps(original)
    def train(*args: Any, **kwargs: Any) -> Any:
        with outermost() as is_outermost:
            if is_worker():
                return original(*args, **kwargs)
            bound = guarded(signature.bind)(*args, **kwargs)
            if bound is None:
                return original(*args, **kwargs)  # which says what is wrong
            if is_outermost:
                guarded(_report_parameters)(bound.arguments)
            bound.arguments["callbacks"] = [*(bound.arguments.get("callbacks") or ()), _reporter()]
            return original(*bound.args, **bound.kwargs)

    engine.train = train


def _report_parameters(arguments: dict[str, Any]) -> None:
    rounds = arguments.get("num_boost_round", 100)
    report_parameters("lightgbm", {**dict(arguments["params"]), "num_boost_round": rounds})


def _reporter() -> Any:
    def after_round(environment: Any) -> None:
        guarded(_report)(environment)

    after_round.order = -1  # type: ignore[attr-defined]  # before the one that stops early by an exception
    return after_round


def _report(environment: Any) -> None:
    found: dict[str, dict[str, Any]] = {}
    for data, name, value, *_ in environment.evaluation_result_list or ():
        found.setdefault(data, {})[name] = value
    for data, values in found.items():
        report_metrics(data, name_of(environment.model, "LightGBM", values), step=environment.iteration + 1)
