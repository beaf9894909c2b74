"""Models and data from a bucket or the web to this machine: checked, once, however many processes ask."""

from __future__ import annotations

import fnmatch
import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ravenml.common.io import to_user_error
from ravenml.common.locks import exclusive_lock
from ravenml.common.permissions import make_folder
from ravenml.config.config import load_config
from ravenml.config.home import cache_dir
from ravenml.errors import InputError
from ravenml.store.base import Store
from ravenml.store.local_store import FolderStore
from ravenml.store.transfer import download, path_below


def fetch(uri: str, to: str | os.PathLike[str] | None = None, refresh: bool = False) -> Path:
    """Bring one file to this machine.

    What is there and whole is not fetched again: each call asks the server for the object's state alone, and
    a web server for nothing.  Processes that ask for the same file at once wait for the one that fetches it.

    Args:
        uri: ``s3://bucket/key``, ``s3://host:port/bucket/key``, ``https://…``, or a file (``file:///…`` or a
            path).
        to: where a library expects it: the file's path, or a folder (existing, or ending in ``/``);
            default: ravenML's cache, which may be deleted at any time.
        refresh: fetch it even if it is there.

    Returns:
        The file.  One in the cache is everybody's: do not write to it.

    Raises:
        InputError: there is no such object, or it is not an address.
        RavenError: it cannot be fetched, or differs from its checksum.
    """
    web = uri.startswith(("http://", "https://"))
    if web:
        from ravenml.store.web import fetch_from_web, web_file_name

        folder, name = uri, web_file_name(uri)
    else:
        folder, name = _split(uri)
    if to is None:
        target = _cached(folder) / name
    else:
        target = Path(to).absolute()
        if target.is_dir() or os.fspath(to).endswith(("/", os.sep)):
            target = target / name
    with _alone(target):
        if web:
            if refresh or not target.is_file():
                fetch_from_web(uri, target)
            return target
        store = _open(folder)
        if refresh:
            target.unlink(missing_ok=True)
        entry = store.head(name)
        if entry is None:
            if next(iter(store.list(f"{name}/")), None) is not None:
                raise InputError(f"{uri} is a folder; fetch it with ravenml.store.fetch_folder.")
            raise InputError(f"There is no {uri}.")
        download(store, {name: target}, {name: entry}, f"Fetching {name}")
    return target


def fetch_folder(uri: str, local_dir: str | os.PathLike[str] | None = None, match: str | None = None) -> Path:
    """Bring everything below a place in a bucket to this machine, like :func:`fetch`.

    Args:
        uri: ``s3://bucket/prefix``, ``s3://host:port/bucket/prefix``, or a folder.
        local_dir: where to; files that are there already stay.  Default: ravenML's cache.
        match: only files whose path below it looks like this, such as ``*.json``.

    Returns:
        The folder, in which the prefix's files lie with their paths below it.

    Raises:
        InputError: there is nothing below it, or it is not an address.
        RavenError: a file cannot be fetched, or differs from its checksum.
    """
    uri = uri.rstrip("/")
    store = _open(uri)
    target = Path(local_dir).absolute() if local_dir is not None else _cached(uri)
    with _alone(target):
        entries = {entry.key: entry for entry in store.list("") if fnmatch.fnmatch(entry.key, match or "*")}
        if not entries:
            raise InputError(f"There is nothing {f'like {match} ' if match else ''}below {uri}/.")
        targets = {key: path_below(target, key.lstrip("/"), uri) for key in entries}
        download(store, targets, entries, f"Fetching {uri.rpartition('/')[2]}")
        if local_dir is None and match is None:
            _remove_all_but(set(targets.values()), target)
    return target


def _split(uri: str) -> tuple[str, str]:
    folder, _, name = uri.rpartition("/")
    if uri.startswith("s3://") and (not name or folder in ("s3:/", "s3:")):
        raise InputError(f"{uri} names no file; write s3://bucket/key or s3://host:port/bucket/key.")
    if not name:
        raise InputError(f"{uri!r} names no file.")
    return folder or ".", name


def _open(place: str) -> Store:
    """The store whose keys begin below ``place``."""
    if "://" not in place or place.startswith("file://"):
        folder = Path(place.removeprefix("file://")).absolute()
        if not folder.is_dir():
            raise InputError(f"There is no folder {folder}.")
        return FolderStore(folder)
    from ravenml.store.address import parse_address
    from ravenml.store.s3 import Connection, S3Store

    address = parse_address(place, "fetch")
    return S3Store(address, Connection.of(load_config(), address), "the address")


def _cached(place: str) -> Path:
    server = "" if "://" not in place else load_config().endpoint_url or ""
    digest = hashlib.blake2b(f"{server} {place}".encode(), digest_size=10).hexdigest()
    return cache_dir() / "fetched" / digest


def _remove_all_but(kept: set[Path], folder: Path) -> None:
    """In the cache, what the bucket no longer has is removed."""
    for path in folder.rglob("*"):
        if path.is_file() and path not in kept and not path.name.startswith("."):
            path.unlink(missing_ok=True)


@contextmanager
def _alone(target: Path) -> Iterator[None]:
    """Let one process of this machine work on ``target`` at a time; the others wait."""
    locks = cache_dir() / "locks"
    digest = hashlib.blake2b(os.fsencode(os.path.realpath(target)), digest_size=10).hexdigest()
    try:
        make_folder(locks)
    except OSError as error:
        raise to_user_error(error, locks) from error
    with exclusive_lock(locks / digest):
        yield
