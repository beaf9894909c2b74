"""``StorageManager``: files at any address, to this machine and from it, under ClearML's names."""

from __future__ import annotations

import fnmatch
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ravenml.errors import InputError
from ravenml.task.names import ClearMLName

if TYPE_CHECKING:
    from ravenml.store.base import Store

_ARCHIVES = (".zip", ".tar", ".tgz", ".tar.gz", ".tar.bz2", ".tar.xz")


class StorageManager(ClearMLName):
    """Files at an address: ``s3://bucket/key``, ``s3://host:port/bucket/key``, ``https://…``, or a path.

    What is fetched lies in ravenML's cache, which may be deleted at any time: do not write to it.
    """

    @classmethod
    def get_local_copy(
        cls,
        remote_url: str | os.PathLike[str],
        cache_context: str | None = None,
        extract_archive: bool = True,
        name: str | None = None,
        force_download: bool = False,
    ) -> str:
        """Bring a file to this machine.

        Args:
            extract_archive: of a zip or tar, the folder with what is in it.
            name: means nothing here; files in the cache lie apart by their addresses.
            force_download: fetch it even if it is in the cache.

        Returns:
            The path of the file, or of the folder.

        Raises:
            InputError: there is nothing at the address.
            RavenError: it cannot be fetched, or is not the archive that it looks like.
        """
        from ravenml.store.fetching import fetch

        address = os.fspath(remote_url)
        if "://" in address:
            path = fetch(address, refresh=force_download)
        elif not (path := Path(address)).exists():
            raise InputError(f"get_local_copy: there is no {path}.")
        if extract_archive and path.name.lower().endswith(_ARCHIVES):
            from ravenml.task.artifacts import extract

            path = extract(path)
        return str(path)

    @classmethod
    def download_file(
        cls, remote_url: str, local_folder: str | None = None, overwrite: bool = False, **_: object
    ) -> str:
        """Bring a file into a folder, by default the working folder; what is there and whole stays."""
        from ravenml.store.fetching import fetch

        return str(fetch(remote_url, f"{local_folder or os.getcwd()}/", refresh=overwrite))

    @classmethod
    def download_folder(
        cls,
        remote_url: str,
        local_folder: str | None = None,
        match_wildcard: str | None = None,
        overwrite: bool = False,
        **_: object,
    ) -> str:
        """Bring all files below an address into a folder, by default the working folder.

        Args:
            match_wildcard: only those whose path below it looks like this, such as ``*.json``.
        """
        from ravenml.store.fetching import fetch_folder

        return str(fetch_folder(remote_url, local_folder or os.getcwd(), match_wildcard))

    @classmethod
    def upload_file(
        cls, local_file: str | os.PathLike[str], remote_url: str, wait_for_upload: bool = True, **_: object
    ) -> str:
        """Send a file to an address, and return the address.

        Raises:
            InputError: there is no such file, or nothing can be sent to the address.
            RavenError: it cannot be stored.
        """
        path = Path(local_file)
        if not path.is_file():
            raise InputError(f"upload_file: there is no file {path}.")
        store, key = _open(remote_url)
        store.put(key, path)
        return remote_url

    @classmethod
    def upload_folder(
        cls,
        local_folder: str | os.PathLike[str],
        remote_url: str,
        match_wildcard: str | None = None,
        **_: object,
    ) -> str:
        """Send the files of a folder to an address, and return the address.

        Args:
            match_wildcard: only those whose path in it looks like this, such as ``*.json``.

        Raises:
            InputError: there is no such folder, or nothing can be sent to the address.
            RavenError: a file cannot be stored.
        """
        from ravenml.store.transfer import upload

        folder = Path(local_folder)
        if not folder.is_dir():
            raise InputError(f"upload_folder: there is no folder {folder}.")
        store, prefix = _open(f"{remote_url.rstrip('/')}/.")
        prefix = prefix.removesuffix(".")
        names = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}
        chosen = {name: path for name, path in names.items() if fnmatch.fnmatch(name, match_wildcard or "*")}
        upload(store, {f"{prefix}{name}": path for name, path in chosen.items()}, prefix, "Storing")
        return remote_url

    @classmethod
    def list(
        cls, remote_url: str, return_full_path: bool = False, with_metadata: bool = False
    ) -> Sequence[object]:
        """The files below an address, by their paths below it.

        Args:
            return_full_path: by their addresses.
            with_metadata: each as ``{"name": …, "size": bytes, "modified": …}``.
        """
        store, prefix = _open(f"{remote_url.rstrip('/')}/.")
        prefix = prefix.removesuffix(".")
        above = f"{store.name}/{prefix}" if return_full_path else ""
        found = [(above + entry.key.removeprefix(prefix), entry) for entry in store.list(prefix)]
        if not with_metadata:
            return [name for name, _ in found]
        return [{"name": name, "size": entry.size, "modified": entry.modified} for name, entry in found]

    @classmethod
    def exists_file(cls, remote_url: str) -> bool:
        """Whether there is a file at an address of a bucket, or a path."""
        store, key = _open(remote_url)
        return store.head(key) is not None

    @classmethod
    def get_file_size_bytes(cls, remote_url: str, silence_errors: bool = False) -> int | None:
        """The size of the file at an address of a bucket, or a path; None where there is none."""
        store, key = _open(remote_url)
        entry = store.head(key)
        return None if entry is None else entry.size

    @classmethod
    def set_cache_file_limit(cls, cache_file_limit: int, cache_context: str | None = None) -> int:
        """The cache has no limit of files; it may be deleted at any time."""
        return cache_file_limit


def _open(address: str) -> tuple[Store, str]:
    """The store of an address, and the key in it."""
    from ravenml.task.uploader import open_uri

    if address.startswith(("http://", "https://")):
        raise InputError(f"{address} can be fetched, but nothing else; use s3://… or a folder.")
    folder, _, name = os.fspath(address).rpartition("/")
    if not name or folder in ("s3:/", "s3:"):
        raise InputError(f"{address!r} names no file.")
    if not address.startswith("s3://"):
        return open_uri(folder or "."), name
    return open_uri(folder), name
