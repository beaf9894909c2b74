"""Datasets in a bucket: ``<name>/meta.json``, ``<name>/<dataset>/img/…``, as they lie on a disk.

``meta.json`` goes up after the images, and comes down after them, so that a dataset that has one is whole.
A push ends with ``<name>/.ravenml-dataset.json``, which says how many files and bytes there are; a dataset
that another program has put there has none, and is counted.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC
from pathlib import Path

from ravenml.common.formatting import terminal_safe, utc_timestamp
from ravenml.common.io import JsonObject, write_json
from ravenml.common.parsing import ParseError, parse_json
from ravenml.config.home import datasets_dir
from ravenml.data.item_names import why_unusable
from ravenml.data.problems import suggestion
from ravenml.errors import InputError, RavenError
from ravenml.store.base import Entry, Store
from ravenml.store.factory import bucket
from ravenml.store.transfer import Transferred, download, map_in_threads, path_below, upload

META = "meta.json"
COUNTED = ".ravenml-dataset.json"
SCHEMA = 1


@dataclass(frozen=True)
class DatasetRow:
    """A line of the list of datasets.

    Attributes:
        images: how many, or ``missing``, ``broken``, or ``-`` where nobody counted them.
        folder: where it lies; for one in the bucket, its address.
        size: of all its files, in bytes.
        date: when it was last written to or pushed, ISO 8601 in UTC; empty where it is missing.
        where: ``local`` or ``remote``.
    """

    name: str
    images: str
    folder: str
    size: int
    date: str
    where: str

    def as_dict(self) -> dict[str, object]:
        """Plain values, ``images`` a number where there is one."""
        return {**asdict(self), "images": int(self.images) if self.images.isdecimal() else None}


def datasets_store(address: str | None = None) -> Store:
    """The bucket of datasets.

    Raises:
        InputError: none is configured.
    """
    store = bucket("datasets", address=address)
    if store is None:
        raise InputError(
            "No bucket of datasets is configured; `raven config update --dataset-bucket-name NAME` sets one."
        )
    return store


def list_remote(address: str | None = None, required: bool = False) -> list[DatasetRow]:
    """Every whole dataset in the bucket; none where no bucket is configured and none is ``required``."""
    store = datasets_store(address) if required else bucket("datasets", address=address)
    if store is None:
        return []
    found = map_in_threads(store, lambda name: _describe(store, name), list(store.folders()))
    return [one for one in found if one is not None]


def push_dataset(
    store: Store, folder: Path, name: str | None = None, delete: bool = False
) -> tuple[Transferred, list[str]]:
    """Store a project; what is there and the same is not sent again.

    Args:
        store: where to.
        folder: the project.
        name: by default, the folder's.
        delete: remove what the bucket has of it and the folder has not.

    Raises:
        InputError: the folder is not a complete project.
        RavenError: it cannot be stored; a second call goes on.

    Returns:
        What was done, and the keys of what the bucket still has and the folder has not.
    """
    from ravenml.data.project import Project  # which takes numpy, and fetching does not

    project = Project.open(folder)
    name = _name(name or project.root.name)
    files = {
        f"{name}/{path.relative_to(project.root).as_posix()}": path
        for path in sorted(project.root.rglob("*"))
        if path.is_file() and not any(part.startswith(".") for part in path.relative_to(project.root).parts)
    }
    meta = f"{name}/{META}"
    for key, path in files.items():
        if unusable := why_unusable(key):
            raise InputError(terminal_safe(f"{path} {unusable}, and cannot be stored; rename it."))
    there = {entry.key: entry for entry in store.list(f"{name}/")}
    first = {key: path for key, path in files.items() if key != meta}
    done = upload(store, first, f"{name}/", "Storing", there)
    gone = [key for key in there if key not in files and key != f"{name}/{COUNTED}"]
    if delete:
        map_in_threads(store, store.delete, gone)
        gone = []
    last = upload(store, {meta: project.root / META}, meta, "Storing", there)
    done.sent, done.kept = done.sent + last.sent, done.kept + last.kept
    with tempfile.TemporaryDirectory(prefix="ravenml-") as place:
        counted = Path(place) / COUNTED
        total = sum(path.stat().st_size for path in files.values())
        pushed = utc_timestamp(milliseconds=False)
        content = {"v": SCHEMA, "files": len(files), "bytes": total, "images": len(project.items)}
        write_json(counted, {**content, "pushed": pushed})
        store.put(f"{name}/{COUNTED}", counted)
    return done, gone


def pull_dataset(
    store: Store, name: str, folder: Path | None = None, mark: str = META
) -> tuple[Path, Transferred]:
    """Fetch a dataset into a folder, by default the one below ravenML's datasets by which it is then known.

    Files that are there and whole are not fetched again.  ``meta.json`` comes last: until then the folder
    is not a project.

    Args:
        store: the bucket.
        name: the dataset's.
        folder: where to.
        mark: the file that comes last; ``metadata.json`` in datasets of ravenML 1.

    Raises:
        InputError: there is no such dataset; the sentence names those that there are.
        RavenError: it is not whole there, or cannot be fetched.
    """
    name = _name(name)
    folder = folder if folder is not None else datasets_dir() / name
    entries = {entry.key: entry for entry in store.list(f"{name}/")}
    meta = f"{name}/{mark}"
    if meta not in entries:
        if entries:
            raise RavenError(f"{store.name}/{name} is incomplete: it has no {mark} (yet); push it again.")
        raise InputError(
            f'There is no dataset "{name}" in {store.name}; {suggestion(name, list(store.folders()))}.'
        )
    wanted = [key for key in entries if key != f"{name}/{COUNTED}"]
    counted = _read_summary(store, name) if f"{name}/{COUNTED}" in entries else {}
    if len(wanted) < counted.get("files", 0):
        raise RavenError(
            f"{store.name}/{name} is incomplete: {len(wanted)} of {counted['files']} files are there; "
            "push it again."
        )
    targets = {key: path_below(folder, key.removeprefix(f"{name}/"), "The dataset") for key in wanted}
    first = {key: path for key, path in targets.items() if key != meta}
    done = download(store, first, entries, f"Fetching {name}")
    last = download(store, {meta: targets[meta]}, entries, f"Fetching {name}")
    done.sent, done.kept = done.sent + last.sent, done.kept + last.kept
    return folder, done


def remove_dataset(store: Store, name: str) -> int:
    """Remove a dataset from the bucket, ``meta.json`` first, so that it is never half listed.

    Returns:
        How many files there were.
    """
    name = _name(name)
    keys = [entry.key for entry in store.list(f"{name}/")]
    if not keys:
        raise InputError(
            f'There is no dataset "{name}" in {store.name}; {suggestion(name, list(store.folders()))}.'
        )
    first = (f"{name}/{META}", f"{name}/{COUNTED}")
    for key in first:
        store.delete(key)
    map_in_threads(store, store.delete, [key for key in keys if key not in first])
    return len(keys)


def pull_if_exists(name_or_address: str, mark: str = META) -> Path | None:
    """Fetch a dataset that is not known here but lies in the bucket; None where it does not.

    Args:
        name_or_address: a name, or ``s3://bucket/prefix/name``.
        mark: the file by which it is a dataset.
    """
    address: str | None = None
    name = name_or_address
    if name.startswith("s3://"):
        address, _, name = name.rstrip("/").rpartition("/")
    store = bucket("datasets", address=address)
    if store is None or store.head(f"{name}/{mark}") is None:
        return None
    print(f"Fetching the dataset {name} from {store.name}.", file=sys.stderr, flush=True)
    folder, done = pull_dataset(store, name, mark=mark)
    print(f"It is in {folder} ({done.summary}).", file=sys.stderr, flush=True)
    return folder


def _describe(store: Store, name: str) -> DatasetRow | None:
    folder = f"{store.name}/{name}"
    if store.head(f"{name}/{COUNTED}") is not None and (known := _read_summary(store, name)):
        images = "-" if known.get("images") is None else str(known["images"])
        return DatasetRow(name, images, folder, known["bytes"], known["pushed"], "remote")
    entries: Sequence[Entry] = list(store.list(f"{name}/"))
    if not any(entry.key == f"{name}/{META}" for entry in entries):
        return None
    newest = utc_timestamp(max(entry.modified for entry in entries).astimezone(UTC))
    return DatasetRow(name, "-", folder, sum(entry.size for entry in entries), newest, "remote")


def _read_summary(store: Store, name: str) -> JsonObject:
    """What the last push noted; nothing where it cannot be read."""
    try:
        content = parse_json(store.read(f"{name}/{COUNTED}"), COUNTED)
    except ParseError:
        return {}
    return content if isinstance(content, dict) and {"files", "bytes", "pushed"} <= content.keys() else {}


def _name(name: str) -> str:
    if not name or "/" in name or name.startswith("."):
        raise InputError(
            f"{name!r} cannot be a dataset's name in a bucket; a name has no / and does not begin with a dot."
        )
    return name
