"""A run as one file: a tar of its folder, with the digest of every file in it at its end."""

from __future__ import annotations

import codecs
import gzip
import hashlib
import io
import json
import lzma
import os
import re
import shutil
import tarfile
import tempfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO

from ravenml.common.io import JsonObject, atomic_open, sweep_temporaries, to_user_error
from ravenml.common.parsing import LARGEST_JSON, parse_json
from ravenml.common.permissions import make_folder, open_file
from ravenml.common.reading import is_usable_name
from ravenml.common.secrets import StreamMasker, redact, redact_diff, redact_text
from ravenml.config.home import runs_dir
from ravenml.errors import InputError, RavenError
from ravenml.runs.events import redact_event
from ravenml.runs.layout import ARTIFACTS, CONTROL, LOCK, RUN_JSON
from ravenml.runs.lock import RunLock
from ravenml.runs.record import read_record, redact_record, status
from ravenml.runs.removal import IMPORTING, sweep
from ravenml.store.model_state import TAR_ERRORS

MANIFEST = "MANIFEST.json"
SCHEMA = 1
_CHUNK = 1 << 20
_READABLE = (".json", ".jsonl", ".diff", ".log", ".yaml", ".yml")
_ID = re.compile(r"[\w-]{1,100}")
_BROKEN = (zlib.error, lzma.LZMAError, *TAR_ERRORS)
_RATIO, _ALWAYS = 200, 1 << 30  # so many bytes come of one in an archive; of a small one, this many


@dataclass(frozen=True)
class ExportResult:
    """What an archive holds.

    Attributes:
        files, size: how many files, and their bytes.
        links: were left out, because what they point to lies elsewhere.
        masked: files in which something that looks like a secret was masked.
    """

    files: int
    size: int
    links: list[str]
    masked: list[str]


def export_run(folder: Path, file: Path) -> ExportResult:
    """Write the run in ``folder``, its folds too, to ``file``; compressed if it ends in ``gz``.

    What looks like a secret in the run's own files, the console among them, is masked on the way; artifacts
    go as they are.

    Raises:
        InputError: the run is running, or the file exists.
        RavenError: the disk is full, or the file may not be written; nothing is left of it.
    """
    if status(folder, read_record(folder)) == "running":
        raise InputError(f"{folder.name} is running; stop it first: raven runs stop {folder.name}")
    if file.exists():
        raise InputError(f"{file} exists already; remove it or name another file.")
    digests: dict[str, str] = {}
    masked: list[str] = []
    size = 0
    lock = RunLock(folder)  # nobody resumes it meanwhile
    try:
        sweep_temporaries(folder)
        paths = sorted(_archived_files(folder), key=lambda path: (path.name != RUN_JSON, path))
        with atomic_open(file) as raw, _new_tar(raw, file.name.endswith("gz")) as tar:
            for path in paths:
                if not path.is_symlink():
                    name = path.relative_to(folder).as_posix()
                    with path.open("rb") as file_here, _masked_copy(file_here, name) as copy:
                        masked += [name] if copy is not None else []
                        digests[name], bytes_read = _add_file(tar, file_here, copy, f"{folder.name}/{name}")
                    size += bytes_read
            content = json.dumps({"v": SCHEMA, "run": folder.name, "files": digests}, indent=1).encode()
            info = tarfile.TarInfo(MANIFEST)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    finally:
        lock.release()
    links = [path.relative_to(folder).as_posix() for path in paths if path.is_symlink()]
    return ExportResult(len(digests), size, links, masked)


def _new_tar(file: IO[bytes], compressed: bool) -> tarfile.TarFile:
    if compressed:
        return tarfile.open(fileobj=file, mode="w|gz", format=tarfile.PAX_FORMAT)
    return tarfile.open(fileobj=file, mode="w|", format=tarfile.PAX_FORMAT)


def _archived_files(folder: Path) -> Iterator[Path]:
    for path in folder.rglob("*"):
        hidden = path.name.startswith(".") and path.name.endswith((".tmp", ".lock"))
        if (path.is_file() or path.is_symlink()) and not hidden and path.name not in (LOCK, CONTROL):
            yield path


def _add_file(tar: tarfile.TarFile, file: IO[bytes], copy: IO[bytes] | None, name: str) -> tuple[str, int]:
    found = os.fstat(file.fileno())  # of the open file: notes may be replaced at any moment
    info = tarfile.TarInfo(name)
    info.size, info.mtime, info.mode = found.st_size, found.st_mtime, 0o600
    if copy is not None:
        info.size = copy.seek(0, os.SEEK_END)
        copy.seek(0)
    reader = _HashingReader(copy or file)
    tar.addfile(info, reader)
    return reader.digest.hexdigest(), info.size


@contextmanager
def _masked_copy(file: IO[bytes], name: str) -> Iterator[IO[bytes] | None]:
    """A file of a run without what looks like a secret; None where there is nothing of the kind in it."""
    kind = PurePosixPath(name).suffix
    if kind not in _READABLE or ARTIFACTS in PurePosixPath(name).parts:
        yield None
        return
    with tempfile.SpooledTemporaryFile(max_size=8 * _CHUNK) as copy:
        digests = hashlib.sha256(), hashlib.sha256()
        for piece, safe in _masked_pieces(file, kind):
            digests[0].update(piece)
            digests[1].update(safe)
            copy.write(safe)
        file.seek(0)
        copy.seek(0)
        yield None if digests[0].digest() == digests[1].digest() else copy


def _masked_pieces(file: IO[bytes], kind: str) -> Iterator[tuple[bytes, bytes]]:
    """The file's content piece by piece, as it is and without secrets."""
    if kind == ".jsonl":
        yield from ((line, _masked_json(line, redact_event)) for line in file)
    elif kind == ".json":
        content = file.read()
        yield content, _masked_json(content, redact_record, indent=2)
    elif kind == ".diff":
        content = file.read()
        yield content, redact_diff(content.decode(errors="surrogateescape")).encode(errors="surrogateescape")
    else:
        masker = StreamMasker()
        decoder = codecs.getincrementaldecoder("utf-8")("surrogateescape")
        while piece := file.read(_CHUNK):
            yield piece, masker.feed(decoder.decode(piece)).encode(errors="surrogateescape")
        rest = masker.feed(decoder.decode(b"", final=True)) + masker.end()
        yield b"", rest.encode(errors="surrogateescape")


def _masked_json(
    content: bytes, mask: Callable[[JsonObject], JsonObject], indent: int | None = None
) -> bytes:
    """JSON without secrets, byte for byte the same where it holds none."""
    try:
        value = json.loads(content)
        safe = mask(value) if isinstance(value, dict) else redact(value)
        if safe == value:
            return content
        return (json.dumps(safe, indent=indent, ensure_ascii=False) + "\n").encode(errors="surrogateescape")
    except (ValueError, RecursionError):  # no JSON
        return redact_text(content.decode(errors="surrogateescape")).encode(errors="surrogateescape")


class _HashingReader(io.RawIOBase):
    """Reads through to a file and digests what goes by."""

    def __init__(self, file: IO[bytes]) -> None:
        self.file = file
        self.digest = hashlib.sha256()

    def read(self, size: int = -1) -> bytes:
        content = self.file.read(size)
        self.digest.update(content)
        return content


def import_run(file: Path) -> tuple[Path, bool]:
    """Bring a run from an archive into this home; its folder, and whether it was not there before.

    Everything is unpacked beside the runs and checked; only then does it become one.

    Raises:
        InputError: no such file, no archive of a run, one that was cut off or changed, one with names that
            leave the run's folder, or a run of which another version is here.
        RavenError: the disk is full, or a newer ravenML wrote the run.
    """
    if not file.is_file():
        raise InputError(f"{file} does not exist; name a file that `raven runs export` wrote.")
    sweep()
    place = runs_dir()
    try:
        make_folder(place)
        place = Path(tempfile.mkdtemp(prefix=IMPORTING, dir=place))
        run_id, digests = _unpack(file, place)
        folder = place / run_id
        record = read_record(folder)
        if record["id"] != run_id:
            raise InputError(f"{file}: {RUN_JSON} is of the run {record['id']!r}, not of {run_id!r}.")
        target = runs_dir() / run_id
        if target.exists():
            _check_same(target, digests, file)
            return target, False
        os.rename(folder, target)
        return target, True
    except InputError:
        raise
    except _BROKEN as error:
        if isinstance(error, OSError) and not isinstance(error, gzip.BadGzipFile):
            raise to_user_error(error, place) from error
        said = f"{file} is not a complete archive of a run ({error}); export the run again."
        raise InputError(said) from None
    finally:
        if place != runs_dir():
            shutil.rmtree(place, ignore_errors=True)


def _unpack(file: Path, place: Path) -> tuple[str, dict[str, str]]:
    """Unpack into ``place``, checking every name and digest; the run's ID and its files' digests."""
    found: dict[str, str] = {}
    manifest: JsonObject | None = None
    left = max(_ALWAYS, _RATIO * file.stat().st_size)
    with tarfile.open(file, "r|*") as tar:
        for member in tar:
            content = tar.extractfile(member) if member.isfile() else None
            if member.isdir():
                continue
            if content is None:
                raise InputError(f"{file}: {member.name!r} is not a plain file; a run holds no others.")
            if member.name == MANIFEST:
                manifest = _manifest(content.read(LARGEST_JSON + 1), file)
                continue
            name = PurePosixPath(member.name)
            usable = is_usable_name(member.name) and len(name.parts) > 1 and _ID.fullmatch(name.parts[0])
            if not usable or str(name) in found:
                refused = f"the name {member.name[:300]!r} leaves the run's folder, or is not usable"
                raise InputError(f"{file}: {refused}; nothing was imported.")
            left -= member.size
            if left < 0:
                raise InputError(f"{file} would unpack to far more than a run holds; nothing was imported.")
            found[str(name)] = _extract(content, place / name, member.mtime)
    if manifest is None:
        raise InputError(
            f"{file} has no {MANIFEST} at its end: it was cut off, or `raven runs export` did not write it."
        )
    if manifest["v"] > SCHEMA:
        raise RavenError(f"{file} was written by a newer ravenML; upgrade ravenML to import it.")
    said = {f"{manifest['run']}/{name}": digest for name, digest in manifest["files"].items()}
    wrong = sorted(name for name in said.keys() | found.keys() if said.get(name) != found.get(name))
    if wrong:
        raise InputError(f"{file}: {wrong[0]} is not what {MANIFEST} says; export the run again.")
    return str(manifest["run"]), dict(manifest["files"])


def _manifest(content: bytes, file: Path) -> JsonObject:
    """What an archive says of itself, if it says it in the form in which it is written."""
    with suppress(ValueError):
        found = parse_json(content, MANIFEST)
        kinds = {"v": int, "run": str, "files": dict}
        if isinstance(found, dict) and all(isinstance(found.get(k), kind) for k, kind in kinds.items()):
            if not _ID.fullmatch(found["run"]):
                raise InputError(f"{file}: {MANIFEST} names {found['run']!r}, which is not a run's ID.")
            return found
    raise InputError(f"{file}: {MANIFEST} is not what `raven runs export` writes; export the run again.")


def _extract(content: IO[bytes], path: Path, mtime: float) -> str:
    make_folder(path.parent)
    digest = hashlib.sha256()
    with open(path, "xb", opener=open_file) as file:
        while chunk := content.read(_CHUNK):
            digest.update(chunk)
            file.write(chunk)
    with suppress(OSError, OverflowError, ValueError):
        os.utime(path, (mtime, mtime))  # what is old stays old: a status may hang on it
    return digest.hexdigest()


def _check_same(target: Path, digests: dict[str, str], file: Path) -> None:
    """Refuse to replace a run that differs; people's notes on either side do not count."""
    here = {
        path.relative_to(target).as_posix(): path for path in _archived_files(target) if not path.is_symlink()
    }
    for name in sorted((here.keys() | digests.keys()) - {"notes.json"}):
        same = name in here and name in digests and digests[name] in _digests(here[name], name)
        if not same:
            raise InputError(
                f"{target.name} is here already, and differs from {file} in {name}; "
                f"remove it first: raven runs rm {target.name}"
            )


def _digests(path: Path, name: str) -> Iterator[str]:
    """The file's digest, and the one that it has in an archive, where secrets are masked."""
    with path.open("rb") as file:
        yield hashlib.file_digest(file, "sha256").hexdigest()
        file.seek(0)
        with _masked_copy(file, name) as copy:
            if copy is not None:
                yield hashlib.sha256(copy.read()).hexdigest()
