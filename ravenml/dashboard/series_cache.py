"""What was read of a long events file, in one file of the cache: columns of numbers instead of lines of text.

It counts only for the very file that it was made from, up to the byte that it names; a file that grew is read
on from there.  A lost or broken one costs time only.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import orjson

from ravenml.common.io import write_cache
from ravenml.config.home import cache_dir
from ravenml.dashboard.metric_column import MetricColumn

_FORMAT = 1
_PROBE = 4096  # bytes before the end of what was read, by which another content is found out


def identity(path: Path) -> tuple[int, ...]:
    """What tells a file from another in its place: inode, size, time of change; empty if there is none."""
    try:
        found = path.stat()
    except OSError:
        return ()
    return found.st_ino, found.st_size, found.st_mtime_ns


def load(path: Path, now: tuple[int, ...]) -> tuple[dict[str, MetricColumn], int] | None:
    """The columns of an events file and up to which byte they hold; None where nothing usable is known.

    Args:
        path: the events file.
        now: its :func:`identity`.
    """
    try:
        content = _place(path).read_bytes()
        head, _, body = content.partition(b"\n")
        known: dict[str, Any] = orjson.loads(head)
        inode, size, changed = known["identity"]
        end = int(known["end"])
        same = inode == now[0] and (now[1] > size or (now[1], now[2]) == (size, changed))
        if known["format"] != _FORMAT or not same or known["probe"] != _probe(path, end):
            return None
        return _columns(known["columns"], body), end
    except (OSError, ValueError, KeyError, TypeError):
        return None


def save(path: Path, now: tuple[int, ...], columns: Mapping[str, MetricColumn], end: int) -> None:
    """Remember the columns of an events file that was read up to the byte ``end``."""
    parts: list[bytes | memoryview] = []
    listed = []
    for name, column in columns.items():
        for array in column.as_arrays():
            parts.append(np.ascontiguousarray(array).data.cast("B") if column.size else b"")
        listed.append([name, column.unit, column.size])
    head = {
        "format": _FORMAT,
        "identity": now,
        "end": end,
        "probe": _probe(path, end),
        "columns": listed,
    }
    with suppress(OSError, TypeError, ValueError):  # a home that may only be read is shown all the same
        write_cache(_place(path), [orjson.dumps(head) + b"\n", *parts])


def _columns(listed: list[Any], body: bytes) -> dict[str, MetricColumn]:
    columns: dict[str, MetricColumn] = {}
    place = 0
    for name, unit, size in listed:
        values = np.frombuffer(body, np.float64, 2 * size, place)
        origin = np.frombuffer(body, np.int64, 2 * size, place + values.nbytes)
        columns[name] = MetricColumn.from_arrays(unit, values.reshape(2, size), origin.reshape(2, size))
        place += values.nbytes + origin.nbytes
    if place != len(body):
        raise ValueError("the file is torn")
    return columns


def _probe(path: Path, end: int) -> str:
    with path.open("rb") as file:
        begin = max(0, end - _PROBE)
        return hashlib.sha256(os.pread(file.fileno(), end - begin, begin)).hexdigest()


def _place(path: Path) -> Path:
    """One file per events file, by its path."""
    digest = hashlib.sha256(os.fsencode(path.absolute())).hexdigest()[:32]
    return cache_dir() / "series" / f"{digest}.bin"
