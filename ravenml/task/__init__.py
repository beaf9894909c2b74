"""ClearML's names: what a script says about its own run, and reads of others; import them from here.

``backend.py`` has the two ways in which a script can speak. Under ``raven run`` it appends events to
``RAVENML_EVENTS`` and writes pictures and artifacts into ``RAVENML_RUN`` first; what belongs into
``run.json`` travels as ``DESCRIBED``, since only the owner writes that file. On its own, it opens a run and
carries on even if the disk is full.

``exit_hooks.py`` notices the script's end. ``parameters.py`` wraps argparse at once and Click when it is
loaded; ``ravenml.capture`` wraps the functions that save models when their libraries are loaded. Such a model
is kept with the run, and ``uploader.py`` copies it and uploads the copy from a thread.
``tensorboard_writers.py`` flushes what the script left open. ``ravenml.remote`` sends the script to a queue;
on the worker ``RAVENML_WORKER`` is set.

``task_view.py`` is a run as another script reads it, on ``recorded.py``; ``artifacts.py`` and ``models.py``
are what it has left, and ``draft.py`` is one that is still to be started. ``output_model.py`` registers a
model. ``dataset.py`` has versions of folders, and ``storage.py`` moves files. ``pipeline.py`` runs steps in
order, a function of the script by ``steps.py``, and ``optimizer.py`` tries parameters; what they start are
runs of their own. ``names.py`` says what to use instead of a name that is not here.
"""

from __future__ import annotations

from typing import Any

_MODULES = {
    "Artifact": "artifacts",
    "Dataset": "dataset",
    "DiscreteParameterRange": "optimizer",
    "GridSearch": "optimizer",
    "HyperParameterOptimizer": "optimizer",
    "InputModel": "models",
    "LogUniformParameterRange": "optimizer",
    "Logger": "task",
    "Model": "models",
    "OutputModel": "output_model",
    "ParameterSet": "optimizer",
    "PipelineController": "pipeline",
    "PipelineDecorator": "pipeline",
    "RandomSearch": "optimizer",
    "SeriesInfo": "logger",
    "StorageManager": "storage",
    "Task": "task",
    "TaskParameters": "task_parameters",
    "TaskTypes": "task",
    "TaskView": "task_view",
    "UniformIntegerParameterRange": "optimizer",
    "UniformParameterRange": "optimizer",
    "param": "task_parameters",
    "percent_param": "task_parameters",
}
__all__ = list(_MODULES)


def __getattr__(name: str) -> Any:
    """Load a name when it is used; one that is not here is answered with the nearest thing."""
    import importlib

    if name in _MODULES:
        return getattr(importlib.import_module(f"{__name__}.{_MODULES[name]}"), name)
    if name[:1].isupper():  # a class of ClearML's; modules of this package are asked for on their import
        from ravenml.task.names import MissingName, describe_missing

        raise MissingName(describe_missing("", name, __all__))
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
