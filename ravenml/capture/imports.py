"""Doing something to a module once it is there, without importing it."""

from __future__ import annotations

import sys

TYPE_CHECKING = False  # as `typing` has it, which takes a millisecond to import
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from importlib.machinery import ModuleSpec
    from types import ModuleType
    from typing import Any


def when_imported(name: str, work: Callable[[Any], None]) -> None:
    """Call ``work`` with the module: now where it is loaded, else once it is."""
    module = sys.modules.get(name)
    if module is not None:
        _call(work, module)
        return
    if _finder not in sys.meta_path:
        sys.meta_path.insert(0, _finder)
    _finder.waiting.setdefault(name, []).append(work)


def _call(work: Callable[[Any], None], module: ModuleType) -> None:
    try:
        work(module)
    except Exception as error:
        print(f"ravenML: {module.__name__} cannot be watched: {error}", file=sys.stderr)


class _Finder:
    """Finds nothing itself: it has the others find the modules that are waited for, and adds the work."""

    def __init__(self) -> None:
        self.waiting: dict[str, list[Callable[[Any], None]]] = {}

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname not in self.waiting:
            return None
        import importlib.util

        works = self.waiting.pop(fullname)
        spec = importlib.util.find_spec(fullname)
        if spec is not None and spec.loader is not None:
            loader, execute = spec.loader, spec.loader.exec_module

            def exec_module(module: ModuleType) -> None:
                execute(module)
                for work in works:
                    _call(work, module)

            loader.exec_module = exec_module  # type: ignore[method-assign]
        return spec


_finder = _Finder()
