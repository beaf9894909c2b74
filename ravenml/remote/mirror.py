"""A run's folder, mirrored to a store every two seconds: the worker's side.

What a checkpoint's event names is in the store before the event is: files go first, then the lines of
``events.jsonl`` that were there when the round began, then ``run.json`` as it was then, so that no record
tells of an end whose events are not there.  A store's objects cannot grow, so what grows goes in pieces: only
the last one is sent again.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

from ravenml.errors import RavenError
from ravenml.remote.layout import RemoteRun
from ravenml.runs import layout
from ravenml.store.base import Digest

_Stamp = tuple[int, int, int]  # a file's number, when it was changed, its size

PERIOD = 2.0  # seconds
PIECE = 256 << 10  # bytes
GROWING = (layout.EVENTS, layout.CONSOLE)
_LAST = (layout.RUN_JSON,)
_OURS = (layout.LOCK, layout.CONTROL, layout.HEARTBEAT)
_REST = 10  # a file that somebody is still writing rests this many times as long as sending it took


class Mirror:
    """Keeps a folder's copy in the store.

    Args:
        run: the run's part of the store.
        folder: the run's folder here; it need not exist yet.
        inside: what it is within the run: empty, or ``folds/0/``.
        without: parts of the folder that somebody else mirrors (``folds/``).
        check: is called before each writing; what it raises ends the round.
    """

    def __init__(
        self,
        run: RemoteRun,
        folder: Path,
        inside: str = "",
        without: tuple[str, ...] = (),
        check: Callable[[], None] = lambda: None,
    ) -> None:
        self.run, self.folder, self.inside, self.without, self.check = run, folder, inside, without, check
        self._sent: dict[str, _Stamp] = {}
        self._grown: dict[str, int] = {}
        self._rests: dict[str, float] = {}
        # Files as they surely are in the store: the one to copy where a second name turns up.
        self._whole: dict[_Stamp, tuple[str, Digest]] = {}
        self._copies = True

    def round(self, last: bool = False) -> None:
        """Send what has changed.

        Args:
            last: whether nobody writes there any more, so that nothing waits for a later round.

        Raises:
            RavenError: the store does not take it; the next round tries again.
        """
        if last:
            self._rests.clear()
        records = {name: self._stamp(name) for name in self._files() if Path(name).name in _LAST}
        grown = {name: size for name in self._growing() if (size := self._complete_size(name))}
        present = set(self._files())
        for name in sorted(present):
            if Path(name).name not in _LAST:
                self._send(name)
        for name, size in grown.items():
            self._grow(name, size)
        for name, stamp in sorted(records.items()):
            self._send_record(name, stamp)
        for name in self._sent.keys() - set(self._files()):
            self.check()
            self._changes(name)
            self.run.store.delete(self._key(name))
            del self._sent[name]

    def adopt(self) -> None:
        """Take for sent what was just restored from the store."""
        self._sent = {name: stamp for name in self._files() if (stamp := self._stamp(name)) is not None}
        self._grown = {name: (self.folder / name).stat().st_size for name in self._growing()}

    def _files(self) -> Iterator[str]:
        """The names of all files but what grows, is not whole yet, or is not a part of the run."""
        for above, folders, names in os.walk(self.folder):
            inner = os.path.relpath(above, self.folder)
            prefix = "" if inner == "." else f"{inner}/"
            folders[:] = [
                one
                for one in folders
                if not f"{prefix}{one}/".startswith(self.without or ("\0",))
                and not (one.startswith(".") and one.endswith(".tmp"))
            ]
            for name in names:
                hidden = name.startswith(".") or name.endswith(".tmp")
                if not hidden and name not in _OURS and name not in GROWING:
                    yield f"{prefix}{name}"

    def _growing(self) -> Iterator[str]:
        for path in self.folder.rglob("*"):
            name = path.relative_to(self.folder).as_posix()
            if path.name in GROWING and not name.startswith(self.without or ("\0",)):
                yield name

    def _complete_size(self, name: str) -> int:
        """The size of a growing file; of events, up to the last whole line."""
        try:
            with (self.folder / name).open("rb") as file:
                size = file.seek(0, os.SEEK_END)
                if not name.endswith(layout.EVENTS):
                    return size
                begin = self._grown.get(name, 0)
                file.seek(begin)
                return begin + file.read(size - begin).rfind(b"\n") + 1
        except OSError:
            return 0

    def _grow(self, name: str, size: int) -> None:
        sent = self._grown.get(name, 0)
        with (self.folder / name).open("rb") as file:
            while sent < size:
                begin = sent // PIECE * PIECE
                file.seek(begin)
                content = file.read(min(PIECE, size - begin))
                self.check()
                self.run.store.put_content(self.run.key(f"grow/{self.inside}{name}@{begin:012d}"), content)
                sent = begin + len(content)
                self._grown[name] = sent

    def _send(self, name: str) -> None:
        stamp, before = self._stamp(name), self._sent.get(name)
        if stamp is None or before == stamp:
            return
        # What is written once gets its name when it is whole, and with it a new number of its own.
        grows = before is not None and before[0] == stamp[0]
        began = time.monotonic()
        if grows and began < self._rests.get(name, 0.0):
            return
        self.check()
        try:
            self._put(name, stamp)
        except (RavenError, OSError):
            if self._stamp(name) == stamp:
                raise
            return  # it was removed, or is being written; the round goes on
        finally:
            ended = time.monotonic()
            self._rests[name] = ended + _REST * (ended - began)
        self._sent[name] = stamp

    def _send_record(self, name: str, stamp: _Stamp | None) -> None:
        """Send a record, unless it has changed since the round began: then the next round sends it."""
        if stamp is None or self._sent.get(name) == stamp:
            return
        with suppress(FileNotFoundError):
            content = (self.folder / name).read_bytes()
            if self._stamp(name) == stamp:
                self.check()
                self.run.store.put_content(self._key(name), content)
                self._sent[name] = stamp

    def _put(self, name: str, stamp: _Stamp) -> None:
        store = self.run.store
        self._changes(name)
        # The best weights are often the last ones too: one file with two names, sent once.
        if self._copies and stamp in self._whole:
            twin, content = self._whole[stamp]
            try:
                return store.copy(self._key(twin), self._key(name), content)
            except RavenError:
                self._copies = False  # a store that cannot do that gets everything
        content = store.put(self._key(name), self.folder / name)
        if self._stamp(name) == stamp:  # nobody has put another in its place meanwhile
            self._whole[stamp] = name, content

    def _changes(self, name: str) -> None:
        """Forget what the store has under this name: it is about to change."""
        before = self._sent.get(name)
        if before is not None and self._whole.get(before, ("",))[0] == name:
            del self._whole[before]

    def _key(self, name: str) -> str:
        return self.run.key(f"files/{self.inside}{name}")

    def _stamp(self, name: str) -> _Stamp | None:
        with suppress(OSError):
            found = os.stat(self.folder / name)
            return found.st_ino, found.st_mtime_ns, found.st_size
        return None
