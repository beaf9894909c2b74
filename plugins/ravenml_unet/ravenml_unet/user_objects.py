"""Finding code of the user's own by its name, ``package.module:name``.  Imports no framework itself."""

from __future__ import annotations

import importlib
import os
import re
import sys
from typing import Any

from ravenml.errors import InputError

REFERENCE = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_][\w.]*")


def load_object(reference: str, setting: str) -> Any:
    """The object that ``package.module:name`` names; the working folder's modules are found too.

    Args:
        reference: the name.
        setting: what messages call it (``model``, ``loss`` …).

    Raises:
        InputError: it is no such name, the module cannot be imported, or has no such object.
    """
    if not REFERENCE.fullmatch(reference):
        raise InputError(f"{setting}: {reference!r} should be like package.module:name.")
    module_name, _, name = reference.partition(":")
    if os.getcwd() not in sys.path:
        sys.path.append(os.getcwd())  # last: nothing that is installed is hidden by a file that lies here
    importlib.invalidate_caches()
    try:
        value: Any = importlib.import_module(module_name)
    except Exception as error:  # whatever the module does wrong
        reason = f"{type(error).__name__}: {error}"
        raise InputError(f"{setting}: {module_name} cannot be imported: {reason}.") from error
    for part in name.split("."):
        if not hasattr(value, part):
            raise InputError(f"{setting}: {module_name} has no {name}.")
        value = getattr(value, part)
    if not callable(value):
        raise InputError(f"{setting}: {reference} is a {type(value).__name__}, which cannot be called.")
    return value
