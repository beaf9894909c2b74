"""Versions of folders of any files: a file is kept once, by its content, and a version is a list of files.

In a store, ``objects/ab/abcd…`` is a file by its SHA-256, ``versions/ID.json`` says what a version is, and
``versions/ID.files.json`` lists its files.  What a version says is written before its files and again after
them, so that a file which another version shares is never removed in between.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from ravenml.common.io import JsonObject
from ravenml.common.parsing import ParseError, parse_json
from ravenml.common.schema import Each, Fields, Schema, find_fault
from ravenml.config.home import versions_dir
from ravenml.errors import InputError, RavenError
from ravenml.store.base import Store
from ravenml.store.factory import bucket
from ravenml.store.local_store import FolderStore
from ravenml.store.progress import Meter
from ravenml.store.transfer import map_in_threads, path_below

BELOW = ".ravenml-versions/"  # what the keys begin with in a bucket that holds other things as well
_DIGEST = re.compile(r"[0-9a-f]{64}")
_ID = re.compile(r"[\w.-]{1,128}")
_HEADER = Fields(
    {
        **dict.fromkeys(("id", "name", "project", "version", "created", "status", "place", "task"), str),
        **{"parents": [str], "tags": [str], "metadata": dict, "description": str},
    },
    required=("id", "name", "version", "created", "status"),
)
_FILES: Schema = Each(Fields({"sha256": str, "size": int, "url": str}, required=("size",)))


@dataclass(frozen=True)
class FileEntry:
    """A file of a version.

    Attributes:
        size: in bytes.
        sha256: of its content; empty where it lies elsewhere.
        url: where it lies, if it is not kept here.
    """

    size: int
    sha256: str = ""
    url: str = ""


@dataclass(frozen=True)
class Version:
    """A version of a folder.

    Attributes:
        id: unlike any other's.
        name, project: what people call the folder, and what it belongs to.
        version: such as ``1.0.2``.
        created: when, UTC in ISO 8601.
        status: ``created`` until all of its files are there, then ``completed``.
        parents: the versions that it began with.
        place: where its files are, if not beside it.
        task: the ID of the run that made it.
        files: by their paths, with ``/``.
    """

    id: str
    name: str
    version: str
    created: str
    project: str | None = None
    status: str = "created"
    parents: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    metadata: JsonObject = field(default_factory=dict)
    description: str = ""
    place: str = ""
    task: str = ""
    files: Mapping[str, FileEntry] = field(default_factory=dict)


class VersionStore:
    """The versions in a store.

    Args:
        store: a folder or a bucket.
        below: what all keys begin with.
    """

    def __init__(self, store: Store, below: str = "") -> None:
        self.store, self._below = store, below

    def save(self, version: Version) -> None:
        """Write what a version is, and which files it has."""
        header = {name: one for name, one in asdict(replace(version, files={})).items() if one}
        files = {
            name: {key: one for key, one in asdict(entry).items() if one or key == "size"}
            for name, entry in sorted(version.files.items())
        }
        self.store.put_content(self._key(version.id, ".files.json"), _json(files))
        self.store.put_content(self._key(version.id, ".json"), _json(header))

    def list(self) -> Iterator[Version]:
        """All versions, oldest first, without their files."""
        prefix = f"{self._below}versions/"
        for entry in self.store.list(prefix):
            name = entry.key.removeprefix(prefix)
            if name.endswith(".json") and not name.endswith(".files.json"):
                yield self._read(name.removesuffix(".json"))

    def load(self, version_id: str) -> Version:
        """A version with its files.

        Raises:
            InputError: there is no such version.
            RavenError: it is broken.
        """
        if not self.has(version_id):
            raise InputError(f"There is no version {version_id!r} of a dataset in {self.store.name}.")
        found = self._read(version_id)
        listed = self._parse(self._key(version_id, ".files.json"), _FILES)
        files = {
            name: FileEntry(one["size"], one.get("sha256") or "", one.get("url") or "")
            for name, one in listed.items()
        }
        for name, entry in files.items():
            if not (entry.url or _DIGEST.fullmatch(entry.sha256)):
                raise RavenError(f"{self.store.name}: the version {version_id} has no content for {name}.")
        return replace(found, files=files)

    def has(self, version_id: str) -> bool:
        """Whether there is a version with this ID."""
        return bool(_ID.fullmatch(version_id)) and self.store.head(self._key(version_id, ".json")) is not None

    def delete(self, version_id: str) -> None:
        """Remove a version, and those of its files that no other version has."""
        gone = {one.sha256 for one in self.load(version_id).files.values()} - {""}
        self.store.delete(self._key(version_id, ".json"))
        self.store.delete(self._key(version_id, ".files.json"))
        kept = {one.sha256 for version in self.list() for one in self.load(version.id).files.values()}
        map_in_threads(
            self.store, self.store.delete, [self._object(digest) for digest in sorted(gone - kept)]
        )

    def put(self, files: Mapping[str, Path]) -> int:
        """Keep files by their SHA-256; how many were not there yet."""
        with Meter("Storing", sum(path.stat().st_size for path in files.values())) as meter:

            def put(digest: str) -> int:
                if self.store.head(self._object(digest)) is not None:
                    return 0
                self.store.put(self._object(digest), files[digest], meter)
                return 1

            return sum(map_in_threads(self.store, put, sorted(files)))

    def fetch(self, files: Mapping[str, FileEntry], folder: Path) -> None:
        """Write files into a folder, each checked by its SHA-256.

        Raises:
            RavenError: one is missing, or is not what was kept.
        """
        from ravenml.store.fetching import fetch

        with Meter("Fetching", sum(entry.size for entry in files.values())) as meter:

            def get(name: str) -> None:
                entry, target = files[name], path_below(folder, name, "The version")
                if entry.url:
                    fetch(entry.url, target)
                    return
                self.store.get(self._object(entry.sha256), target, progress=meter)
                if file_digest(target) != entry.sha256:
                    target.unlink(missing_ok=True)
                    raise RavenError(f"{self.store.name}: the content of {name} is not what was kept.")

            map_in_threads(self.store, get, sorted(files))

    def _read(self, version_id: str) -> Version:
        header = self._parse(self._key(version_id, ".json"), _HEADER)
        known = {name: header[name] for name in Version.__dataclass_fields__ if header.get(name) is not None}
        return Version(
            **{**known, "parents": tuple(known.get("parents", ())), "tags": tuple(known.get("tags", ()))}
        )

    def _parse(self, key: str, schema: Schema) -> JsonObject:
        try:
            content = parse_json(self.store.read(key), key)
        except ParseError as error:
            raise RavenError(f"{self.store.name}: {error}.") from error
        if fault := find_fault(content, schema):
            raise RavenError(f"{self.store.name}/{key}: {fault}.")
        found: JsonObject = content
        return found

    def _key(self, version_id: str, suffix: str) -> str:
        return f"{self._below}versions/{version_id}{suffix}"

    def _object(self, digest: str) -> str:
        return f"{self._below}objects/{digest[:2]}/{digest}"


def version_store() -> VersionStore:
    """Where versions are kept: the bucket of datasets, or without one the folder on this machine."""
    found = bucket("datasets")
    return VersionStore(FolderStore(versions_dir())) if found is None else VersionStore(found, BELOW)


def file_digest(path: Path) -> str:
    """The SHA-256 of a file's content.

    Raises:
        InputError: it cannot be read.
    """
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}.") from error


def _json(value: object) -> bytes:
    return json.dumps(value, ensure_ascii=False, indent=1, default=str).encode()
