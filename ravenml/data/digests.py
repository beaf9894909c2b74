"""Digests of files, remembered as long as a file's size and time of change stay the same."""

from __future__ import annotations

import hashlib
import os
import threading
import time
from pathlib import Path

import orjson

from ravenml.common.io import write_cache
from ravenml.data.images import read_bytes

_RACY_NS = 2_000_000_000


class Digests:
    """The digests of one project's files, kept in memory and in a file beside the cache.

    The file is derived: two processes may write it at once (the last one wins), and a lost or broken
    one only means that digests are computed again, at the speed at which files are read.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._known: dict[str, tuple[int, int, str]] = {}
        self._unsaved = 0
        self._lock = threading.Lock()
        try:
            stored = orjson.loads(path.read_bytes())
            self._known = {name: (int(s), int(m), str(d)) for name, (s, m, d) in stored.items()}
        except (OSError, ValueError, TypeError, AttributeError):
            pass

    def get(self, path: Path) -> str | None:
        """The digest of a file that has not changed since it was last computed, else None.

        Raises nothing: an unreadable file has no digest.
        """
        known = self._known.get(str(path))
        if known is None:
            return None
        try:
            status = os.stat(path)
        except OSError:
            return None
        return known[2] if (status.st_size, status.st_mtime_ns) == known[:2] else None

    def compute(self, path: Path) -> tuple[bytes, str]:
        """Read a file: its content and its digest, which is remembered.

        Raises:
            DataProblem: the file cannot be read.
        """
        try:
            before = os.stat(path)
        except OSError:
            before = None
        content = read_bytes(path)
        digest = hashlib.sha256(content).hexdigest()[:32]
        # A file changed a moment ago may change once more within the clock's resolution and keep its size.
        if before is not None and time.time_ns() - before.st_mtime_ns > _RACY_NS:
            with self._lock:
                self._known[str(path)] = (before.st_size, before.st_mtime_ns, digest)
                self._unsaved += 1
        return content, digest

    def save(self, at_least: int = 1) -> None:
        """Write what is known, if at least so many digests are new.

        Raises:
            OSError: the disk is full or may not be written.
        """
        with self._lock:
            if self._unsaved < at_least:
                return
            self._unsaved = 0
            content = orjson.dumps(self._known)
        write_cache(self._path, [content])
