"""What a run has made: its models and artifacts, where each lies on this machine and in a store."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from ravenml.common.io import JsonObject, resolve_inside
from ravenml.common.schema import Each, Fields, read_object
from ravenml.errors import RavenError
from ravenml.runs import layout
from ravenml.runs.events import Event, read_events

_MODELS = f"{layout.ARTIFACTS}/models/"  # where models that a program has saved are kept
_STORED_KEYS = Fields({"models": Each(str)})


@dataclass(frozen=True)
class Content:
    """A file that a run has made.

    Attributes:
        name: what it is called: its place in the run's folder, or in the store if it is only there.
        kind: ``model`` or ``artifact``.
        path: where it lies on this machine; None where it does not.
        size: in bytes; None where nobody knows.
        address: where it was stored or sent; None where it was not.
    """

    name: str
    kind: str
    path: Path | None = None
    size: int | None = None
    address: str | None = None

    def as_json(self) -> JsonObject:
        """Plain values."""
        return asdict(self) | {"path": str(self.path) if self.path is not None else None}


def list_contents(folder: Path, record: JsonObject) -> list[Content]:
    """The models of a run, then its artifacts, each in the order in which they were made."""
    found = [*_trained(folder, record), *_announced(folder)]
    return sorted(found, key=lambda one: one.kind != "model")


def stored_folder(record: JsonObject) -> str | None:
    """The store, or the user's folder, that holds a training's result; None where none does."""
    stored = (record.get("result") or {}).get("stored")
    return str(stored).partition("/models/metadata_")[0] if stored else None


def is_missing(record: JsonObject) -> bool:
    """Whether a result that was stored on this machine is not there any more."""
    stored: str | None = (record.get("result") or {}).get("stored")
    return stored is not None and "://" not in stored and not Path(stored).exists()


def _trained(folder: Path, record: JsonObject) -> Iterator[Content]:
    """The models that a training's result names; a k-fold run's folds have one each."""
    models: JsonObject = (record.get("result") or {}).get("models") or {}
    keys: JsonObject = {}
    store = stored_folder(record)
    if store and (folder / layout.METADATA).exists():
        try:
            keys = read_object(folder / layout.METADATA, _STORED_KEYS).get("models") or {}
        except RavenError:
            keys = {}
    for suffix, name in models.items():
        path = resolve_inside(folder, name)
        size = path.stat().st_size if path is not None and path.is_file() else None
        address = f"{store}/{keys[suffix]}" if suffix in keys and not is_missing(record) else None
        yield Content(name, "model", path if size is not None else None, size, address)


def _announced(folder: Path) -> Iterator[Content]:
    """The files that events announce; one that was sent somewhere is announced again with its address."""
    files: dict[str, Event] = {}
    sent: dict[str, Event] = {}
    for event in read_events(folder / layout.EVENTS, "ARTIFACT"):
        file, name, uri = (event.fields.get(key) for key in ("file", "name", "uri"))
        if isinstance(uri, str):
            sent[str(name)] = event
        elif isinstance(file, str):
            files[file] = event
    for file, event in files.items():
        path = resolve_inside(folder, file)
        path = path if path is not None and path.is_file() else None
        below = file.removeprefix(f"{layout.ARTIFACTS}/")
        spelled = (file, below, f"{layout.ARTIFACTS}/{event.fields.get('name')}/{Path(file).name}")
        to = next((sent.pop(one) for one in spelled if one in sent), None)
        kind = "model" if file.startswith(_MODELS) else "artifact"
        size = path.stat().st_size if path is not None else _size(event)
        yield Content(file, kind, path, size, to.fields["uri"] if to is not None else None)
    for name, event in sent.items():
        kind = "model" if name.startswith("models/") else "artifact"
        yield Content(name, kind, None, _size(event), event.fields["uri"])


def _size(event: Event) -> int | None:
    size = event.fields.get("sizeb")
    return size if isinstance(size, int) else None
