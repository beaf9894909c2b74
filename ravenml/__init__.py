"""ravenML: train vision models from the command line."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ravenml.task.logger import Logger
    from ravenml.task.task import Task

__all__ = ["Logger", "Task", "__version__"]

__version__ = "0.1.0"

_LAZY = {"Task": "ravenml.task.task", "Logger": "ravenml.task.task"}  # both: whoever reports has a task


class _FormerNames:
    """Finds modules under the names that they had, see ``ravenml/renamed.py``."""

    @staticmethod
    def find_spec(name: str, path: Any = None, target: Any = None) -> Any:
        if not name.startswith("ravenml.") or name == "ravenml.renamed":
            return None
        from ravenml.renamed import find_renamed

        return find_renamed(name)


# the first, because a package that was renamed has its modules under both names
sys.meta_path.insert(0, _FormerNames)


def __getattr__(name: str) -> Any:
    """Load a public name when it is used: ``import ravenml`` itself costs nothing."""
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(_LAZY[name]), name)
