"""Code of the user's own: modules that a setting, a model or a run names as ``package.module:name``.

Importing a module runs it.  So a name that was read from a file decides nothing: the module must be trusted
before.  These are:

- what the user names on this very command line; it is remembered, by module and file, so that the runs and
  models that come of it open again;
- what was remembered, as long as the name leads to the same file;
- modules in the folders that the setting ``trusted_code`` lists;
- anything, for one command, with ``--trust-code``.

What is registered, such as a plugin's own networks, needs no trust and does not come here.
"""

from __future__ import annotations

import functools
import hashlib
import importlib
import importlib.util
import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from typing import Any

from ravenml.common.io import read_json, write_json
from ravenml.common.locks import exclusive_lock
from ravenml.common.permissions import make_folder
from ravenml.config.home import home
from ravenml.errors import InputError, RavenError

REFERENCE = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_][\w.]*")
KNOWN = "trusted_code.json"  # in the home: the modules that the user named himself

_trusted: ContextVar[bool] = ContextVar("trusted", default=False)


@contextmanager
def trusting_code(trust: bool = True) -> Iterator[None]:
    """A block in which files may name any code, as ``--trust-code`` allows it; no change if not ``trust``."""
    token = _trusted.set(trust or _trusted.get())
    try:
        yield
    finally:
        _trusted.reset(token)


def check_trusted(reference: str, named_by: str) -> None:
    """Refuse code that a file names and the user does not trust.  Nothing is imported.

    Args:
        reference: ``package.module:name``.
        named_by: what names it, for messages: a file and its field.

    Raises:
        InputError: it is not trusted.
    """
    if _trusted.get() or _is_known(reference) or _is_in_trusted_folder(reference):
        return
    places = _places(reference)
    where = str(places[0]) if places else "no such module is found here"
    raise InputError(
        f"{named_by} names code that is not part of a plugin, {reference} ({where}); loading it would run "
        "that code.  If you trust it, pass --trust-code (in Python trust_code=True), or list its folder in "
        "the setting trusted_code."
    )


def remember_code(reference: str) -> None:
    """Remember that the user named this code himself: files may name it from now on."""
    places = _places(reference)
    if not places or _is_known(reference):
        return
    path = home() / KNOWN
    make_folder(path.parent)
    with exclusive_lock(path.with_suffix(".lock")):
        known = _known()
        known.setdefault(_module(reference), []).append([str(place) for place in places])
        write_json(path, known)
        path.chmod(0o600)


def digest_code(reference: str) -> str:
    """A digest of the code that ``package.module:name`` names: of its module's file, or all of its package's.

    Nothing is imported.  Code that is not found here has the digest of nothing.
    """
    known = hashlib.sha256()
    for place in _places(reference):
        for file in [place] if place.is_file() else sorted(place.rglob("*.py")):
            with suppress(OSError):
                status = file.stat()
                known.update(_digest_file(file, status.st_size, status.st_mtime_ns, status.st_ino))
    return known.hexdigest()[:32]


@functools.lru_cache(8192)
def _digest_file(file: Path, *identity: int) -> bytes:
    """A file's digest, remembered until its size, time or inode is another: a command asks several times."""
    return hashlib.sha256(file.read_bytes()).digest()


def import_object(reference: str, setting: str) -> Any:
    """Import what ``package.module:name`` names; the working folder's modules are found too.

    A line on stderr says what is imported before it is.  Whoever read the name from a file calls
    :func:`check_trusted` first.

    Args:
        reference: the name.
        setting: what messages call it (``model``, ``loss`` …).

    Raises:
        InputError: it is no such name, the module cannot be imported, or has no such object.
    """
    if not REFERENCE.fullmatch(reference):
        raise InputError(f"{setting}: {reference!r} should be like package.module:name.")
    module_name, _, name = reference.partition(":")
    if module_name not in sys.modules:
        where = ", ".join(map(str, _places(reference))) or "not found"
        print(f"Importing {module_name} ({where}), which {setting} names.", file=sys.stderr, flush=True)
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


def _module(reference: str) -> str:
    return reference.partition(":")[0]


def _places(reference: str) -> list[Path]:
    """The file of the module that would be imported, or the folders of its outermost package.

    Found without importing anything, which for a module within a package Python itself does not do.
    """
    top = _module(reference).partition(".")[0]
    spec: ModuleSpec | None = None
    try:
        spec = importlib.util.find_spec(top) or PathFinder.find_spec(top, [os.getcwd()])
    except (ValueError, ImportError):
        return []  # such as `__main__`, which was not found by any name
    if spec is None:
        return []
    if spec.submodule_search_locations is not None:
        return [Path(place).resolve() for place in spec.submodule_search_locations]
    return [Path(spec.origin).resolve()] if spec.has_location and spec.origin else []


def _known() -> dict[str, list[list[str]]]:
    """By a module's name, where it lay when the user named it; empty where nothing was remembered."""
    path = home() / KNOWN
    if not path.is_file():
        return {}
    content = read_json(path)
    valid = isinstance(content, dict) and all(isinstance(places, list) for places in content.values())
    if not valid:
        raise RavenError(f"{path} is broken; delete it, and name your own code again on a command line.")
    return dict(content)


def _is_known(reference: str) -> bool:
    places = [str(place) for place in _places(reference)]
    return bool(places) and places in _known().get(_module(reference), [])


def _is_in_trusted_folder(reference: str) -> bool:
    from ravenml.config.config import load_config  # pydantic comes with it

    folders = [Path(folder).expanduser().resolve() for folder in load_config().trusted_code]
    places = _places(reference)
    return bool(places) and all(any(place.is_relative_to(one) for one in folders) for place in places)
