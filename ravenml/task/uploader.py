"""Files that go to a task's ``output_uri`` while the script works on."""

from __future__ import annotations

import itertools
import queue
import re
import shutil
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from ravenml.common.io import to_user_error
from ravenml.common.permissions import make_folder
from ravenml.errors import InputError, RavenError

if TYPE_CHECKING:
    from ravenml.store.base import Store

PLACE = ".sending"  # in the run's folder: what was copied and is not sent yet


def open_uri(uri: str) -> Store:
    """The store that an ``output_uri`` names: ``s3://…``, ``file:///…`` or a folder.

    Raises:
        InputError: it is none of them.
    """
    if uri.startswith("s3://"):
        from ravenml.config.config import load_config
        from ravenml.store.address import parse_address
        from ravenml.store.s3 import Connection, S3Store

        address = parse_address(uri, "output_uri")
        return S3Store(address, Connection.of(load_config(), address), "output_uri")
    if "://" in uri and not uri.startswith("file://"):
        raise InputError(f"output_uri: {uri} is neither s3://… nor a folder.")
    from ravenml.store.local_store import FolderStore

    return FolderStore(Path(uri.removeprefix("file://")).absolute())


class Uploader:
    """Sends files in a thread of its own; the script waits for a local copy alone.

    Of several versions of a file that wait, only the newest is sent.

    Args:
        uri: where to.
        prefix: what all keys begin with.
        folder: the run's.
        sent: is told the name, the address and the size in bytes of what has arrived.
    """

    def __init__(self, uri: str, prefix: str, folder: Path, sent: Callable[[str, str, int], None]) -> None:
        self.uri = uri
        self._store = open_uri(uri)
        self._prefix, self._place, self._sent = prefix, folder / PLACE, sent
        self._waiting: dict[str, Path] = {}
        self._names: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._numbers = itertools.count()
        self._thread = threading.Thread(target=self._work, name="output_uri", daemon=True)
        self._thread.start()

    def send(self, name: str, path: Path) -> None:
        """Send the file as it is now, under ``name``."""
        copy = self._place / f"{next(self._numbers)}-{path.name}"
        try:
            make_folder(copy.parent)
            shutil.copyfile(path, copy)
        except OSError as error:  # no reason to end the script, which has its file
            with suppress(OSError):
                copy.unlink(missing_ok=True)
            print(f"Warning: {name} is not sent to {self.uri}: {to_user_error(error, copy)}", file=sys.stderr)
            return
        with self._lock:
            older, self._waiting[name] = self._waiting.get(name), copy
        if older is None:
            self._names.put(name)
        else:
            older.unlink(missing_ok=True)

    def finish(self) -> None:
        """Wait until all has been sent."""
        if self._thread.is_alive():
            if self._waiting:
                print(f"Sending {len(self._waiting)} files to {self.uri}.", file=sys.stderr)
            self._names.put(None)
            self._thread.join()
        shutil.rmtree(self._place, ignore_errors=True)

    def _work(self) -> None:
        while (name := self._names.get()) is not None:
            with self._lock:
                copy = self._waiting.pop(name)
            try:
                digest = self._store.put(f"{self._prefix}/{name}", copy)
                self._sent(name, f"{self._store.name}/{self._prefix}/{name}", digest.size)
            except (RavenError, OSError) as error:
                print(f"Warning: {name} could not be sent to {self.uri}: {error}", file=sys.stderr)
            finally:
                copy.unlink(missing_ok=True)


def key_part(text: str) -> str:
    """A name as part of a key."""
    return re.sub(r"[^\w.-]+", "_", text).strip("._") or "_"
