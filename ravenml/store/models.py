"""Finished models in a store: listing them in seconds, looking at one, fetching, storing and removing."""

from __future__ import annotations

import contextlib
import hashlib
import sys
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import orjson

from ravenml.common.formatting import utc_timestamp
from ravenml.common.io import JsonObject, write_bytes, write_json
from ravenml.common.parsing import parse_json
from ravenml.config.home import cache_dir
from ravenml.errors import InputError, RavenError
from ravenml.store.aliases import list_aliases, remove_alias, resolve_alias
from ravenml.store.base import Digest, Entry, Store
from ravenml.store.ids import new_id
from ravenml.store.model_state import read_config
from ravenml.store.results import METADATA, extras_prefix, metadata_key, store_result
from ravenml.store.transfer import Transferred, download, map_in_threads, path_below

SCHEMA = 1  # of metadata_<id>.json
_CACHE = 2  # of the cached listing
_NAME = 200  # characters of a name
_AT_ONCE = 1_000  # models whose metadata is read before it is remembered: Ctrl-C loses no more than that


@dataclass(frozen=True)
class ModelRow:
    """A line of the list.

    Attributes:
        id: the run's name, or the one it got when it was pushed.
        size: of all its models together, in bytes; None where its metadata does not say.
        date: when it was finished, ISO 8601 in UTC.
        where: ``local``, ``remote`` or ``local, remote``.
        error: why its metadata cannot be read.
        aliases: the names that mean it.
    """

    id: str
    name: str | None = None
    architecture: str | None = None
    plugin: str | None = None
    dataset: str | None = None
    created_by: str | None = None
    folds: int = 0
    size: int | None = None
    date: str = ""
    metrics: Mapping[str, object] = field(default_factory=dict)
    transfer_only: bool = False
    where: str = ""
    error: str | None = None
    aliases: tuple[str, ...] = ()


def list_models(store: Store, where: str) -> list[ModelRow]:
    """Every model in a store, newest first.

    One listing tells what is there; metadata is fetched only where its ETag is not the cached one's.
    """
    entries = list(store.list(METADATA))
    cache = cache_dir() / "models" / f"{hashlib.sha256(_identity(store).encode()).hexdigest()[:32]}.json"
    known = _read_cache(cache)
    fresh = {
        entry.key: known[entry.key]["model"]
        for entry in entries
        if entry.key in known and known[entry.key]["etag"] == entry.etag
    }
    by_key = {entry.key: entry for entry in entries if entry.key not in fresh}
    asked = list(by_key)
    if len(asked) > _AT_ONCE:
        print(f"Reading the metadata of {len(asked)} models; it is remembered.", file=sys.stderr, flush=True)
    for begin in range(0, len(asked), _AT_ONCE):
        some = asked[begin : begin + _AT_ONCE]
        fetched = map_in_threads(store, lambda key: asdict(_read_row(store, by_key[key])), some)
        fresh |= dict(zip(some, fetched, strict=True))
        _write_cache(cache, entries, fresh)
    if not asked and len(known) != len(entries):
        _write_cache(cache, entries, fresh)
    models = [ModelRow(**{**fresh[entry.key], "where": where}) for entry in entries]
    named: dict[str, list[str]] = {}
    for name, model_id in list_aliases(store).items() if models else ():
        named.setdefault(model_id, []).append(name)
    models = [replace(model, aliases=tuple(named.get(model.id, ()))) for model in models]
    return sorted(models, key=lambda model: (model.date, model.id), reverse=True)


def merge_models(*lists: Iterable[ModelRow]) -> list[ModelRow]:
    """Several stores' models as one list; what is in more than one names them all."""
    found: dict[str, ModelRow] = {}
    for one in lists:
        for model in one:
            before = found.get(model.id)
            where = f"{before.where}, {model.where}" if before else model.where
            names = dict.fromkeys([*(before.aliases if before else ()), *model.aliases])
            found[model.id] = replace(before or model, where=where, aliases=tuple(names))
    return sorted(found.values(), key=lambda model: (model.date, model.id), reverse=True)


def read_metadata(store: Store, model_id: str) -> JsonObject:
    """What was stored about a model.

    Raises:
        RavenError: it is missing, no JSON, or was written by a newer ravenML.
    """
    key = metadata_key(model_id)
    metadata: object = parse_json(store.read(key), f"{store.name}/{key}")
    if not isinstance(metadata, dict):
        raise RavenError(f"{store.name}/{key} must be a JSON object.")
    if isinstance(metadata.get("v"), int) and metadata["v"] > SCHEMA:
        raise RavenError(
            f"{store.name}/{key} was written by a newer ravenML (schema {metadata['v']}, known here up to "
            f"{SCHEMA}); upgrade ravenML to use it."
        )
    return metadata


class ModelNotFound(InputError):
    """No stored model has an ID that begins like that."""


def find_model(stores: Iterable[Store], prefix: str) -> tuple[Store, str]:
    """The first store that has a model whose ID begins with ``prefix`` or whose alias it is, and that ID.

    Raises:
        ModelNotFound: none begins like that.
        InputError: more than one does, or it is the alias of a model that is gone.
    """
    names = []
    for store in stores:
        names.append(store.name)
        if (meant := resolve_alias(store, prefix)) is not None:
            if store.head(metadata_key(meant)) is None:
                raise InputError(
                    f"{prefix} is the alias of {meant}, which is no longer in {store.name}; set it with "
                    f"`raven models alias {prefix} ID`."
                )
            return store, meant
        ids = [entry.key[len(METADATA) : -len(".json")] for entry in store.list(METADATA + prefix)]
        if prefix in ids:
            return store, prefix
        if len(ids) > 1:
            raise InputError(
                f"{len(ids)} models in {store.name} begin with {prefix!r}: {', '.join(ids[:5])}; "
                "give more letters."
            )
        if ids:
            return store, ids[0]
    raise ModelNotFound(
        f"No model in {' or '.join(names)} begins with {prefix!r}; `raven models list` shows them."
    )


def model_entries(store: Store, model_id: str, metadata: JsonObject) -> dict[str, Entry]:
    """Every object of a model but its metadata, by key."""
    found = {entry.key: entry for entry in store.list(extras_prefix(model_id))}
    for key in _model_keys(metadata):
        entry = store.head(key)
        if entry is not None:
            found[key] = entry
    return found


def pull_model(store: Store, model_id: str, folder: Path, extras: bool = True) -> Transferred:
    """Fetch a model into a folder, laid out like the store; its metadata last.

    Raises:
        RavenError: it is not whole there, differs from its checksums, or cannot be fetched.
    """
    metadata = read_metadata(store, model_id)
    entries = model_entries(store, model_id, metadata)
    expected = {
        key: Digest(int(one["size"]), str(one["crc32"])) for key, one in (metadata.get("files") or {}).items()
    }
    keys = dict.fromkeys([*_model_keys(metadata), *expected, *sorted(entries)])
    wanted = [key for key in keys if extras or not key.startswith("extras/")]
    targets = {key: path_below(folder, key, "The metadata") for key in wanted}
    done = download(store, targets, entries, "Fetching", expected)
    last = metadata_key(model_id)
    write_bytes(path_below(folder, last, "The metadata"), store.read(last))
    return done


def push_file(store: Store, file: Path, plugin: str | None, name: str | None, transfer_only: bool) -> str:
    """Store a ``model-state.tar`` that no run of ours has made.

    Args:
        store: where to.
        file: the tar.
        plugin: the plugin that uses it; without it, what its ``config.json`` says.
        name: what it is called in lists.
        transfer_only: it is only good to start trainings from: its classes need not be known.

    Raises:
        InputError: nobody says which plugin uses it, or its classes are missing.
        RavenError: it is not a model, or cannot be stored.

    Returns:
        Its ID.
    """
    config = read_config(file)
    settings = config.get("settings") or {}
    plugin = plugin or settings.get("plugin")
    if not plugin:
        raise InputError(f"{file}: its config.json does not say which plugin uses it; name it with --plugin.")
    if not transfer_only and not config.get("out_classes"):
        raise InputError(
            f"{file}: its config.json has no `out_classes`, without which it cannot predict; "
            "store it with --transfer-only to start trainings from it."
        )
    model_id, now = new_id(), utc_timestamp()
    metadata: JsonObject = {
        "v": SCHEMA,
        "id": model_id,
        "name": name or file.stem,
        "created": now,
        "finished": now,
        "plugin": plugin,
        "plugin_version": settings.get("plugin_version"),
        "transfer_only": transfer_only,
        "pushed_from": file.name,
        "metrics": {},
    }
    architecture = str(settings.get("architecture") or "model")
    with tempfile.TemporaryDirectory(prefix="ravenml-") as folder:
        noted = Path(folder) / "metadata.json"
        write_json(noted, metadata)
        store_result(store, model_id, architecture, {"": file}, {}, metadata, noted)
    return model_id


def rename_model(store: Store, model_id: str, name: str | None) -> None:
    """Give a model another name in lists; None or an empty one removes it.

    Raises:
        InputError: the name is too long, or has several lines.
    """
    name = (name or "").strip()
    if len(name) > _NAME or not name.isprintable():
        raise InputError(f"A model's name is one line of at most {_NAME} characters.")
    metadata = read_metadata(store, model_id)
    store.put_content(metadata_key(model_id), orjson.dumps({**metadata, "name": name or None}))


def remove_model(store: Store, model_id: str) -> int:
    """Remove a model and all beside it, its metadata first, so that nothing is ever half listed.

    Called again after an interruption, it removes what was left.

    Returns:
        How many objects there were.
    """
    keys = [entry.key for entry in store.list(extras_prefix(model_id))]
    try:
        keys += _model_keys(read_metadata(store, model_id))
    except RavenError:
        keys += [
            entry.key
            for entry in store.list("models/")
            if f"_{model_id}." in entry.key or f"_{model_id}-f" in entry.key
        ]
    store.delete(metadata_key(model_id))
    for name, meant in list_aliases(store).items():
        if meant == model_id:
            remove_alias(store, name)
    map_in_threads(store, store.delete, keys)
    return len(keys) + 1


def _read_row(store: Store, entry: Entry) -> ModelRow:
    model_id = entry.key[len(METADATA) : -len(".json")]
    written = utc_timestamp(entry.modified, milliseconds=False)
    try:
        metadata = read_metadata(store, model_id)
    except RavenError as error:
        return ModelRow(model_id, date=written, error=str(error))
    files, dataset = metadata.get("files") or {}, metadata.get("dataset")
    sizes = [files[key]["size"] for key in _model_keys(metadata) if key in files]
    name = dataset.get("name") if isinstance(dataset, dict) else dataset or metadata.get("dataset_used")
    return ModelRow(
        id=model_id,
        name=metadata.get("name"),
        architecture=metadata.get("architecture"),
        plugin=metadata.get("plugin"),
        dataset=name if isinstance(name, str) else None,
        created_by=metadata.get("created_by"),
        folds=sum(suffix.startswith("-f") for suffix in metadata.get("models") or {}),
        size=sum(sizes) if sizes else None,
        date=str(metadata.get("finished") or metadata.get("created") or written),
        metrics={k: v for k, v in (metadata.get("metrics") or {}).items() if k.count("/") < 2},
        transfer_only=bool(metadata.get("transfer_only")),
    )


def _model_keys(metadata: JsonObject) -> list[str]:
    models = metadata.get("models")
    return [str(key) for key in models.values()] if isinstance(models, dict) else []


def _write_cache(cache: Path, entries: Iterable[Entry], found: Mapping[str, JsonObject]) -> None:
    """Write the cache: what is known of these models by now."""
    content = {
        entry.key: {"etag": entry.etag, "model": found[entry.key]} for entry in entries if entry.key in found
    }
    with contextlib.suppress(RavenError):  # a cache that cannot be written costs time only
        write_bytes(cache, orjson.dumps({"v": _CACHE, "models": content}))


def _read_cache(cache: Path) -> JsonObject:
    try:
        content = orjson.loads(cache.read_bytes())
        return dict(content["models"]) if content["v"] == _CACHE else {}
    except (OSError, ValueError, KeyError, TypeError):
        return {}


def _identity(store: Store) -> str:
    """What tells a store from all others: two servers may have buckets of one name."""
    connection = getattr(store, "connection", None)
    return f"{connection.endpoint_url if connection else ''} {store.name}"
