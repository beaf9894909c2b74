"""Doing something to a module once it is there, without importing it."""

from __future__ import annotations

import importlib.abc
import importlib.machinery
import importlib.util
import sys
from collections.abc import Callable, Sequence
from types import ModuleType
from typing import Any


def when_imported(name: str, work: Callable[[Any], None]) -> None:
    """Call ``work`` with the module: now where it is loaded, else once it is."""
    module = sys.modules.get(name)
    if module is not None:
        _call(work, module)
    else:
        sys.meta_path.insert(0, _Finder(name, work))


def _call(work: Callable[[Any], None], module: ModuleType) -> None:
    try:
        work(module)
    except Exception as error:
        print(f"ravenML: {module.__name__} cannot be watched: {error}", file=sys.stderr)


class _Finder(importlib.abc.MetaPathFinder):
    def __init__(self, name: str, work: Callable[[Any], None]) -> None:
        self._name, self._work = name, work

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if fullname != self._name:
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(fullname)
        if spec is not None and spec.loader is not None:
            loader, execute = spec.loader, spec.loader.exec_module

            def exec_module(module: ModuleType) -> None:
                execute(module)
                _call(self._work, module)

            loader.exec_module = exec_module  # type: ignore[method-assign]
        return spec
