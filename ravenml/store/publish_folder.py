"""Putting a result into a folder that the user names with ``--local``."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Collection, Mapping
from pathlib import Path

from ravenml.common.io import (
    JsonObject,
    atomic_open,
    read_json,
    resolve_inside,
    sweep_temporaries,
    to_user_error,
    write_json,
)
from ravenml.common.permissions import make_folder
from ravenml.errors import InputError, RavenError

MANIFEST = ".ravenml-files.json"


def check_destination(
    folder: Path, overwrite: bool, run_id: str | None = None, usual: Collection[str] = ()
) -> None:
    """Refuse, before any work is done, a folder that is the user's own.

    Args:
        folder: it is made if need be, so that a place that may not be written is noticed now.
        overwrite: whether what we wrote there earlier may be replaced.
        run_id: a run that is resumed; the folder may hold what was already stored of it.
        usual: names of files that every result has, which must not be taken by the user's own.

    Raises:
        InputError: the folder is a file, or holds something and ``overwrite`` is off.
        RavenError: it may not be written.
    """
    if folder.exists() and not folder.is_dir():
        raise InputError(f"--local: {folder} is a file; name a folder.")
    try:
        make_folder(folder)
    except OSError as error:
        raise to_user_error(error, folder) from error
    if not os.access(folder, os.W_OK | os.X_OK):
        raise RavenError(f"--local: {folder} is not writable; choose another folder.")
    sweep_temporaries(folder, below=False)  # what a kill has left there is not the user's
    if overwrite:
        _refuse_taken([name for name in usual if (folder / name).is_file()], folder)
    if overwrite or not any(folder.iterdir()):
        return
    if run_id is None or _manifest(folder).get("run") != run_id:
        raise InputError(
            f"--local: {folder} is not empty; name another folder, or set `overwrite_local: true` in the "
            "file of `raven train -c` to replace what ravenML wrote there."
        )


def publish(files: Mapping[str, Path], folder: Path, run_id: str) -> None:
    """Put ``files`` into a folder of the user's, each whole or not at all; what we wrote there is replaced.

    A manifest in the folder remembers what is ours, by digest, from before the first file is written: a
    process that is killed leaves nothing that the next one would take for the user's.  A file that is not
    ours, or that was changed since, is never touched.

    Args:
        files: by name relative to ``folder`` (with ``/``), the file to copy.
        folder: made if need be.
        run_id: the run that they come from.

    Raises:
        InputError: a name is taken by a file of the user's; nothing was written.
        RavenError: the disk is full or may not be written.
    """
    ours: dict[str, list[str]] = _manifest(folder).get("files", {})
    _refuse_taken([name for name in files if (folder / name).exists()], folder)
    new = {name: [_digest(source)] for name, source in files.items()}
    both = {name: [*ours.get(name, []), *new.get(name, [])] for name in ours | new}
    write_json(folder / MANIFEST, {"v": 1, "run": run_id, "files": both})
    for place in {folder, *((folder / name).parent for name in files)}:
        sweep_temporaries(place, below=False)
    for name, source in files.items():
        _copy(source, folder / name)
    for name in ours.keys() - new.keys():
        stale = folder / name
        if stale.exists() and _digest(stale) in ours[name]:
            stale.unlink()
    write_json(folder / MANIFEST, {"v": 1, "run": run_id, "files": new})


def published_by(folder: Path) -> str | None:
    """The run whose result :func:`publish` has put into the folder; None where there is none.

    Raises:
        RavenError: the folder's manifest is broken.
    """
    run = _manifest(folder).get("run")
    return run if isinstance(run, str) else None


def remove_published(folder: Path, run_id: str) -> int:
    """Remove what :func:`publish` has put there of this run, and nobody has changed since; its metadata
    first, and the manifest last, so that a second call goes on where a first one was interrupted.

    Returns:
        How many files there were.

    Raises:
        RavenError: one of them cannot be removed.
    """
    manifest = _manifest(folder)
    if manifest.get("run") != run_id:
        return 0
    names = sorted(manifest["files"], key=lambda name: (name != "metadata.json", name))
    ours = [name for name in names if resolve_inside(folder, name) is not None]
    ours = [name for name in ours if _digest(folder / name) in manifest["files"][name]]
    try:
        for path in [*(folder / name for name in ours), folder / MANIFEST]:
            path.unlink(missing_ok=True)
            for above in path.parents:
                if above == folder.parent or any(above.iterdir()):
                    break
                above.rmdir()
    except OSError as error:
        raise to_user_error(error, folder) from error
    return len(ours)


def _refuse_taken(names: Collection[str], folder: Path) -> None:
    """Raise where one of these files in ``folder`` is the user's own."""
    ours: dict[str, list[str]] = _manifest(folder).get("files", {})
    for name in names:
        if _digest(folder / name) not in ours.get(name, []):
            raise InputError(
                f"{folder / name} was not written by ravenML (or was changed since), and is not replaced; "
                "move it away, or name another folder with --local."
            )


def _manifest(folder: Path) -> JsonObject:
    if not (folder / MANIFEST).exists():
        return {}
    content = read_json(folder / MANIFEST)
    if not isinstance(content, dict) or not isinstance(content.get("files"), dict):
        raise RavenError(
            f"{folder / MANIFEST} is broken; remove it, and ravenML treats the folder's files as yours."
        )
    return content


def _copy(source: Path, target: Path) -> None:
    try:
        with source.open("rb") as reader, atomic_open(target) as writer:
            shutil.copyfileobj(reader, writer, 1 << 20)
    except OSError as error:
        raise to_user_error(error, target) from error
    shutil.copymode(source, target)


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=16)).hexdigest()
