"""Keeping what a plugin wrote, and removing what is no longer needed: neither follows a link."""

from __future__ import annotations

import errno
import os
import shutil
import stat
from pathlib import Path

from ravenml.common.io import to_user_error
from ravenml.common.permissions import make_folder


def copy_folder(source: Path, target: Path) -> list[str]:
    """Copy a folder's regular files, without following a link; links, pipes and devices are left out.

    Returns:
        The files' names within, sorted.
    """
    files: list[str] = []
    try:
        make_folder(target)
        for folder, _, names, handle in os.fwalk(source, onerror=_raise_unless_missing):
            copy = target / Path(folder).relative_to(source)
            copy.mkdir(exist_ok=True)
            for name in names:
                if copy_file(name, copy / name, handle):
                    files.append((copy / name).relative_to(target).as_posix())
    except OSError as error:
        raise to_user_error(error, target) from error
    return sorted(files)


def copy_file(source: str | Path, target: Path, folder: int | None = None) -> bool:
    """Copy a regular file; whether it is one.

    It is opened before it is looked at: between a look and an opening, a program that still runs could put a
    link in its place.

    Args:
        source: the file.
        target: where to; its folder is there.
        folder: an open folder that ``source`` is relative to.

    Raises:
        OSError: it cannot be read, or the copy not be written.
    """
    try:
        file = os.open(source, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=folder)
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.ENXIO, errno.ENOENT):  # a link, a socket, or gone meanwhile
            return False
        raise
    with open(file, "rb") as reader:
        found = os.fstat(file)
        if not stat.S_ISREG(found.st_mode):
            return False
        with target.open("wb") as writer:
            shutil.copyfileobj(reader, writer, 1 << 20)
    os.chmod(target, stat.S_IMODE(found.st_mode) & 0o777)
    os.utime(target, ns=(found.st_atime_ns, found.st_mtime_ns))
    return True


def remove_links(folder: Path) -> None:
    """Remove the links in a folder, or the folder where it is a link itself.

    Raises:
        OSError: one may not be removed.
    """
    if folder.is_symlink():
        folder.unlink()
        return
    for _, folders, names, handle in os.fwalk(folder, onerror=_raise_unless_missing):
        for name in (*folders, *names):
            if stat.S_ISLNK(os.stat(name, dir_fd=handle, follow_symlinks=False).st_mode):
                os.unlink(name, dir_fd=handle)


def _raise_unless_missing(error: OSError) -> None:
    """A folder that cannot be read must not be missing from a copy without a word."""
    if not isinstance(error, FileNotFoundError):
        raise error


def keep_checkpoint(source: Path, target: Path) -> list[str]:
    """Copy a checkpoint's folder to ``target``, whole or not at all; one of the same name is replaced.

    Returns:
        The files' names within, sorted.
    """
    beside = target.with_name(f".{target.name}.part")
    remove_tree(beside)
    try:
        files = copy_folder(source, beside)
        remove_tree(target)
        beside.rename(target)
    except OSError as error:
        raise to_user_error(error, target) from error
    finally:
        remove_tree(beside)
    return files


def remove_tree(folder: Path) -> None:
    """Remove a folder if it is there; a link in it is removed, never what it points to.

    Raises:
        RavenError: something in it may not be removed.
    """
    try:
        if folder.is_symlink():
            folder.unlink()
        elif folder.exists():
            shutil.rmtree(folder)
    except OSError as error:
        raise to_user_error(error, Path(str(error.filename or folder))) from error
