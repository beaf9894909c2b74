"""scikit-learn: the parameters of what is fitted, and the scores that the program asks for.

Only the outermost call counts: a grid search is one training, not one for each of its candidates.  Estimators
of other libraries that build on scikit-learn's (XGBoost's, LightGBM's) are watched as well.
"""

from __future__ import annotations

import functools
import itertools
import sys
import warnings
import weakref
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from .metrics import TRAININGS, is_worker, outermost, report_metrics
from .reporting import guarded, report_parameters

_ENDINGS = ("_score", "_error", "_loss")
_steps: dict[str, Iterator[int]] = {}
_settings: dict[str, list[str]] = {}  # of each class of estimators, those that were fitted
_labels: weakref.WeakKeyDictionary[Any, str] = weakref.WeakKeyDictionary()
_data: weakref.WeakKeyDictionary[Any, Any] = weakref.WeakKeyDictionary()  # what an estimator was fitted to


def watch_estimators(base: Any) -> None:
    """Watch each class of estimators from its definition on."""
    kind = base.BaseEstimator
    own = vars(kind).get("__init_subclass__")

    def init_subclass(cls: type[Any], /, **kwargs: Any) -> None:
        if own is not None:
            own.__get__(None, cls)(**kwargs)
        else:
            super(kind, cls).__init_subclass__(**kwargs)
        guarded(_watch_class)(cls)

    kind.__init_subclass__ = classmethod(init_subclass)
    for mixin in [one for one in vars(base).values() if isinstance(one, type)]:
        _watch_class(mixin)  # most of them score


def _watch_class(cls: Any) -> None:
    for name, after in (("fit", _report_fit), ("score", _report_score)):
        method = vars(cls).get(name)
        if hasattr(method, "fn") and hasattr(method, "check"):  # one that is only there with some estimators
            method.fn = _wrap(method.fn, after)
        elif callable(method):
            setattr(cls, name, _wrap(method, after))


def _wrap(method: Callable[..., Any], after: Callable[..., None]) -> Callable[..., Any]:
    @functools.wraps(method)
    def watched(self: Any, *args: Any, **kwargs: Any) -> Any:
        with outermost() as is_outermost:
            result = method(self, *args, **kwargs)
            if is_outermost and not is_worker():
                guarded(after)(self, result, args[0] if args else kwargs.get("X"))
        return result

    return watched


def _report_fit(estimator: Any, _: Any, data: Any) -> None:
    if not any(hasattr(estimator, name) for name in ("predict", "fit_predict", "cv_results_")):
        return  # it prepares data
    settings = {key: value for key, value in estimator.get_params().items() if not _is_estimator(value)}
    name = _label(estimator, settings)
    if name is None:
        return
    if hasattr(estimator, "best_params_"):
        settings = {**settings, "best_params": estimator.best_params_}
    report_parameters(name, settings)
    for score, value in _best_scores(estimator).items():
        _report_next("cv", f"{score}/{name}", value)
    try:
        _data[estimator] = weakref.ref(data)
    except TypeError:
        _data.pop(estimator, None)  # such as a list


def _best_scores(search: Any) -> dict[str, float]:
    """The best scores of a search over parameters, by name; of one that scores in several ways, each."""
    if hasattr(search, "best_score_"):
        return {"best_score": search.best_score_}
    results = getattr(search, "cv_results_", None) or {}
    chosen = getattr(search, "best_index_", None)  # where a function of the program chose
    found = {}
    for name, values in results.items():
        if name.startswith("mean_test_"):
            score = name.partition("mean_test_")[2]
            label = "best_score" if score == "score" else f"best_{score}"
            known = [float(value) for value in values if value == value]  # those that could be scored
            if known:
                found[label] = float(values[chosen]) if chosen is not None else max(known)
    return found


def _label(estimator: Any, settings: Mapping[str, Any]) -> str | None:
    """What an estimator is called: its class, with a number where others of it had other parameters.

    Returns:
        None for those beyond the first `TRAININGS` of a class: a loop over parameters, which is noise.
    """
    kind = type(estimator).__name__
    every = _settings.setdefault(kind, [])
    told = repr(sorted(settings.items()))
    if told not in every and len(every) < TRAININGS:
        every.append(told)
    if told not in every:
        return None
    number = every.index(told) + 1
    _labels[estimator] = label = kind if number == 1 else f"{kind} {number}"
    return label


def _is_estimator(value: Any) -> bool:
    if isinstance(value, (list, tuple)):
        return any(_is_estimator(one) for one in value)
    return hasattr(value, "get_params") and not isinstance(value, type)


def _report_score(estimator: Any, score: Any, data: Any) -> None:
    fitted_to = _data.get(estimator)
    part = "train" if fitted_to is not None and fitted_to() is data else "test"
    _report_next(part, f"score/{_labels.get(estimator, type(estimator).__name__)}", score)


def watch_scores(module: Any) -> None:
    """Report what the functions of ``sklearn.metrics`` return to the program itself."""
    for name, function in list(vars(module).items()):
        is_own = getattr(function, "__module__", None) == module.__name__ and callable(function)
        if is_own and name.endswith(_ENDINGS) and not name.startswith("_"):
            setattr(module, name, _wrap_score(name, function))
        elif is_own and name == "classification_report":
            setattr(module, name, _wrap_report(function))


def _wrap_score(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    def watched(*args: Any, **kwargs: Any) -> Any:
        result = function(*args, **kwargs)
        if _is_of_the_program(sys._getframe(1).f_globals) and not is_worker():
            _report_next("score", name, result)
        return result

    return watched


def _wrap_report(function: Callable[..., Any]) -> Callable[..., Any]:
    """Of a table of all classes, its last lines are reported: accuracy and the means."""

    @guarded
    def report(*args: Any, **kwargs: Any) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # it has warned already
            table = function(*args, **{**kwargs, "output_dict": True})
        for name, value in table.items():
            if name == "accuracy":
                _report_next("score", "accuracy", value)
            elif name.endswith(" avg"):
                for score in ("precision", "recall", "f1-score"):
                    _report_next("score", f"{name} {score}", value[score])

    @functools.wraps(function)
    def watched(*args: Any, **kwargs: Any) -> Any:
        result = function(*args, **kwargs)
        if _is_of_the_program(sys._getframe(1).f_globals) and not is_worker():
            report(*args, **kwargs)
        return result

    return watched


def _is_of_the_program(module: Mapping[str, Any]) -> bool:
    """Whether a module is the user's, and not an installed library's."""
    return "site-packages" not in str(module.get("__file__") or "")


def watch_validation(module: Any) -> None:
    """Report the mean scores of a cross-validation, which fits and scores many times."""
    original = module.cross_validate

    @functools.wraps(original)
    def cross_validate(estimator: Any, *args: Any, **kwargs: Any) -> Any:
        with outermost() as is_outermost:
            result = original(estimator, *args, **kwargs)
            if is_outermost and not is_worker():
                guarded(_report_validation)(estimator, result)
        return result

    module.cross_validate = cross_validate


def _report_validation(estimator: Any, result: Mapping[str, Any]) -> None:
    _report_fit(estimator, None, None)
    for name, values in result.items():
        if name.startswith(("test_", "train_")):
            part, _, score = name.partition("_")
            mean = sum(map(float, values)) / max(1, len(values))
            label = _labels.get(estimator, type(estimator).__name__)
            _report_next("cv" if part == "test" else "cv_train", f"{score}/{label}", mean)


def _report_next(kind: str, name: str, value: Any) -> None:
    """Report a value as the next one of its curve: scikit-learn knows no steps."""
    step = next(_steps.setdefault(f"{kind}/{name}", itertools.count()))
    report_metrics(kind, {name: value}, step=step)
