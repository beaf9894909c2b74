"""Many files into a store or out of it, side by side, leaving out what is there and whole."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import FIRST_EXCEPTION, Executor, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any, TypeVar

from ravenml.common.io import sweep_temporaries
from ravenml.errors import RavenError
from ravenml.store.base import Digest, Entry, Store
from ravenml.store.checksums import compute_crc, format_crc
from ravenml.store.progress import Meter

K = TypeVar("K")
T = TypeVar("T")
THREADS = 10  # the time of small files is the line's


@dataclass
class Transferred:
    """What a transfer did.

    Attributes:
        files: size and CRC-32 of every file, by key.
        sent: how many went over the line.
        kept: how many were there already.
        summary: bytes and speed, in words.
    """

    files: dict[str, Digest] = field(default_factory=dict)
    sent: int = 0
    kept: int = 0
    summary: str = ""


def upload(
    store: Store,
    files: Mapping[str, Path],
    prefix: str,
    title: str,
    there: Mapping[str, Entry] | None = None,
) -> Transferred:
    """Store every file; what lies there with the same content is left as it is.

    Args:
        store: where to.
        files: by key.
        prefix: what all keys begin with; one listing of it tells what is there.
        title: stands before the progress bar.
        there: what is there, by key, where a listing was made just now.

    Raises:
        RavenError: a file cannot be stored; what was stored before stays, and a second call resumes.
    """
    if there is None:
        there = {entry.key: entry for entry in store.list(prefix)} if files else {}
    result = Transferred()
    with Meter(title, sum(path.stat().st_size for path in files.values())) as meter:

        def put(key: str) -> tuple[Digest, bool]:
            path, entry = files[key], there.get(key)
            if entry is not None and store.same(entry, path):
                meter(entry.size)
                return Digest(entry.size, format_crc(compute_crc(path))), False
            return store.put(key, path, meter), True

        for key, (digest, sent) in zip(files, map_in_threads(store, put, list(files)), strict=True):
            result.files[key] = digest
            result.sent += sent
            result.kept += not sent
        result.summary = meter.summary()
    return result


def download(
    store: Store,
    targets: Mapping[str, Path],
    entries: Mapping[str, Entry],
    title: str,
    expected: Mapping[str, Digest] | None = None,
) -> Transferred:
    """Fetch every object; files that are there and whole are not fetched again.

    Args:
        store: where from.
        targets: files by key.
        entries: the objects as a listing showed them, by key.
        title: stands before the progress bar.
        expected: size and CRC-32 that the metadata promises, by key.

    Raises:
        RavenError: an object is missing, differs from its checksum, or cannot be fetched.
    """
    missing = [key for key in targets if key not in entries]
    if missing:
        raise RavenError(f"{store.name} has no {missing[0]} and is incomplete; store it again.")
    if len(set(targets.values())) < len(targets):
        raise RavenError(f"{store.name} has two keys that are one file here, such as a//b and a/b.")
    _remove_orphans({path.parent for path in targets.values()})
    result = Transferred()
    with Meter(title, sum(entries[key].size for key in targets)) as meter:

        def get(key: str) -> bool:
            entry, target = entries[key], targets[key]
            if store.same(entry, target):
                meter(entry.size)
                return False
            digest, promised = store.get(key, target, entry, meter), (expected or {}).get(key)
            if promised is not None and promised != digest:
                target.unlink(missing_ok=True)
                raise RavenError(
                    f"{store.name}: {key} is not what its metadata describes; it was replaced or is broken."
                )
            return True

        for key, sent in zip(targets, map_in_threads(store, get, list(targets)), strict=True):
            result.sent += sent
            result.kept += not sent
            result.files[key] = Digest(entries[key].size, "")
        result.summary = meter.summary()
    return result


def path_below(folder: Path, key: str, place: str) -> Path:
    """Where what has the key ``key`` in a store, or below a part of it, lies in a folder of this machine.

    Args:
        place: where the key comes from; for the sentence.

    Raises:
        RavenError: it would leave the folder, or can be no file's name.
    """
    path = PurePosixPath(key)
    leaves = path.is_absolute() or ".." in path.parts or not path.parts
    if leaves or "\0" in key or any("\ud800" <= letter <= "\udfff" for letter in key):
        why = "leaves its folder" if leaves else "is not a possible file name"
        raise RavenError(f"{place} has a key that {why}, {key!a:.200}; nothing was fetched.")
    return folder / path


def _remove_orphans(folders: Iterable[Path]) -> None:
    """Remove what fetches that were killed have left beside their targets: ``.<name>.<process>.tmp``."""
    for folder in folders:
        sweep_temporaries(folder, below=False)  # of the journals of large ones
        for path in folder.glob(".*.tmp") if folder.is_dir() else ():
            process = path.name.split(".")[-2]
            if process.isdigit() and not Path(f"/proc/{process}").exists() and Path("/proc/self").exists():
                path.unlink(missing_ok=True)


def map_in_threads(store: Store, work: Callable[[str], T], keys: Sequence[str]) -> list[T]:
    """Call ``work`` for every key, side by side; the first failure keeps the rest from beginning.

    Ctrl-C does too, and lets no thread repeat or begin a request.
    """
    if len(keys) <= 1:
        return [work(key) for key in keys]
    with ThreadPoolExecutor(min(THREADS, len(keys)), thread_name_prefix="files") as pool:
        return map_in_pool(pool, store, work, keys, hasty=True)


def map_in_pool(
    pool: Executor, store: object, work: Callable[[K], T], items: Iterable[K], hasty: bool = False
) -> list[T]:
    """Call ``work`` for every item in the pool's threads; the first failure keeps the rest from beginning.

    Args:
        hasty: whether a failure also lets no thread repeat or send a request of the store's; Ctrl-C always
            does.
    """
    retries: Any = getattr(store, "retry", None)
    waiting: list[Future[T]] = [pool.submit(work, item) for item in items]
    try:
        wait(waiting, return_when=FIRST_EXCEPTION)
        for one in waiting:
            if one.done():
                one.result()
        return [one.result() for one in waiting]
    except BaseException as error:
        if stops := retries is not None and (hasty or not isinstance(error, Exception)):
            retries.stop()
        for one in waiting:
            one.cancel()
        # A future that was cancelled counts as done only when a thread comes by it, after others' work.
        wait([one for one in waiting if not one.cancelled()])
        if stops:
            retries.resume()
        raise
