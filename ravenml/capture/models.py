"""Files and folders in which libraries save models: whoever listens is told of each once it is written.

Every library is watched from the moment it is imported, and none is imported for it.
"""

from __future__ import annotations

import functools
import inspect
import os
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from . import is_left
from .imports import when_imported
from .model_savers import MODULES
from .reporting import report

_saving = threading.local()  # `depth`: savers call each other, and only the outermost counts


def watch_models(saved: Callable[[Path], None]) -> None:
    """Call ``saved`` with the file or folder of each model that this process saves from now on.

    What ``saved`` raises is a line on stderr: it never ends the program.
    """
    for name in MODULES:
        when_imported(name, functools.partial(watch_module, saved))


def report_models(module: Any) -> None:
    """Report each model that a library saves to `raven run`."""
    watch_module(_report, module)


def watch_module(saved: Callable[[Path], None], module: Any) -> None:
    """Call ``saved`` with the file or folder of each model that a loaded library saves."""
    for name, parameter in MODULES[module.__name__].items():
        _wrap(module, name, parameter, saved)


def _report(path: Path) -> None:
    if not is_left():
        report("MODEL", path=str(path))


def _wrap(module: Any, place: str, parameter: str, saved: Callable[[Path], None]) -> None:
    owner_name, _, name = place.rpartition(".")
    owner = getattr(module, owner_name) if owner_name else module
    save = getattr(owner, name, None)
    if save is None or getattr(save, "_tells_of_models", None) is saved:
        return
    signature = inspect.signature(save)

    @functools.wraps(save)
    def saving(*args: Any, **kwargs: Any) -> Any:
        _saving.depth = getattr(_saving, "depth", 0) + 1
        try:
            result = save(*args, **kwargs)
        finally:
            _saving.depth -= 1
        if _saving.depth == 0:
            try:
                path = _path_of(signature.bind(*args, **kwargs).arguments.get(parameter))
                if path is not None:
                    saved(path)
            except Exception as error:  # the program's own work comes first
                print(f"Warning: a saved model was not kept: {error}", file=sys.stderr)
        return result

    saving._tells_of_models = saved  # type: ignore[attr-defined]
    setattr(owner, name, saving)


def _path_of(target: object) -> Path | None:
    """Where something was written: a path, or an open file's; None for what lies in memory alone."""
    if not isinstance(target, str | os.PathLike):
        with suppress(AttributeError, OSError, ValueError):
            target.flush()  # type: ignore[attr-defined]
        target = getattr(target, "name", None)  # of an open file
    if not isinstance(target, str | os.PathLike):
        return None
    path = Path(os.fsdecode(os.path.abspath(target)))
    return path if path.exists() else None
