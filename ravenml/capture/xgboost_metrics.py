"""XGBoost: the results of each round on the data given for evaluation, and the parameters."""

from __future__ import annotations

import functools
from typing import Any

from .metrics import is_worker, name_of, outermost, report_metrics
from .reporting import guarded, report_parameters


def watch_training(training: Any) -> None:
    """Report the parameters of ``xgboost.train``; an estimator's are reported as scikit-learn's."""
    original = training.train

    @functools.wraps(original)
    def train(params: Any, dtrain: Any, num_boost_round: int = 10, *args: Any, **kwargs: Any) -> Any:
        with outermost() as is_outermost:
            if is_outermost and not is_worker():
                given = {**dict(params), "num_boost_round": num_boost_round}
                guarded(report_parameters)("xgboost", given)
            return original(params, dtrain, num_boost_round, *args, **kwargs)

    training.train = train


def watch_rounds(callback: Any) -> None:
    """Report what the container of callbacks has noted after each round."""
    kind = callback.CallbackContainer
    original = kind.after_iteration

    @functools.wraps(original)
    def after_iteration(self: Any, model: Any, epoch: int, *args: Any, **kwargs: Any) -> Any:
        result = original(self, model, epoch, *args, **kwargs)
        guarded(_report)(self, epoch)
        return result

    kind.after_iteration = after_iteration


def _report(container: Any, epoch: int) -> None:
    if is_worker():
        return
    for data, metrics in container.history.items():
        newest = {name: values[-1] for name, values in metrics.items()}
        means = {name: one[0] if isinstance(one, tuple) else one for name, one in newest.items()}  # of `cv`
        report_metrics(data, name_of(container, "XGBoost", means), step=epoch + 1)
