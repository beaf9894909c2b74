"""The models that a program saves, kept in its run's folder under ``artifacts/models``.

A file is kept by a hard link where the file system allows it, which takes no space and shows what a script
that writes over its own file wrote last; elsewhere by a copy.  Of checkpoints that the script itself removes
as it saves newer ones, only those that it left are kept.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from ravenml.common.io import atomic_open, to_user_error
from ravenml.common.permissions import make_folder

MODELS = "models"  # the folder's name among a run's artifacts, and below `output_uri`


class KeptModels:
    """The kept models of one run.

    Args:
        folder: where they are kept.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._sources: dict[str, Path] = {}

    def keep(self, path: Path) -> Iterator[tuple[str, Path]]:
        """Keep a file, or all files of a folder.

        Yields:
            The name of each file below ``folder``, and where the script wrote it.

        Raises:
            RavenError: the disk is full, or may not be written.
        """
        self._forget_removed(path)
        if not path.is_dir():
            yield self._keep(self._name(path), path)
            return
        name = self._name(path)
        for file in sorted(path.rglob("*")):
            if file.is_file() and not file.is_symlink():
                yield self._keep(f"{name}/{file.relative_to(path).as_posix()}", file)

    def sources(self) -> list[Path]:
        """Where the script wrote what is kept."""
        return list(self._sources.values())

    def _keep(self, name: str, source: Path) -> tuple[str, Path]:
        target = self._folder / name
        try:
            make_folder(target.parent)
            link_or_copy(source, target)
        except OSError as error:
            raise to_user_error(error, target) from error
        self._sources[name] = source
        return name, source

    def _name(self, path: Path) -> str:
        """The path's own name, with as many of its folders as tell it from others that have the same."""
        parts = path.parts
        names = ("/".join(parts[-count:]) for count in range(1, len(parts)))
        return next((name for name in names if self._is_free(name, path)), path.name)

    def _is_free(self, name: str, path: Path) -> bool:
        own = (source for kept, source in self._sources.items() if f"{kept}/".startswith(f"{name}/"))
        return all(source == path or source.is_relative_to(path) for source in own)

    def _forget_removed(self, newer: Path) -> None:
        """Let go of what the script has removed where it saves again: it rotates its checkpoints."""
        for name, source in list(self._sources.items()):
            if source.exists() or not _rotates(source, newer):
                continue
            del self._sources[name]
            with suppress(OSError):
                (self._folder / name).unlink()
                (self._folder / name).parent.rmdir()  # unless there is more in it


def link_or_copy(source: Path, target: Path) -> None:
    """Put a file at another place as well, by a hard link or else by a copy; what is there is replaced.

    Raises:
        OSError: neither can be done.
    """
    if target.exists() and os.path.samefile(source, target):
        return
    beside = target.with_name(f".{target.name}.{os.getpid()}.part")
    try:
        os.link(source, beside)
    except OSError:  # another file system, or one without hard links
        with source.open("rb") as reader, atomic_open(target) as file:
            shutil.copyfileobj(reader, file, 1 << 20)
    else:
        os.replace(beside, target)


def _rotates(removed: Path, newer: Path) -> bool:
    """Whether two checkpoints belong to one series: in one folder, or in folders beside each other."""
    if removed.parent == newer.parent:
        return True
    beside = {removed.parent.parent} & {newer.parent, newer.parent.parent}
    return not removed.parent.exists() and bool(beside - {Path(tempfile.gettempdir())})
