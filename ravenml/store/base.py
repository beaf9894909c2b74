"""What a store is: files by key, each checked by checksum on its way in and on its way out.

There are two: :class:`ravenml.store.local_store.FolderStore` and :class:`ravenml.store.s3.S3Store`.
:func:`ravenml.store.factory.open_store` makes the one that the configuration names.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Protocol

Progress = Callable[[int], None]  # takes the number of bytes just moved; negative if they must go again


def no_progress(count: int) -> None:
    """Nobody watches."""


@dataclass(frozen=True, slots=True)
class Entry:
    """An object as a listing shows it.

    Attributes:
        key: its name in the store, with ``/``.
        size: in bytes.
        modified: when it was written, with its time zone.
        etag: changes whenever the content does; what else it means is the store's own affair.
    """

    key: str
    size: int
    modified: datetime
    etag: str


@dataclass(frozen=True, slots=True)
class Digest:
    """What went over the line: the size in bytes and the CRC-32 (8 hexadecimal digits) of a content."""

    size: int
    crc32: str


class Store(Protocol):
    """Files by key.  Threads may share one.

    Every method raises :class:`ravenml.errors.RavenError` with a sentence that says what to do.
    """

    @property
    def name(self) -> str:
        """Where it is, as a person would write it: a folder, or ``s3://bucket/prefix``."""
        ...

    def put(self, key: str, source: Path, progress: Progress = no_progress) -> Digest:
        """Store a file under ``key``; what arrived is checked by checksum when this returns."""
        ...

    def put_content(self, key: str, content: bytes, progress: Progress = no_progress) -> Digest:
        """Store bytes under ``key``, checked; what was there is replaced."""
        ...

    def create(self, key: str, content: bytes) -> bool:
        """Store bytes under ``key`` if nothing is there yet; of several callers, just one gets True."""
        ...

    def get(
        self, key: str, target: Path, entry: Entry | None = None, progress: Progress = no_progress
    ) -> Digest:
        """Fetch an object into the file ``target``, whole and checked or not at all.

        Args:
            entry: the object as a listing showed it; large ones are then fetched in parts, and what a
                fetch before this one left is used.
        """
        ...

    def read(self, key: str) -> bytes:
        """A small object's content, checked."""
        ...

    def list(self, prefix: str = "") -> Iterator[Entry]:
        """Every object whose key begins with ``prefix``, sorted by key."""
        ...

    def folders(self, below: str = "") -> Sequence[str]:
        """The first parts of all keys that have more than one; of those below a folder, what comes behind."""
        ...

    def head(self, key: str) -> Entry | None:
        """One object, or None where there is none."""
        ...

    def now(self) -> datetime:
        """The time by the clock that sets :attr:`Entry.modified`, with its time zone."""
        ...

    def same(self, entry: Entry, path: Path) -> bool:
        """Whether the file has the object's content, found out without asking the store."""
        ...

    def copy(self, key: str, to: str, content: Digest) -> None:
        """Store what is under ``key`` under ``to`` as well, without sending it again.

        It is tried once, because who has the file can store it instead, and must where this raises.

        Args:
            content: what :meth:`put` said of ``key``; anything else is not copied for it.
        """
        ...

    def delete(self, key: str) -> None:
        """Remove an object; nothing happens where there is none."""
        ...
