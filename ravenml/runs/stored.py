"""What of a run lies in a store: finding it, who else needs it, and removing it whole."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from ravenml.common.io import JsonObject
from ravenml.config.home import store_dir
from ravenml.errors import RavenError
from ravenml.runs.contents import list_contents, stored_folder
from ravenml.runs.index import list_rows
from ravenml.runs.record import read_record
from ravenml.store.base import Store
from ravenml.store.factory import bucket
from ravenml.store.local_store import FolderStore
from ravenml.store.models import remove_model
from ravenml.store.publish_folder import published_by, remove_published

_BEGINNING = 13  # letters of a run's ID, its day and time, that are taken for it in another run's settings


@dataclass(frozen=True)
class StoredResult:
    """Where the results of one run lie.

    Attributes:
        run_id: the run.
        store: the store of its model; None where it has none in a store.
        folder: the user's own folder that its result was copied to; None where it was not.
        sent: the files that a script has sent elsewhere: a store and a key each.
    """

    run_id: str
    store: Store | None
    folder: Path | None
    sent: tuple[tuple[Store, str], ...]

    def __bool__(self) -> bool:
        return self.store is not None or self.folder is not None or bool(self.sent)

    def places(self) -> list[str]:
        """Where, for people."""
        model = [f"{self.store.name} (the model and all beside it)"] if self.store is not None else []
        own = [str(self.folder)] if self.folder is not None else []
        return [*model, *own, *(f"{store.name}/{key}" for store, key in self.sent)]

    def remove(self) -> int:
        """Remove all of it, what is listed first; called again after a failure, it removes what was left.

        Returns:
            How many files there were.

        Raises:
            RavenError: a store does not answer, or may not be written; the run's folder still names it.
        """
        count = remove_model(self.store, self.run_id) if self.store is not None else 0
        if self.folder is not None:
            count += remove_published(self.folder, self.run_id)
        for store, key in self.sent:
            store.delete(key)
        return count + len(self.sent)


def find_stored(folder: Path) -> StoredResult:
    """What a run has stored; a run whose record is broken names nothing.

    Raises:
        InputError: the bucket that it names cannot be opened with the configuration.
    """
    try:
        record = read_record(folder)
    except RavenError:
        return StoredResult(folder.name, None, None, ())
    place, store, own = stored_folder(record), None, None
    if place is not None and "/models/metadata_" in record["result"]["stored"]:
        store = _open(place)
    elif place is not None and published_by(Path(place)) == record["id"]:
        own = Path(place)
    return StoredResult(record["id"], store, own, tuple(_sent(folder, record)))


def _open(place: str) -> Store:
    """The store of that name; one on this machine is a folder."""
    if "://" not in place:
        return FolderStore(Path(place))
    found = bucket("models", address=place)
    assert found is not None
    return found


def _sent(folder: Path, record: JsonObject) -> Iterator[tuple[Store, str]]:
    """What a script has sent to its ``output_uri``, into a folder of its own that is named after the run."""
    if record.get("plugin"):
        return
    stores: dict[str, Store] = {}
    for one in list_contents(folder, record):
        place, found, key = (one.address or "").partition(f".{record['id']}/")
        if found:
            above, _, name = place.rpartition("/")
            store = stores.get(above) or stores.setdefault(above, _open(above))
            yield store, f"{name}{found}{key}"


def used_by(run_id: str, without: Iterable[str] = ()) -> list[str]:
    """The other runs of this home that started from this run's model: their settings name its ID.

    Args:
        run_id: the run.
        without: runs that do not count, because they are removed as well.
    """
    skipped = {run_id, *without}
    return [
        row["id"]
        for row in list_rows()
        if row["id"] not in skipped and any(_names(value, run_id) for value in row["settings"].values())
    ]


def _names(value: object, run_id: str) -> bool:
    if isinstance(value, list):
        return any(_names(one, run_id) for one in value)
    if not isinstance(value, str):
        return False
    return run_id in value or (len(value) >= _BEGINNING and run_id.startswith(value))


def is_local(store: Store) -> bool:
    """Whether a store is this machine's own folder of models."""
    return isinstance(store, FolderStore) and store.root == store_dir()
