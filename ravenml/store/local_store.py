"""The default store: a folder."""

from __future__ import annotations

import os
import tempfile
import threading
import time
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from ravenml.common.io import atomic_open, sweep_temporaries, to_user_error, write_bytes
from ravenml.common.permissions import follow_place, make_folder
from ravenml.errors import InputError, RavenError
from ravenml.store.base import Digest, Entry, Progress, no_progress
from ravenml.store.checksums import MIB, compute_crc, format_crc

_LINKED = MIB  # files from this size on are linked where the file system can
_GROWING = {".log", ".jsonl"}  # what may still be appended to is never linked


class FolderStore:
    """Files below one folder.

    Putting a large file makes a hard link where the file system can: ravenML replaces, and never changes,
    what it wrote.  Everything that is copied is read again and compared.

    Args:
        root: the folder; it need not exist yet.
        links: says of a key whether what is put there may be linked, because nobody writes to it any more.
    """

    def __init__(self, root: Path, links: Callable[[str], bool] = lambda key: True) -> None:
        self.root, self._links = root, links
        self._swept: set[Path] = set()

    @property
    def name(self) -> str:
        return str(self.root)

    def put(self, key: str, source: Path, progress: Progress = no_progress) -> Digest:
        target = self._path(key)
        try:
            size = source.stat().st_size
        except OSError as error:
            raise to_user_error(error, source) from error
        if target.parent not in self._swept:
            self._swept.add(target.parent)
            sweep_temporaries(target.parent, below=False)
        linked = size >= _LINKED and source.suffix not in _GROWING and self._links(key)
        # A link to a symbolic link would lead to where that leads, whatever becomes of it.
        if linked and not source.is_symlink() and _link(source, target):
            progress(size)
            return Digest(size, format_crc(compute_crc(target)))
        return _copy(source, target, progress)

    def put_content(self, key: str, content: bytes, progress: Progress = no_progress) -> Digest:
        write_bytes(self._path(key), content)
        progress(len(content))
        return Digest(len(content), format_crc(zlib.crc32(content)))

    def create(self, key: str, content: bytes) -> bool:
        target = self._path(key)
        beside = _temporary(target)
        write_bytes(beside, content)
        try:
            os.link(beside, target)
        except FileExistsError:
            return False
        except OSError as error:
            raise to_user_error(error, target) from error
        finally:
            beside.unlink(missing_ok=True)
        return True

    def get(
        self, key: str, target: Path, entry: Entry | None = None, progress: Progress = no_progress
    ) -> Digest:
        return _copy(self._existing(key), target, progress)

    def read(self, key: str) -> bytes:
        path = self._existing(key)
        try:
            return path.read_bytes()
        except OSError as error:
            raise to_user_error(error, path) from error

    def list(self, prefix: str = "") -> Iterator[Entry]:
        above = self.root / prefix.rpartition("/")[0]
        found = [Path(folder) / name for folder, _, names in os.walk(above) for name in names]
        for path in sorted(found):
            key = path.relative_to(self.root).as_posix()
            if key.startswith(prefix) and not path.name.startswith("."):
                try:
                    entry = _entry(key, path)
                except FileNotFoundError:
                    continue  # it was removed meanwhile
                yield entry

    def folders(self, below: str = "") -> Sequence[str]:
        folder = self.root / below
        if not folder.is_dir():
            return []
        return sorted(path.name for path in folder.iterdir() if path.is_dir())

    def head(self, key: str) -> Entry | None:
        path = self._path(key)
        try:
            return _entry(key, path) if path.is_file() else None
        except FileNotFoundError:
            return None

    def now(self) -> datetime:
        moment = time.time()
        # A folder of another machine has that machine's time; it may be one that we can only read.
        with suppress(OSError), tempfile.TemporaryFile(dir=self.root) as probe:
            probe.write(b"?")
            probe.flush()
            moment = os.fstat(probe.fileno()).st_mtime
        return datetime.fromtimestamp(moment, UTC)

    def same(self, entry: Entry, path: Path) -> bool:
        mine = self._path(entry.key)
        if not path.is_file() or path.stat().st_size != entry.size:
            return False
        return os.path.samefile(mine, path) or compute_crc(mine) == compute_crc(path)

    def copy(self, key: str, to: str, content: Digest) -> None:
        source, target = self._existing(key), self._path(to)
        if source.stat().st_size != content.size:
            raise RavenError(f"{source} is not what was put there.")
        if not _link(source, target):  # what is here is replaced, and never changed
            _copy(source, target, no_progress)

    def delete(self, key: str) -> None:
        path = self._path(key)
        try:
            path.unlink(missing_ok=True)
            for folder in path.parents:
                if folder == self.root or any(folder.iterdir()):
                    break
                folder.rmdir()
        except FileNotFoundError:
            return
        except OSError as error:
            raise to_user_error(error, path) from error

    def _path(self, key: str) -> Path:
        path = self.root / key
        if key.startswith("/") or ".." in path.parts:
            raise InputError(f"{key!r} leaves the store {self.root}; it is not a key.")
        return path

    def _existing(self, key: str) -> Path:
        path = self._path(key)
        if not path.is_file():
            raise RavenError(f"There is no {key} in {self.root}.")
        return path


def _entry(key: str, path: Path) -> Entry:
    found = path.stat()
    written = datetime.fromtimestamp(found.st_mtime, UTC)
    return Entry(key, found.st_size, written, f"{found.st_mtime_ns:x}-{found.st_size:x}")


def _link(source: Path, target: Path) -> bool:
    beside = _temporary(target)
    try:
        make_folder(target.parent)
        os.link(source, beside)
        with beside.open("rb") as file:
            follow_place(file.fileno(), target)
            os.fsync(file.fileno())  # who wrote it may not have waited for the disk
        os.replace(beside, target)
        beside.unlink(missing_ok=True)  # replacing a link by another link to the same file leaves both
    except OSError:  # another file system, or one without links
        beside.unlink(missing_ok=True)
        return False
    return True


def _copy(source: Path, target: Path, progress: Progress) -> Digest:
    """Copy, read what was written, and compare; the target is there whole or not at all."""
    crc, size = 0, 0
    try:
        with source.open("rb") as reader, atomic_open(target) as writer:
            while chunk := reader.read(MIB):
                crc = zlib.crc32(chunk, crc)
                size += len(chunk)
                writer.write(chunk)
                progress(len(chunk))
            writer.flush()
            if compute_crc(Path(writer.name)) != crc:
                raise RavenError(f"{target}: what was written is not what was read; check the disk.")
            found = source.stat()
            os.utime(writer.fileno(), ns=(found.st_atime_ns, found.st_mtime_ns))
    except OSError as error:
        raise to_user_error(error, target) from error
    return Digest(size, format_crc(crc))


def _temporary(target: Path) -> Path:
    return target.with_name(f".{target.name}.{os.getpid()}.{threading.get_ident()}.tmp")
