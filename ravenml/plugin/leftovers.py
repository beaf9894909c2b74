"""What a pip that was killed leaves behind: half-written distributions, and files that nobody owns.

pip writes a distribution's files first and, at the very end, a RECORD that names its own INSTALLER; while it
replaces or removes one it keeps the old files in folders whose names begin with ``~``.  A distribution has
files among the packages and scripts, and anywhere else below the environment, such as in ``share/man/man1``.
"""

from __future__ import annotations

import math
import os
import shutil
import sys
import sysconfig
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from importlib.metadata import Distribution
from pathlib import Path

from ravenml.plugin.distributions import name_and_version
from ravenml.plugin.environment import Environment

# Below the environment, but not written to by pip: conda's own, ravenML's journal, and what Python compiles.
_NOT_PIPS = {"conda-meta", "pkgs", "envs", "__pycache__"}
_LATE = 10.0  # seconds that the last sign of life may be older than the last file


def list_entries(environment: Environment) -> dict[str, list[str]]:
    """The names in the environment's folders, by folder: what is there before a change."""
    return {str(folder): sorted(names) for folder, names in _folders(environment)}


def list_owned(environment: Environment) -> dict[str, list[str]]:
    """The paths among :func:`list_entries` that belong to each distribution, by its name."""
    flat = tuple(f"{folder}{os.sep}" for folder in {environment.scripts, *environment.site})
    owned = {}
    for name in environment.distributions:
        tops: set[str] = set()
        for file in environment.files(name):
            start = next((start for start in flat if file.startswith(start)), None)
            if start is not None:
                tops.add(start + file[len(start) :].split(os.sep)[0])
            elif file.startswith(sys.prefix + os.sep):
                tops |= _with_parents([file])
        owned[name] = sorted(tops)
    return owned


def remove_leftovers(
    before: Mapping[str, Mapping[str, object]],
    entries: Mapping[str, list[str]],
    owned_before: Mapping[str, list[str]],
    until: float = math.inf,
) -> list[str]:
    """Remove half-written distributions, and new files that belong to no distribution.

    What belonged to a distribution that is gone, or has another version now, may go as well.

    Args:
        before: the distributions that were there before the change that was killed.
        entries: what :func:`list_entries` gave before it.
        owned_before: what :func:`list_owned` gave before it.
        until: the time of the last sign of life, in seconds since 1970; what came later is the user's.

    Returns:
        What was removed: distributions by name, files and folders by theirs.
    """
    removed = []
    for name, found in Environment().items():
        if not _as_before(name, found, before) and "/INSTALLER," not in (found.read_text("RECORD") or ""):
            info = Path(str(found.locate_file(""))) / getattr(found, "_path", Path()).name
            if info.suffix == ".dist-info":
                shutil.rmtree(info, ignore_errors=True)
                removed.append(name)
    environment = Environment()
    now = environment.distributions
    owned = _with_parents(file for name in now for file in environment.files(name))
    # metadata without a RECORD is still somebody's
    owned |= {os.path.normpath(str(getattr(one, "_path", ""))) for one in now.values()}
    stay = {name for name in owned_before if name in now and _as_before(name, now[name], before)}
    freed = {path for name, paths in owned_before.items() if name not in stay for path in paths}
    freed -= {path for name in stay for path in owned_before[name]}
    for folder, names in reversed(list(_folders(environment))):
        for name in sorted(names):
            path = folder / name
            if str(folder) not in entries or (name in entries[str(folder)] and str(path) not in freed):
                continue  # below a new folder, or there before
            if str(path) not in entries:
                removed += _remove_unowned(path, owned, until + _LATE)
            elif str(path) not in owned:  # a folder that was there, and has been looked through
                with suppress(OSError):
                    path.rmdir()
    return removed


def _as_before(name: str, found: Distribution, before: Mapping[str, Mapping[str, object]]) -> bool:
    return name in before and before[name]["version"] == name_and_version(found)[1]


def remove_empty(paths: Iterable[str], environment: Environment) -> None:
    """Remove files and folders in which pip has left nothing, and those above, such as ``share/man/man1``."""
    stay = {sys.prefix, *map(str, environment.site), str(environment.scripts)}
    for path in sorted(paths, key=len, reverse=True):
        with suppress(OSError):  # not empty
            while path.startswith(sys.prefix + os.sep) and path not in stay:
                if os.path.isdir(path):
                    os.rmdir(path)
                elif os.path.isfile(path) and not Path(path).read_bytes().strip():
                    os.unlink(path)
                path = os.path.dirname(path)


def _remove_unowned(path: Path, owned: set[str], until: float) -> list[str]:
    """Remove what nobody owns at or below ``path``; the names of what was removed, the topmost alone."""
    is_folder = path.is_dir() and not path.is_symlink()
    if str(path) not in owned and path.name.startswith("~"):  # what pip has put aside; its files are older
        shutil.rmtree(path, ignore_errors=True)
        return [path.name]
    if not is_folder:
        if str(path) in owned or path.lstat().st_ctime > until:
            return []
        with suppress(OSError):
            path.unlink()
        return [path.name]
    removed = []
    for child in sorted(path.iterdir()):
        if child.name != "__pycache__":
            removed += _remove_unowned(child, owned, until)
    if str(path) in owned:
        return removed
    if all(child.name == "__pycache__" for child in path.iterdir()):
        shutil.rmtree(path, ignore_errors=True)
        return [path.name]
    return removed


def _folders(environment: Environment) -> Iterator[tuple[Path, list[str]]]:
    """The folders that pip may write to, with the names of what lies there.

    Among the packages and scripts, that is the first level: below it, everything has an owner or none.
    """
    flat = {str(environment.scripts), *map(str, environment.site)}
    journal = str(Path(sys.prefix) / "share" / "ravenml")
    library = sysconfig.get_path("stdlib")
    for here, folders, files in os.walk(sys.prefix):
        folders[:] = [
            name
            for name in folders
            if name not in _NOT_PIPS and f"{here}{os.sep}{name}" not in (*flat, journal)
        ]
        if here == library:
            folders.clear()  # conda's Python
        yield Path(here), [*folders, *files]
    for folder in sorted(flat):
        if os.path.isdir(folder):
            yield Path(folder), [name for name in os.listdir(folder) if name != "__pycache__"]


def _with_parents(files: Iterable[str]) -> set[str]:
    """Paths, and all folders above them."""
    result: set[str] = set()
    for file in files:
        while file not in result and len(file) > 1:
            result.add(file)
            file = os.path.dirname(file)
    return result
