"""ravenML: train vision models from the command line."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ravenml.renamed import keep_old_names

if TYPE_CHECKING:
    from ravenml.task.logger import Logger
    from ravenml.task.task import Task

__all__ = ["Logger", "Task", "__version__"]

__version__ = "0.1.0"

_LAZY = {"Task": "ravenml.task.task", "Logger": "ravenml.task.task"}  # both: whoever reports has a task


keep_old_names()


def __getattr__(name: str) -> Any:
    """Load a public name when it is used: ``import ravenml`` itself costs nothing."""
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(_LAZY[name]), name)
