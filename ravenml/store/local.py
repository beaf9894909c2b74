"""Putting files into a folder: the default store, and the folders that users name with ``--local``."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Mapping
from pathlib import Path

from ravenml.errors import InputError, RavenError
from ravenml.files import explain, read_json, write_beside, write_json

MANIFEST = ".ravenml-files.json"


def check_destination(folder: Path, overwrite: bool) -> None:
    """Refuse, before any work is done, a folder that :func:`publish` would refuse.

    Raises:
        InputError: the folder is not empty and ``overwrite`` is off, or it holds nothing of ours.
    """
    if folder.exists() and not folder.is_dir():
        raise InputError(f"--local: {folder} is a file; name a folder.")
    if not folder.is_dir() or not any(folder.iterdir()):
        return
    if not overwrite:
        raise InputError(
            f"--local: {folder} is not empty; name another folder, or set `overwrite_local: true` in the "
            "file of `raven train -c` to replace what ravenML wrote there."
        )


def publish(files: Mapping[str, Path], folder: Path) -> None:
    """Put ``files`` into a folder of the user's, each whole or not at all; what we wrote there is replaced.

    A manifest in the folder remembers what is ours.  A file that is not, or that was changed since, is
    the user's and is never touched.

    Args:
        files: by name relative to ``folder`` (with ``/``), the file to copy.
        folder: made if need be.

    Raises:
        InputError: a name is taken by a file of the user's; nothing was written.
        RavenError: the disk is full or may not be written.
    """
    ours = _ours(folder)
    for name in files:
        target = folder / name
        if target.exists() and (name not in ours or _digest(target) != ours[name]):
            raise InputError(
                f"{target} was not written by ravenML (or was changed since); it is not replaced."
            )
    written: dict[str, str] = {}
    for name, source in files.items():
        written[name] = _copy(source, folder / name)
        write_json(folder / MANIFEST, {"v": 1, "files": ours | written})
    for name in ours.keys() - written.keys():
        stale = folder / name
        if stale.exists() and _digest(stale) == ours[name]:
            stale.unlink()
    write_json(folder / MANIFEST, {"v": 1, "files": written})


def put(files: Mapping[str, Path], folder: Path) -> None:
    """Put ``files`` into a folder that is ravenML's own: hard links where the file system can, else copies.

    The files must not be changed in place afterwards (ravenML replaces, and never changes, what it wrote).
    """
    for name, source in files.items():
        target = folder / name
        beside = target.with_name(f".{target.name}.{os.getpid()}.tmp")
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            os.link(source, beside)
            os.replace(beside, target)
        except OSError:  # another file system, or one without links
            _copy(source, target)


def _ours(folder: Path) -> dict[str, str]:
    if not (folder / MANIFEST).exists():
        return {}
    content = read_json(folder / MANIFEST)
    files = content.get("files") if isinstance(content, dict) else None
    if not isinstance(files, dict):
        raise RavenError(
            f"{folder / MANIFEST} is broken; remove it, and ravenML treats the folder's files as yours."
        )
    return {str(name): str(digest) for name, digest in files.items()}


def _copy(source: Path, target: Path) -> str:
    digest = hashlib.blake2b(digest_size=16)
    try:
        with source.open("rb") as reader, write_beside(target) as writer:
            while chunk := reader.read(1 << 20):
                digest.update(chunk)
                writer.write(chunk)
    except OSError as error:
        raise explain(error, target) from error
    shutil.copymode(source, target)
    return digest.hexdigest()


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=16)).hexdigest()
