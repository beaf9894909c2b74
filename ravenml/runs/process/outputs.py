"""Files that a program leaves in the folders that its user named are kept as the run's artifacts."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from ravenml.common.io import atomic_open, to_user_error
from ravenml.config.home import home
from ravenml.errors import InputError
from ravenml.runs import layout
from ravenml.runs.run import Run

SETTLED = 5.0  # seconds without a change after which a file is believed to be whole

State = tuple[int, int]  # size in bytes, time of the last change in nanoseconds


class Outputs:
    """The named folders, compared with what was in them before.

    Args:
        folders: they need not exist yet.
    """

    def __init__(self, folders: Sequence[Path]) -> None:
        self._folders = _name_folders(folders)
        self._known = {path: state for _, path, state in self._files()}

    def keep_settled(self, run: Run) -> None:
        """Copy what is new or has changed, and has not been written to for a moment."""
        self._keep(run, time.time_ns() - int(SETTLED * 1e9))

    def keep_all(self, run: Run) -> None:
        """Copy all that is new or has changed.

        Raises:
            RavenError: the disk is full, or a file cannot be read.
        """
        self._keep(run, None)

    def _keep(self, run: Run, before: int | None) -> None:
        for name, path, state in self._files():
            if self._known.get(path) == state or (before is not None and state[1] > before):
                continue
            if keep_file(run, path, name):
                self._known[path] = state

    def _files(self) -> Iterator[tuple[str, Path, State]]:
        for name, folder in self._folders.items():
            for path, state in walk_files(folder, lambda place: place == home().resolve()):
                yield f"{name}/{path.relative_to(folder).as_posix()}", path, state


def walk_files(folder: Path, skips: Callable[[Path], bool]) -> Iterator[tuple[Path, State]]:
    """The files at and below a folder, without links, and without the folders that ``skips`` says."""
    for parent, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if not skips(Path(parent, name))]
        for file in sorted(files):
            path = Path(parent, file)
            with suppress(OSError):
                if path.is_file() and not path.is_symlink():
                    found = path.stat()
                    yield path, (found.st_size, found.st_mtime_ns)


def keep_file(run: Run, path: Path, name: str) -> bool:
    """Copy a program's file to ``name`` among the run's artifacts; False where it is gone by now.

    Raises:
        RavenError: the disk is full, or the file cannot be read.
    """
    target = run.path / layout.ARTIFACTS / name
    try:
        with path.open("rb") as source, atomic_open(target) as file:
            shutil.copyfileobj(source, file, 1 << 20)
    except FileNotFoundError:
        return False  # a temporary file of something that still runs
    except OSError as error:
        raise to_user_error(error, path) from error
    run.artifact(target)
    return True


def _name_folders(folders: Sequence[Path]) -> dict[str, Path]:
    """Each folder under its own name; of two with the same name the second is called ``name_2``.

    Raises:
        InputError: one of them is a file.
    """
    named: dict[str, Path] = {}
    for folder in dict.fromkeys(folder.resolve() for folder in folders):
        if folder.exists() and not folder.is_dir():
            raise InputError(f"--output: {folder} is a file; name a folder.")
        name, number = folder.name or "root", 1
        while name in named:
            number += 1
            name = f"{folder.name}_{number}"
        named[name] = folder
    return named
