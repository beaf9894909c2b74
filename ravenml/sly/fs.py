"""Files and folders, by paths as text."""

from __future__ import annotations

import base64
import hashlib
import os
import shutil
import tarfile
from collections.abc import Callable, Collection
from contextlib import suppress
from pathlib import Path

from ravenml.common.io import JsonObject

Filter = Callable[[str], bool]


def get_file_name(path: str) -> str:
    """A path's last part, without its extension."""
    return os.path.splitext(os.path.basename(path))[0]


def get_file_ext(path: str) -> str:
    """A path's extension, with the dot."""
    return os.path.splitext(path)[1]


def get_file_name_with_ext(path: str) -> str:
    """A path's last part."""
    return os.path.basename(path)


def list_dir_recursively(dir: str) -> list[str]:
    """All files in a folder and below, relative to it."""
    return [os.path.relpath(path, dir) for path in list_files_recursively(dir)]


def list_files_recursively(
    dir: str, valid_extensions: Collection[str] | None = None, filter_fn: Filter | None = None
) -> list[str]:
    """The files in a folder and below that have one of the extensions and pass the filter."""
    paths = (os.path.join(folder, name) for folder, _, names in os.walk(dir) for name in names)
    return _filtered(paths, valid_extensions, filter_fn)


def list_files(
    dir: str, valid_extensions: Collection[str] | None = None, filter_fn: Filter | None = None
) -> list[str]:
    """The files in a folder that have one of the extensions and pass the filter."""
    paths = (os.path.join(dir, entry.name) for entry in os.scandir(dir) if entry.is_file())
    return _filtered(paths, valid_extensions, filter_fn)


def _filtered(paths: object, extensions: Collection[str] | None, keep: Filter | None) -> list[str]:
    return [
        path
        for path in paths  # type: ignore[attr-defined]
        if (extensions is None or get_file_ext(path) in extensions) and (keep is None or keep(path))
    ]


def get_subdirs(dir_path: str) -> list[str]:
    """The names of the folders in a folder."""
    return [entry.name for entry in os.scandir(dir_path) if entry.is_dir()]


def mkdir(dir: str) -> None:
    """Make a folder with its parents, if it is not there."""
    os.makedirs(dir, exist_ok=True)


def ensure_base_path(path: str) -> None:
    """Make the folder that a path lies in, if it is not there."""
    if folder := os.path.split(path)[0]:
        mkdir(folder)


def copy_file(src: str, dst: str) -> None:
    """Copy a file's content; the folder is made."""
    ensure_base_path(dst)
    shutil.copyfile(src, dst)


def hardlink_or_copy_file(src: str, dst: str) -> None:
    """Give a file a second name, or copy it where that is not possible."""
    ensure_base_path(dst)
    try:
        os.link(src, dst)
    except OSError:
        copy_file(src, dst)


def hardlink_or_copy_tree(src: str, dst: str) -> None:
    """The same for a folder."""
    for folder, _, names in os.walk(src):
        inner = os.path.join(dst, os.path.relpath(folder, src))
        mkdir(inner)
        for name in names:
            hardlink_or_copy_file(os.path.join(folder, name), os.path.join(inner, name))


def dir_exists(dir: str) -> bool:
    """Whether a folder is there."""
    return os.path.isdir(dir)


def dir_empty(dir: str) -> bool:
    """Whether there is no file in a folder or below, or no folder."""
    return not any(names for _, _, names in os.walk(dir))


def file_exists(path: str) -> bool:
    """Whether a file is there."""
    return os.path.isfile(path)


def clean_dir(dir_: str) -> None:
    """Empty a folder; one that is not there is made."""
    remove_dir(dir_)
    mkdir(dir_)


def remove_dir(dir_: str) -> None:
    """Delete a folder, if it is there."""
    shutil.rmtree(dir_, ignore_errors=True)


def silent_remove(file_path: str) -> None:
    """Delete a file, if it is there."""
    with suppress(FileNotFoundError):
        os.remove(file_path)


def get_file_size(path: str) -> int:
    """A file's bytes."""
    return os.path.getsize(path)


def get_directory_size(dir_path: str) -> int:
    """The bytes of all files in a folder and below."""
    return sum(get_file_size(path) for path in list_files_recursively(dir_path))


def archive_directory(dir_: str, tar_path: str) -> None:
    """Write a tar file with what is in a folder, uncompressed."""
    with tarfile.open(tar_path, "w") as tar:
        tar.add(dir_, arcname=os.path.sep)


def get_bytes_hash(bytes: bytes) -> str:
    """The SHA-256 of some bytes, in base64."""
    return base64.b64encode(hashlib.sha256(bytes).digest()).decode()


def get_file_hash(path: str) -> str:
    """The SHA-256 of a file, in base64."""
    with open(path, "rb") as file:
        return base64.b64encode(hashlib.file_digest(file, "sha256").digest()).decode()


def touch(path: str) -> None:
    """Make an empty file, or give one that is there today's date; the folder is made."""
    ensure_base_path(path)
    Path(os.fsdecode(path)).touch()


def tree(dir_path: str) -> str:
    """What lies in a folder and below, a line for each file, with its bytes."""
    files = sorted(list_files_recursively(dir_path))
    return "".join(f"{os.path.relpath(path, dir_path)} ({get_file_size(path)})\n" for path in files)


def log_tree(dir_path: str, logger: object) -> None:
    """Log what lies in a folder and below."""
    extra: JsonObject = {"tree": tree(dir_path)}
    logger.info("DIRECTORY_TREE", extra=extra)  # type: ignore[attr-defined]
