"""ravenML: train vision models, from the command line or from Python.

What is imported from here is loaded when it is first used; ``import ravenml`` itself costs nothing.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ravenml.data.project import Project
    from ravenml.data.registry import load_dataset
    from ravenml.errors import InputError, Interrupted, RavenError
    from ravenml.infer.model import Model, load_model
    from ravenml.runs.info import RunInfo, list_runs, load_run
    from ravenml.task.logger import Logger
    from ravenml.task.task import Task
    from ravenml.train.fit import fit

__all__ = [
    "InputError",
    "Interrupted",
    "Logger",
    "Model",
    "Project",
    "RavenError",
    "RunInfo",
    "Task",
    "__version__",
    "fit",
    "list_runs",
    "load_dataset",
    "load_model",
    "load_run",
]

__version__ = "2.0.0"

_LAZY = {
    "InputError": "ravenml.errors",
    "Interrupted": "ravenml.errors",
    "Logger": "ravenml.task.task",  # whoever reports has a task
    "Model": "ravenml.infer.model",
    "Project": "ravenml.data.project",
    "RavenError": "ravenml.errors",
    "RunInfo": "ravenml.runs.info",
    "Task": "ravenml.task.task",
    "fit": "ravenml.train.fit",
    "list_runs": "ravenml.runs.info",
    "load_dataset": "ravenml.data.registry",
    "load_model": "ravenml.infer.model",
    "load_run": "ravenml.runs.info",
}


class _FormerNames:
    """Finds modules under the names that they had, see ``ravenml/renamed.py``."""

    @staticmethod
    def find_spec(name: str, path: Any = None, target: Any = None) -> Any:
        if name.partition(".")[0] not in ("ravenml", "raven") or name in ("ravenml", "ravenml.renamed"):
            return None
        from ravenml.renamed import find_renamed

        return find_renamed(name)


class _MetadataReaders:
    """Finds what reads the metadata of installed packages, and has it pass over damaged files.

    Libraries read those of every package, whosever they are: pydantic and torch do at their import.
    """

    MODULES = ("importlib.metadata", "importlib_metadata")

    @classmethod
    def find_spec(cls, name: str, path: Any = None, target: Any = None) -> Any:
        if name not in cls.MODULES:
            return None
        from importlib.machinery import PathFinder  # other finders may ask all of them, and so this one

        spec = PathFinder.find_spec(name, path, target)
        if spec is not None and spec.loader is not None:
            execute = spec.loader.exec_module

            def exec_module(module: Any) -> None:
                execute(module)
                cls.amend(module)

            spec.loader.exec_module = exec_module  # type: ignore[method-assign]
        return spec

    @staticmethod
    def amend(module: Any) -> None:
        kind = module.PathDistribution
        read = kind.read_text

        def read_text(self: Any, filename: str) -> str | None:
            if filename not in ("entry_points.txt", "METADATA", "PKG-INFO"):
                return read(self, filename)  # type: ignore[no-any-return]
            from ravenml.plugin.distributions import read_if_sound

            return read_if_sound(self, filename)

        kind.read_text = read_text


for _module in filter(None, map(sys.modules.get, _MetadataReaders.MODULES)):
    _MetadataReaders.amend(_module)
sys.meta_path.insert(0, _MetadataReaders)
# the first, because a package that was renamed has its modules under both names
sys.meta_path.insert(0, _FormerNames)


def __getattr__(name: str) -> Any:
    """Load a public name when it is used."""
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(_LAZY[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
