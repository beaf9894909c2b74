"""What a Python program was told and what it makes, captured without a line of it changed.

`raven run` puts the folder ``site`` before the program's own module path, so that each Python process below
it begins with ``site/sitecustomize.py``.  That loads this package, by its path and under the name
``_ravenml_capture``, and :func:`start` has each hook wait for its library: a library that is not imported
costs nothing.  The hooks append events to the file that ``RAVENML_EVENTS`` names (``reporting.py``), which
`raven run` reads.

The program's environment need not hold ravenML, so this package needs Python's standard library alone, and
Python 3.8.  Whatever goes wrong in a hook is a line in the run's log and never ends the program.

``imports.py`` has the mechanism, ``models.py`` (with its table, ``model_savers.py``) and ``figures.py`` what
is made, ``argparse_settings.py``, ``click_settings.py`` and ``other_settings.py`` what was told, and a file
for each library (``keras_metrics.py`` …) what it measures, which ``metrics.py`` reports.
"""

from __future__ import annotations

import os

TYPE_CHECKING = False  # as `typing` has it, which takes a millisecond to import
if TYPE_CHECKING:
    from collections.abc import Callable

SITE = os.path.join(os.path.dirname(__file__), "site")  # goes onto a program's PYTHONPATH
SWITCH = "RAVENML_CAPTURE"  # in a program's environment: "on", then the process that has told its settings
RANKS = ("RANK", "OMPI_COMM_WORLD_RANK", "PMI_RANK", "SLURM_PROCID")  # where launchers put a process's rank

# By the module that is waited for: the file with its hook, and the function that is given the module.
HOOKS = {
    "argparse": ("argparse_settings", "watch_argparse"),
    "click.core": ("click_settings", "watch_click"),
    "typer._click.core": ("click_settings", "watch_click"),
    "hydra.core.utils": ("other_settings", "watch_hydra"),
    "fire.core": ("other_settings", "watch_fire"),
    "absl.flags._flagvalues": ("other_settings", "watch_absl"),
    "jsonargparse._core": ("other_settings", "watch_jsonargparse"),
    "matplotlib.pyplot": ("figures", "watch_pyplot"),
    "matplotlib.figure": ("figures", "watch_figure"),
    "keras.src.callbacks": ("keras_metrics", "watch_keras"),
    "keras.callbacks": ("keras_metrics", "watch_keras"),
    "tf_keras.src.callbacks": ("keras_metrics", "watch_keras"),
    "sklearn.base": ("sklearn_metrics", "watch_estimators"),
    "sklearn.metrics._classification": ("sklearn_metrics", "watch_scores"),
    "sklearn.metrics._ranking": ("sklearn_metrics", "watch_scores"),
    "sklearn.metrics._regression": ("sklearn_metrics", "watch_scores"),
    "sklearn.model_selection._validation": ("sklearn_metrics", "watch_validation"),
    "pytorch_lightning.trainer.connectors.logger_connector.logger_connector": (
        "lightning_metrics",
        "watch_lightning",
    ),
    "lightning.pytorch.trainer.connectors.logger_connector.logger_connector": (
        "lightning_metrics",
        "watch_lightning",
    ),
    "transformers.trainer": ("transformers_metrics", "watch_trainer"),
    "xgboost.callback": ("xgboost_metrics", "watch_rounds"),
    "xgboost.training": ("xgboost_metrics", "watch_training"),
    "lightgbm.engine": ("lightgbm_metrics", "watch_training"),
    "catboost.core": ("catboost_metrics", "watch_training"),
    "ultralytics.engine.trainer": ("ultralytics_metrics", "watch_trainer"),
}

_is_left = False


def leave() -> None:
    """Leave settings and models to a `Task` of the program, which reports and keeps them itself."""
    global _is_left
    _is_left = True


def is_left() -> bool:
    """Whether settings and models are left to a `Task`."""
    return _is_left


def start() -> None:
    """Capture what this process is told and makes, if it is one that reports.

    Until a library is imported, none of the hooks' files is.
    """
    if not is_first_of_its_rank():
        return
    from .imports import when_imported
    from .model_savers import MODULES

    for name, (file, function) in HOOKS.items():
        when_imported(name, _loading(file, function))
    for name in MODULES:
        when_imported(name, _loading("models", "report_models"))


def _loading(file: str, function: str) -> Callable[[object], None]:
    def call(module: object) -> None:
        from importlib import import_module

        getattr(import_module(f"{__name__}.{file}"), function)(module)

    return call


def is_first_of_its_rank() -> bool:
    """Whether this process is rank 0 of those that a launcher started, or has no rank."""
    names = (*RANKS, "LOCAL_RANK")
    return next((os.environ[name] for name in names if os.environ.get(name)), "0") == "0"
