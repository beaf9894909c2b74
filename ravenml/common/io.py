"""Writing files so that a process killed at any instant leaves nothing half-written.

`read_json` is that of `ravenml.common.parsing`.
"""

from __future__ import annotations

import errno
import fcntl
import io
import itertools
import json
import math
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO

from ravenml.common.parsing import read_json as read_json
from ravenml.common.permissions import make_folder, open_file
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

_TEMPORARY = re.compile(r"\.\d+-\d+\.tmp")
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
    temporary = _temporary_beside(path)
    writer: _Writer | None = None
    try:
        make_folder(path.parent)
        with _Writer(_open_temporary(temporary)) as writer:
            yield writer
            writer.flush()
            if not is_scratch(path):
                os.fsync(writer.fileno())
            os.replace(temporary, path)
    except OSError as error:
        raise to_user_error(error, path) from error
    except Exception as error:
        if writer is not None and writer.failure is not None:
            raise to_user_error(writer.failure, path) from error
        raise
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


def _temporary_beside(path: Path) -> Path:
    # Short whatever the name: file systems limit a name's length, and ours must not be what exceeds it.
    return path.with_name(f".{os.getpid()}-{next(_numbers)}.tmp")


class _Writer(io.BufferedWriter):
    """A file that remembers why it could not be written: libraries in C++ that are given it do not say so.

    Attributes:
        failure: the first error of the operating system; None where there was none.
    """

    failure: OSError | None = None

    def write(self, content: Any) -> int:
        try:
            return super().write(content)
        except OSError as error:
            self.failure = self.failure or error
            raise


def _open_temporary(path: Path) -> io.FileIO:
    """Create a file that is locked while it is open, so that :func:`sweep_temporaries` leaves it alone."""
    while True:
        file = io.FileIO(path, "w", opener=open_file)
        with suppress(OSError):  # a file system without locks: there nothing is swept
            fcntl.flock(file, fcntl.LOCK_EX)
        if os.fstat(file.fileno()).st_nlink:
            return file
        file.close()  # it was swept before it was locked


@contextmanager
def temporary_folder(beside: Path) -> Iterator[Path]:
    """A folder in that of ``beside``, removed after the block, or after a kill by :func:`sweep_temporaries`.

    Raises:
        OSError: it cannot be made.
    """
    path, file = _make_temporary_folder(beside)
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)
        os.close(file)


def _make_temporary_folder(beside: Path) -> tuple[Path, int]:
    """Make a folder that is locked while its descriptor is open, as in :func:`_open_temporary`."""
    while True:
        path = _temporary_beside(beside)
        try:
            path.mkdir(mode=0o700)
            file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except FileExistsError:  # in containers, numbers of processes repeat
            continue
        except FileNotFoundError:
            if not path.parent.is_dir():
                raise
            continue  # it was swept before it was opened
        with suppress(OSError):
            fcntl.flock(file, fcntl.LOCK_EX)
        if os.fstat(file).st_nlink:
            return path, file
        os.close(file)


def sweep_temporaries(folder: Path, below: bool = True) -> None:
    """Remove the temporary files that killed processes have left; never one that a living process writes.

    Args:
        folder: where :func:`atomic_open`, :func:`temporary_folder` and :func:`write_cache` have written.
        below: whether to look into the folders within it, too.
    """
    for path in list((folder.rglob if below else folder.glob)(".*.tmp")):
        if _TEMPORARY.fullmatch(path.name):
            with suppress(OSError):  # it is gone, or in use
                file = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
                try:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    if path.is_dir():
                        shutil.rmtree(path)
                    else:
                        path.unlink()
                finally:
                    os.close(file)


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


def resolve_inside(folder: Path, path: str) -> Path | None:
    """The file ``path`` of a folder, with all links resolved; None where there is none in it."""
    try:
        base = folder.resolve()
        found = (base / path).resolve()
        return found if found.is_relative_to(base) and found.is_file() else None
    except (OSError, RuntimeError, ValueError):  # a loop of links, a null character, a name too long
        return None


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
    temporary = _temporary_beside(path)
    try:
        try:
            file = _open_temporary(temporary)
        except FileNotFoundError:
            make_folder(path.parent)
            file = _open_temporary(temporary)
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
    plain = to_jsonable(value, path.name)
    content = json.dumps(plain, indent=2, ensure_ascii=False, allow_nan=False)
    if not content.isascii() and _has_lone_surrogates(content):  # of a file's name that is not UTF-8, say
        content = json.dumps(plain, indent=2, allow_nan=False)
    write_bytes(path, (content + "\n").encode())


def _has_lone_surrogates(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return True
    return False


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
