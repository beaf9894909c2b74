"""Writing files so that a process killed at any instant leaves nothing half-written.

`read_json` is that of `ravenml.common.parsing`.
"""

from __future__ import annotations

import errno
import itertools
import json
import math
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO

from ravenml.common.parsing import read_json as read_json
from ravenml.errors import RavenError
from ravenml.renamed import former_names

__getattr__ = former_names(
    __name__,
    {
        "explain": "to_user_error",
        "plain": "to_jsonable",
        "write_beside": "atomic_open",
        "write_derived": "write_cache",
    },
)

# In a training's environment: a folder whose files nobody looks for after a power cut, so that it need not
# wait for the disk there.  One that was sent away writes into such a folder; what counts is its mirror.
SCRATCH = "RAVENML_SCRATCH"

JsonObject = dict[str, Any]  # what a JSON object becomes; its values are what JSON knows

_numbers = itertools.count()
_NON_FINITE = {math.inf: "Infinity", -math.inf: "-Infinity"}


@contextmanager
def atomic_open(path: Path) -> Iterator[BinaryIO]:
    """Open a temporary file in the folder of ``path``; rename it to ``path`` when the block ends well.

    Folders are made.  If the block raises, the temporary file is removed and ``path`` is untouched.  When it
    has its name it is on the disk, except in a worker's :data:`SCRATCH` folder.

    Raises:
        RavenError: the disk is full or the folder may not be written.
    """
    # Short whatever the name: file systems limit a name's length, and ours must not be what exceeds it.
    temporary = path.with_name(f".{os.getpid()}-{next(_numbers)}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with temporary.open("wb") as file:
            yield file
            file.flush()
            if not is_scratch(path):
                os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError as error:
        raise to_user_error(error, path) from error
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


def is_scratch(path: Path) -> bool:
    """Whether ``path`` is in a worker's :data:`SCRATCH` folder."""
    folder = os.environ.get(SCRATCH)
    return bool(folder) and path.is_relative_to(str(folder))


def to_user_error(error: OSError, path: Path) -> RavenError:
    """Turn an operating system's error about ``path`` into a sentence that says what to do."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return RavenError(f"{path}: the disk is full; free some space and start again.")
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return RavenError(f"{path} is not writable; choose another folder.")
    return RavenError(f"{path}: {error.strerror or error}.")


def write_bytes(path: Path, content: bytes) -> None:
    """Write ``content`` to ``path``, whole or not at all."""
    with atomic_open(path) as file:
        file.write(content)


def write_cache(path: Path, parts: list[bytes] | list[bytes | memoryview]) -> None:
    """Write a file beside its place and rename it, safe for many threads and processes.

    Unlike :func:`atomic_open` it does not wait for the disk: what is written here is checked
    when it is read, and made again when it is damaged.

    Raises:
        OSError: the disk is full or may not be written; nothing is left behind.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.{next(_numbers)}.tmp")
    try:
        try:
            file = temporary.open("wb", buffering=0)
        except FileNotFoundError:
            path.parent.mkdir(parents=True, exist_ok=True)
            file = temporary.open("wb", buffering=0)
        with file:
            for part in parts:
                view = memoryview(part).cast("B")
                while view:
                    view = view[file.write(view) :]
        os.replace(temporary, path)
    except BaseException:
        with suppress(OSError):
            temporary.unlink()
        raise


def write_json(path: Path, value: object) -> None:
    """Write ``value`` as indented JSON, whole or not at all.

    Raises:
        RavenError: a value has no form in JSON; the sentence names its place.
    """
    content = json.dumps(to_jsonable(value, path.name), indent=2, ensure_ascii=False, allow_nan=False)
    write_bytes(path, (content + "\n").encode(errors="surrogateescape"))


def to_jsonable(value: object, place: str) -> Any:
    """``value`` as JSON knows it: numpy's scalars and arrays become numbers and lists, paths become text,
    NaN and infinities become ``"NaN"``, ``"Infinity"`` and ``"-Infinity"``.

    Raises:
        RavenError: something else; ``place`` and the keys down to it are named.
    """
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else _NON_FINITE.get(value, "NaN")
    if isinstance(value, dict):
        return {str(key): to_jsonable(inner, f"{place}: {key}") for key, inner in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [to_jsonable(inner, f"{place}[{index}]") for index, inner in enumerate(value)]
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if hasattr(value, "tolist"):  # numpy's scalars and arrays, and what behaves like them
        return to_jsonable(value.tolist(), place)
    raise RavenError(
        f"{place} is a {type(value).__name__}, which cannot be written as JSON; give plain values."
    )
