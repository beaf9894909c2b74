"""Decoding happens once: decoded images and masks rest on disk, keyed by content.

A file holds one item: a header of 64 bytes, the image, the mask; ready to be mapped.  Everything is
little-endian and raw: opening costs a page table, not a decoder.  The header holds a sum over all that
follows, so that a damaged file is noticed and made again.
"""

from __future__ import annotations

import contextlib
import hashlib
import mmap
import os
import struct
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from fnmatch import fnmatchcase
from pathlib import Path

import numpy as np

from ravenml.common.formatting import parse_bytes
from ravenml.common.io import write_cache
from ravenml.data.decoding import decode, decode_bytes
from ravenml.data.digests import Digests
from ravenml.data.problems import Notice, print_notice
from ravenml.data.project import Item, Project

_HEADER = struct.Struct("<8sIIIIQ")  # magic, height, width, bytes per mask pixel, 0, sum
_MAGIC = b"ravenDC1"
_HEADER_BYTES = 64
_TOUCH_AGAIN_S = 600.0  # how often a file in use is marked as such
_STALE_S = 3600.0  # a temporary file this old was left by a process that died


class DecodedCache:
    """Decoded items below ``root``, never more than ``max_bytes`` of them.

    A file's name is the digest of the image's bytes, the annotation's bytes and the project's classes:
    whatever changes, the old file is simply no longer asked for.  Files are written beside their place
    and renamed, so that any number of processes may share one cache.  What was least recently used goes
    first; but what this very cache object has used stays, so that a training on more data than fits
    keeps a part cached instead of pushing out all of it once an epoch.

    A disk that is full or may not be written turns only the writing off, with a notice.  ``max_bytes``
    0 turns the cache off.
    """

    def __init__(self, root: Path, max_bytes: int, notice: Notice = print_notice) -> None:
        self.root = Path(root)
        self.max_bytes = max_bytes
        self._notice = notice
        self._writing = max_bytes > 0
        self._prepare()

    def _prepare(self) -> None:
        self._digests: dict[Path, Digests] = {}
        self._used: dict[str, float] = {}  # file name -> when it was last marked as used
        self._total: int | None = None  # bytes on disk when last counted, plus what was written since
        self._uncounted = 0
        self._lock = threading.Lock()

    def __getstate__(self) -> dict[str, object]:
        """For data loaders' workers: where the cache is, without what this process remembers."""
        return {name: getattr(self, name) for name in ("root", "max_bytes", "_notice", "_writing")}

    def __setstate__(self, state: dict[str, object]) -> None:
        self.__dict__.update(state)
        self._prepare()

    def load(self, project: Project, item: Item) -> tuple[np.ndarray, np.ndarray]:
        """An item's image, uint8 RGB (height, width, 3), and mask (height, width) in project order.

        Both are read-only.  The mask is 0 for none and ``i + 1`` for ``project.classes[i]``; uint8, or
        uint16 from 256 classes on.

        Raises:
            DataProblem: one of the item's files is missing or broken; that is not cached.
        """
        if self.max_bytes <= 0:
            return _read_only(*decode(project, item))
        digests = self._digests_of(project)
        image_digest, annotation_digest = digests.get(item.image_path), digests.get(item.annotation_path)
        if image_digest and annotation_digest:
            found = self._find(self._name(project, image_digest, annotation_digest))
            if found is not None:
                return found
        image_content, image_digest = digests.compute(item.image_path)
        annotation_content, annotation_digest = digests.compute(item.annotation_path)
        name = self._name(project, image_digest, annotation_digest)
        found = self._find(name)
        if found is not None:
            return found
        image, mask = decode_bytes(project, item, image_content, annotation_content)
        self._store(name, image, mask)
        self._guarded(lambda: digests.save(at_least=512))
        return _read_only(image, mask)

    def warm(
        self,
        project: Project,
        items: Sequence[Item],
        threads: int,
        progress: Callable[[int, int], None] = lambda done, total: None,
    ) -> None:
        """Decode, in ``threads`` threads, those of the items that are not in the cache yet.

        ``progress`` is called with (done, total) after each.

        Raises:
            DataProblem: the first that an item has; the rest is left.
        """
        with ThreadPoolExecutor(max(threads, 1), thread_name_prefix="decode") as pool:
            waiting = [pool.submit(self._warm_one, project, item) for item in items]
            try:
                for done, future in enumerate(as_completed(waiting), 1):
                    future.result()
                    progress(done, len(items))
            except BaseException:
                pool.shutdown(wait=True, cancel_futures=True)
                raise
        if self.max_bytes > 0:
            self._guarded(lambda: self._digests_of(project).save())

    def digest(self, project: Project, threads: int, anew: bool = False) -> str:
        """What the project holds, as one SHA-256: `meta.json`, and each item's name, image and annotation.

        A file is read only if its size or time has changed since it was last read, by whomever; with ``anew``
        every file is.

        Raises:
            DataProblem: a file cannot be read.
        """
        digests = self._digests_of(project)

        def of(path: Path) -> str:
            return (None if anew else digests.get(path)) or digests.compute(path)[1]

        def line(item: Item) -> str:
            return f"{item.key}\0{of(item.image_path)}\0{of(item.annotation_path)}\n"

        whole = hashlib.sha256(f"meta.json\0{of(project.root / 'meta.json')}\n".encode())
        with ThreadPoolExecutor(max(threads, 1), thread_name_prefix="digest") as pool:
            for text in pool.map(line, project.items, chunksize=64):
                whole.update(text.encode(errors="surrogateescape"))
        self._guarded(digests.save)
        return whole.hexdigest()

    def image_digest(self, project: Project, item: Item) -> str:
        """The digest of an item's image file, which is read only if it has changed since the last time.

        Raises:
            DataProblem: it cannot be read.
        """
        digests = self._digests_of(project)
        digest = digests.get(item.image_path) or digests.compute(item.image_path)[1]
        self._guarded(lambda: digests.save(at_least=512))
        return digest

    def size(self) -> tuple[int, int]:
        """How many items the cache holds and how many bytes they take."""
        sizes = [status.st_size for _, status in self._files()]
        return len(sizes), sum(sizes)

    def clear(self) -> int:
        """Remove everything; the number of bytes freed.  Other processes go on by decoding."""
        freed = 0
        # Only what a cache writes, by name: whoever points it at a folder of his own loses nothing else.
        for path, status in (*self._entries("??", "*.raw"), *self._entries("digests", "*.json")):
            with contextlib.suppress(OSError):
                path.unlink()
                freed += status.st_size
        self._prepare()
        return freed

    def _warm_one(self, project: Project, item: Item) -> None:
        self.load(project, item)

    def _digests_of(self, project: Project) -> Digests:
        digests = self._digests.get(project.root)
        if digests is None:
            name = hashlib.sha256(str(project.root).encode()).hexdigest()[:16]
            path = self.root / "digests" / f"{name}.json"
            with self._lock:
                digests = self._digests.setdefault(project.root, Digests(path))
        return digests

    def _name(self, project: Project, image_digest: str, annotation_digest: str) -> str:
        key = hashlib.sha256(project.fingerprint + image_digest.encode() + annotation_digest.encode())
        return key.hexdigest()[:40]

    def _path(self, name: str) -> Path:
        return self.root / name[:2] / f"{name}.raw"

    def _find(self, name: str) -> tuple[np.ndarray, np.ndarray] | None:
        marked = self._used.get(name)
        path = self._path(name)
        # Once in a process the content is checked; from then on the file cannot change, only go.
        found = map_item(path, verify=marked is None)
        now = time.monotonic()
        if found is not None and (marked is None or now - marked > _TOUCH_AGAIN_S):
            self._used[name] = now
            with contextlib.suppress(OSError):  # a cache that may only be read still serves
                os.utime(path)
        return found

    def _store(self, name: str, image: np.ndarray, mask: np.ndarray) -> None:
        if not self._writing:
            return
        parts = pack_item(image, mask)
        needed = sum(memoryview(part).nbytes for part in parts)
        if not self._make_room(needed):
            return
        if self._guarded(lambda: write_cache(self._path(name), parts)):
            self._used[name] = time.monotonic()

    def _guarded(self, write: Callable[[], None]) -> bool:
        """Write, or turn writing off with a notice where the disk does not allow it."""
        if not self._writing:
            return False
        try:
            write()
        except OSError as error:
            with self._lock:
                first, self._writing = self._writing, False
            if first:
                reason = error.strerror or str(error)
                self._notice(
                    f"{self.root} cannot be written ({reason}), so images are decoded each time; "
                    "free some space, or set RAVENML_STORAGE_PATH to another disk."
                )
            return False
        return True

    def _make_room(self, needed: int) -> bool:
        """Remove the least recently used files until ``needed`` more bytes fit; False where they cannot."""
        with self._lock:
            # Other processes write too, so what they added is counted anew from time to time.
            if self._total is None or self._uncounted + needed > self.max_bytes // 16:
                self._total = sum(status.st_size for _, status in self._files())
                self._uncounted = 0
            if self._total is not None and self._total + needed > self.max_bytes:
                self._evict(self.max_bytes - needed)
            if self._total is None or self._total + needed > self.max_bytes:
                return False
            self._total += needed
            self._uncounted += needed
            return True

    def _evict(self, allowed: int) -> None:
        """Remove files that this object has not used, oldest use first, until ``allowed`` bytes are left."""
        files = sorted(self._files(), key=lambda file: file[1].st_mtime_ns)
        total = sum(status.st_size for _, status in files)
        # A little more than asked for, so that not every further file means looking through all.
        target = min(allowed, self.max_bytes - self.max_bytes // 32) if total > allowed else allowed
        for path, status in files:
            if total <= target:
                break
            if path.stem in self._used:
                continue
            try:
                path.unlink()
            except FileNotFoundError:
                pass
            except OSError:
                continue
            total -= status.st_size
        self._total = total
        self._uncounted = 0

    def _files(self) -> list[tuple[Path, os.stat_result]]:
        """The cached items; temporary files left by processes that died are removed on the way."""
        for path, status in self._entries("??", ".*.tmp"):
            if time.time() - status.st_mtime > _STALE_S:
                with contextlib.suppress(OSError):
                    path.unlink()
        return self._entries("??", "*.raw")

    def _entries(self, folders: str, names: str) -> list[tuple[Path, os.stat_result]]:
        """Files and their sizes and times; other processes may be removing some meanwhile."""
        found = []
        for folder in _scan(self.root, folders):
            for entry in _scan(folder, names):
                with contextlib.suppress(OSError):
                    found.append((Path(entry.path), entry.stat()))
        return found


def _scan(folder: Path | os.DirEntry[str], pattern: str) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return [entry for entry in entries if fnmatchcase(entry.name, pattern)]
    except OSError:
        return []


def default_cache(notice: Notice = print_notice) -> DecodedCache:
    """The cache below ravenML's home, as large as ``$RAVENML_CACHE_BYTES`` or the configuration allows.

    Raises:
        InputError: the variable is not a size, or the configuration is broken.
    """
    from ravenml.config.home import cache_dir

    return DecodedCache(cache_dir() / "decoded", _allowed_bytes(), notice)


def _allowed_bytes() -> int:
    said = os.environ.get("RAVENML_CACHE_BYTES")
    if said:
        return parse_bytes(said, "RAVENML_CACHE_BYTES")
    from ravenml.config.config import load_config

    return int(load_config().cache_gib * 1024**3)


def _read_only(image: np.ndarray, mask: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """As from a mapped file, so that code which writes into them fails at once and not the second time."""
    image.flags.writeable = False
    mask.flags.writeable = False
    return image, mask


def pack_item(image: np.ndarray, mask: np.ndarray) -> list[bytes | memoryview]:
    """The parts of the file that holds an image (height, width, 3) uint8 and a mask (height, width)."""
    height, width = mask.shape
    parts = [_padded(np.ascontiguousarray(image)), _padded(np.ascontiguousarray(mask))]
    total = sum(int(part.sum(dtype=np.uint64)) for part in parts) & 0xFFFFFFFFFFFFFFFF
    header = _HEADER.pack(_MAGIC, height, width, mask.itemsize, 0, total)
    return [header.ljust(_HEADER_BYTES, b"\0"), *(part.data for part in parts)]


def map_item(path: Path, verify: bool) -> tuple[np.ndarray, np.ndarray] | None:
    """Map a file that `pack_item` made: image and mask, read-only; None where it is absent or damaged.

    ``verify`` compares the sum, which reads the whole file once.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except OSError:
        return None
    try:
        length = os.fstat(descriptor).st_size
        if length < _HEADER_BYTES:
            return None
        content = mmap.mmap(descriptor, length, prot=mmap.PROT_READ)
    except (OSError, ValueError):
        return None
    finally:
        os.close(descriptor)
    magic, height, width, depth, _, total = _HEADER.unpack_from(content)
    pixels = height * width
    mask_at = _HEADER_BYTES + _round_up(3 * pixels)
    if magic != _MAGIC or depth not in (1, 2) or length != mask_at + _round_up(depth * pixels):
        return None
    if verify:
        words = np.frombuffer(content, np.uint64, offset=_HEADER_BYTES)
        if int(words.sum(dtype=np.uint64)) != total:
            return None
    image = np.frombuffer(content, np.uint8, 3 * pixels, _HEADER_BYTES).reshape(height, width, 3)
    kind = np.uint8 if depth == 1 else np.uint16
    return image, np.frombuffer(content, kind, pixels, mask_at).reshape(height, width)


def _round_up(length: int) -> int:
    return (length + 7) // 8 * 8


def _padded(array: np.ndarray) -> np.ndarray:
    """An array's bytes as whole 64-bit words, filled up with zeros."""
    raw = array.reshape(-1).view(np.uint8)
    missing = -raw.size % 8
    return (np.append(raw, np.zeros(missing, np.uint8)) if missing else raw).view(np.uint64)
