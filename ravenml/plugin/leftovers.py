"""What a pip that was killed leaves behind: half-written distributions, and files that nobody owns.

pip writes a distribution's files first and, at the very end, a RECORD that names its own INSTALLER; while it
replaces or removes one it keeps the old files in folders whose names begin with ``~``.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path

from ravenml.plugin.environment import Environment


def list_entries(environment: Environment, leaving: Iterable[str]) -> dict[str, list[str]]:
    """The names in the folders of packages and scripts, by folder, that a change must leave where they are.

    What belongs to none but the distributions ``giving_way`` is left out: once they are gone, so may it be.
    """
    leaving = set(leaving) & environment.distributions.keys()
    gone = set().union(*(environment.files(name) for name in leaving)) if leaving else set()
    staying = set()
    for name in environment.distributions.keys() - leaving:
        staying |= environment.files(name)
    result = {}
    for folder in _folders(environment):
        tops_gone, tops_staying = _tops(gone, folder), _tops(staying, folder)
        names = os.listdir(folder) if folder.is_dir() else []
        result[str(folder)] = sorted(name for name in names if name not in tops_gone - tops_staying)
    return result


def remove_leftovers(
    environment: Environment, before: Mapping[str, Mapping[str, object]], entries: Mapping[str, list[str]]
) -> list[str]:
    """Remove half-written distributions, and files beside ``entries`` that belong to no distribution.

    Returns:
        What was removed: distributions by name, files and folders by theirs.
    """
    removed = []
    for name, found in environment.items():
        noted = before.get(name)
        is_new = noted is None or noted["version"] != found.version
        if is_new and "/INSTALLER," not in (found.read_text("RECORD") or ""):
            info = Path(str(found.locate_file(""))) / getattr(found, "_path", Path()).name
            if info.suffix == ".dist-info":
                shutil.rmtree(info, ignore_errors=True)
                removed.append(name)
    environment = Environment()
    owned: set[str] = set()
    for name in environment.distributions:
        for file in environment.files(name):
            while file not in owned and len(file) > 1:
                owned.add(file)
                file = os.path.dirname(file)
        # metadata without a RECORD is still somebody's
        owned.add(os.path.normpath(str(getattr(environment.distributions[name], "_path", ""))))
    for folder in _folders(environment):
        if str(folder) not in entries or not folder.is_dir():
            continue
        for name in sorted(set(os.listdir(folder)) - set(entries[str(folder)]) - {"__pycache__"}):
            removed += _remove_unowned(folder / name, owned)
    return removed


def remove_empty(folders: Iterable[str], environment: Environment) -> None:
    """Remove folders in which pip has left nothing, and those above them, such as ``share/man/man1``."""
    stay = {sys.prefix, *map(str, _folders(environment))}
    for folder in sorted(folders, key=len, reverse=True):
        with suppress(OSError):  # not empty
            while folder.startswith(sys.prefix + os.sep) and folder not in stay:
                if os.path.isdir(folder):
                    os.rmdir(folder)
                folder = os.path.dirname(folder)


def _remove_unowned(path: Path, owned: set[str]) -> list[str]:
    if str(path) not in owned:
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            with suppress(OSError):
                path.unlink()
        return [path.name]
    removed = []
    if path.is_dir() and not path.is_symlink():
        for child in sorted(path.iterdir()):
            if child.name != "__pycache__":
                removed += _remove_unowned(child, owned)
    return removed


def _folders(environment: Environment) -> list[Path]:
    return [*environment.site, environment.scripts]


def _tops(files: set[str], folder: Path) -> set[str]:
    start = f"{folder}{os.sep}"
    return {file[len(start) :].split(os.sep)[0] for file in files if file.startswith(start)}
