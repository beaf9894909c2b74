"""What an import wrote, so that a later one knows its own files from those that a person has changed.

`.import.jsonl` in the project has a line for each item before it is written: its dataset and name, the digest
of the annotation, and the size, inode and times of the image that was copied, if one was.  An interrupted
import leaves lines of both; whatever was ever written for an item is known as the import's own.
"""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Iterator
from pathlib import Path

import orjson

from ravenml.common.io import to_user_error, write_bytes
from ravenml.common.permissions import make_folder
from ravenml.data.layout import Item

JOURNAL = ".import.jsonl"
Stamp = tuple[int, ...]  # an image's size, inode, and times of change (nanoseconds)
Key = tuple[str, str]  # an item's dataset and name


class ImportJournal:
    """The journal of a project's imports; threads may share it.

    Raises:
        RavenError: the disk is full or may not be written.
    """

    def __init__(self, root: Path) -> None:
        self._path = root / JOURNAL
        self._digests: dict[Key, set[str]] = {}
        self._stamps: dict[Key, Stamp] = {}
        self._now: dict[Key, str] = {}  # the digests of this import
        self._lock = threading.Lock()
        try:
            lines = self._path.read_bytes().splitlines()
        except OSError:
            lines = []
        for line in lines:
            try:
                dataset, name, digest, stamp = orjson.loads(line)
                key = str(dataset), str(name)
                self._digests.setdefault(key, set()).add(str(digest))
                self._stamps[key] = tuple(map(int, stamp))
            except (ValueError, TypeError):  # a line that was cut off
                continue
        try:
            make_folder(root)
            self._file = open(self._path, "ab", buffering=0)  # noqa: SIM115 (until `close`)
        except OSError as error:
            raise to_user_error(error, self._path) from error
        if lines:
            self._file.write(b"\n")  # the last line may have been cut off

    def is_own(self, item: Item, annotation: bytes) -> bool:
        """Whether an import wrote this annotation, and nobody has changed it since."""
        return digest_of(annotation) in self._digests.get((item.dataset, item.name), ())

    def is_copied(self, item: Item, image: Path) -> bool:
        """Whether the item's image was copied from this very file as it is now."""
        return self._stamps.get((item.dataset, item.name)) == _stamp(image)

    def is_noted(self, item: Item) -> bool:
        """Whether this import has noted the item."""
        return (item.dataset, item.name) in self._now

    def note(self, item: Item, annotation: bytes) -> None:
        """Note the annotation that is written next."""
        key, digest = (item.dataset, item.name), digest_of(annotation)
        with self._lock:
            self._now[key] = digest
            if digest not in self._digests.get(key, ()):
                self._digests.setdefault(key, set()).add(digest)
                self._write(key, digest)

    def note_copied(self, item: Item, image: Path) -> None:
        """Note the image that was copied; not before it is."""
        key, stamp = (item.dataset, item.name), _stamp(image)
        with self._lock:
            if self._stamps.get(key) != stamp:
                self._stamps[key] = stamp
                self._write(key, self._now[key])

    def _write(self, key: Key, digest: str) -> None:
        try:
            self._file.write(self._line(key, digest))
        except OSError as error:
            raise to_user_error(error, self._path) from error

    def gone(self) -> Iterator[Key]:
        """The items that earlier imports wrote, and this one did not."""
        return (key for key in list(self._digests) if key not in self._now)

    def close(self, kept: set[Key] | None = None) -> None:
        """Close the journal.

        Args:
            kept: after a whole import: the items whose earlier lines stay; all others' are forgotten.
        """
        self._file.close()
        if kept is None:
            return
        lines = [self._line(key, digest) for key, digest in self._now.items()]
        for key in sorted(kept):
            lines += [self._line(key, digest) for digest in sorted(self._digests.get(key, ()))]
        write_bytes(self._path, b"".join(lines))

    def _line(self, key: Key, digest: str) -> bytes:
        return orjson.dumps([*map(_utf8, key), digest, self._stamps.get(key, ())]) + b"\n"


def digest_of(content: bytes) -> str:
    """A digest of an annotation's content."""
    return hashlib.sha256(content).hexdigest()[:32]


def _utf8(name: str) -> str:
    """A name as JSON can hold it; names that are not UTF-8 never become those of items."""
    return name.encode("utf-8", "replace").decode()


def _stamp(path: Path) -> Stamp:
    try:
        status = os.stat(path)
    except OSError:
        return ()
    return status.st_size, status.st_ino, status.st_mtime_ns, status.st_ctime_ns
