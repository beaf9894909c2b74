"""Names of ClearML that ravenML does not have: one sentence each, with the nearest thing that there is."""

from __future__ import annotations

import difflib
from collections.abc import Collection
from typing import Any

# What takes the place of a name that nothing here resembles.
NEAREST = {
    "APIClient": "`ravenml.list_runs()` and `ravenml.load_run(ID)` read all that is recorded",
    "AutoScaler": "a queue's Ray cluster scales itself",
    "AWSDriver": "a queue's Ray cluster scales itself",
    "ClearmlTunerCallback": "Keras's own callbacks are captured",
    "ClearmlTunerLogger": "Keras's own callbacks are captured",
    "DataView": "`Dataset` has versions of files, `raven data` has annotations",
    "DatasetVersion": "`Dataset` has versions of files, `raven data` has annotations",
    "HyperDataset": "`Dataset` has versions of files, `raven data` has annotations",
    "HyperDatasetManagement": "`Dataset` has versions of files, `raven data` has annotations",
    "Monitor": "`notify:` in the configuration tells of runs that fail or hang",
    "OptimizerBOHB": "`RandomSearch` and `GridSearch` are there",
    "OptimizerOptuna": "`RandomSearch` and `GridSearch` are there",
    "ScalerConfig": "a queue's Ray cluster scales itself",
    "Session": "ravenML needs no server",
    "TaskScheduler": "cron can start `raven run --remote QUEUE -- PROGRAM`",
    "TriggerScheduler": "cron can start `raven run --remote QUEUE -- PROGRAM`",
    "Task.create": "`raven run -- PROGRAM` records a program, and `Task.clone` repeats a run",
    "Task.delete": "`raven runs rm ID` removes a run",
    "Task.export_task": "`raven runs export ID` writes a run into one file",
    "Task.force_requirements_env_freeze": "all installed packages are recorded anyway",
    "Task.get_http_router": "`raven serve` serves a model",
    "Task.import_task": "`raven runs import FILE` reads what `raven runs export` wrote",
    "Task.request_external_endpoint": "`raven serve` serves a model",
    "Task.update_output_model": "`OutputModel(task).update_weights(FILE)` keeps one",
    "Task.set_credentials": "ravenML needs no server",
}


class MissingName(ImportError):
    """A name of ClearML that is not here; ``from … import`` shows the sentence as it is."""


def describe_missing(owner: str, name: str, known: Collection[str]) -> str:
    """One sentence on a missing name.

    Args:
        owner: the class that it was asked of, or empty for a module.
        name: what was asked for.
        known: the names that there are.
    """
    near = difflib.get_close_matches(name, [one for one in known if not one.startswith("_")], n=1)
    nearest = NEAREST.get(f"{owner}.{name}" if owner else name) or (near and f"did you mean `{near[0]}`?")
    whose = f"ravenML's {owner}" if owner else "ravenml.task"
    return f"{whose} has no `{name}`; {nearest or 'docs/tracking.md lists the names that it has'}" + (
        "" if str(nearest).endswith("?") else "."
    )


class TellsMissing(type):
    """The class of classes that say what they lack: ``Task.no_such_name`` gets a sentence."""

    def __getattr__(cls, name: str) -> Any:
        raise AttributeError(describe_missing(cls.__name__, name, dir(cls)))


class ClearMLName(metaclass=TellsMissing):
    """The base of classes that have a name of ClearML's: their objects say what they lack, too."""

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(describe_missing(type(self).__name__, name, dir(type(self))))
