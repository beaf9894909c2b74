"""A model's file on its way from a browser: parts are put behind each other, no more than allowed."""

from __future__ import annotations

import os
import secrets
import time
from contextlib import suppress
from pathlib import Path

from ravenml.common.io import to_user_error
from ravenml.config.home import cache_dir
from ravenml.errors import InputError

PART = 16 << 20  # bytes of a part; the browser sends no larger ones
LIMIT = 16 << 30  # bytes of a file
_STALE = 86400.0  # seconds after which what was never stored is deleted
_keys: set[str] = set()  # of the pages that are open


def begin() -> str:
    """Make room for a file; its key, under which parts are taken."""
    folder = cache_dir() / "dashboard" / "uploads"
    folder.mkdir(parents=True, exist_ok=True)
    for left in folder.glob("*.tar"):
        with suppress(OSError):
            if time.time() - left.stat().st_mtime > _STALE:
                left.unlink()
    key = secrets.token_hex(16)
    _keys.add(key)
    return key


def path_of(key: str) -> Path:
    """Where the file of a key lies, once something was sent.

    Raises:
        InputError: there is no such key.
    """
    if key not in _keys:
        raise InputError("This upload is not known, or is over; open the page again.")
    return cache_dir() / "dashboard" / "uploads" / f"{key}.tar"


def add(key: str, at: int, content: bytes) -> int:
    """Put a part behind those that are there; the file's size then.

    Raises:
        InputError: it is not a part that follows, or the file becomes larger than allowed.
        RavenError: the disk is full.
    """
    path = path_of(key)
    if at == 0:  # another file was chosen
        clear(key)
    size = path.stat().st_size if path.exists() else 0
    if at != size:
        raise InputError(f"The upload continues at byte {size}, not at {at}; choose the file again.")
    if len(content) > PART or size + len(content) > LIMIT:
        raise InputError(f"A model's file has at most {LIMIT >> 30} GiB.")
    try:
        with open(path, "ab", opener=_private) as file:
            file.write(content)
    except OSError as error:
        raise to_user_error(error, path) from error
    return size + len(content)


def clear(key: str) -> None:
    """Delete what was sent; another file may be."""
    with suppress(InputError, OSError):
        path_of(key).unlink()


def forget(key: str) -> None:
    """Delete what was sent, and take nothing more."""
    clear(key)
    _keys.discard(key)


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)
