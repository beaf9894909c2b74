"""Names for stored models that move on with their work: ``production``, ``best-of-camvid``.

An alias is a small object ``aliases/<name>.json`` in the store that holds the model, so that everybody who
uses the bucket means the same one.
"""

from __future__ import annotations

import re

import orjson

from ravenml.common.formatting import utc_timestamp
from ravenml.common.parsing import parse_json
from ravenml.errors import InputError, RavenError
from ravenml.store.base import Store
from ravenml.store.results import metadata_key
from ravenml.store.transfer import map_in_threads

_PREFIX, _SUFFIX = "aliases/", ".json"
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_.-]{0,63}")  # IDs begin with a digit


def set_alias(store: Store, name: str, model_id: str) -> None:
    """Let a name mean a model; it may have meant another one before.

    Raises:
        InputError: it is not a name, or the store has no such model.
    """
    if not _NAME.fullmatch(name):
        raise InputError(
            f"The alias {name!r} cannot be used: it begins with a letter, and has at most 64 letters, digits "
            "and . _ -"
        )
    if store.head(metadata_key(model_id)) is None:
        raise InputError(f"There is no model {model_id} in {store.name}.")
    store.put_content(_key(name), orjson.dumps({"v": 1, "model": model_id, "set": utc_timestamp()}))


def remove_alias(store: Store, name: str) -> bool:
    """Forget a name; whether there was one."""
    if not _NAME.fullmatch(name) or store.head(_key(name)) is None:
        return False
    store.delete(_key(name))
    return True


def resolve_alias(store: Store, name: str) -> str | None:
    """The ID of the model that a name means; None where nobody gave it a meaning.

    Raises:
        RavenError: the alias is broken.
    """
    if not _NAME.fullmatch(name) or store.head(_key(name)) is None:
        return None
    return _read(store, name)


def list_aliases(store: Store) -> dict[str, str]:
    """Every alias and the ID of its model; broken ones are left out."""
    names = [entry.key[len(_PREFIX) : -len(_SUFFIX)] for entry in store.list(_PREFIX)]

    def read(name: str) -> str | None:
        try:
            return _read(store, name)
        except RavenError:
            return None

    known = [name for name in names if _NAME.fullmatch(name)]
    found = map_in_threads(store, read, known)
    return {name: model for name, model in zip(known, found, strict=True) if model is not None}


def _read(store: Store, name: str) -> str:
    key = _key(name)
    content: object = parse_json(store.read(key), f"{store.name}/{key}")
    model = content.get("model") if isinstance(content, dict) else None
    if not isinstance(model, str) or not model:
        raise RavenError(f"{store.name}/{key} names no model; set it with `raven models alias {name} ID`.")
    return model


def _key(name: str) -> str:
    return f"{_PREFIX}{name}{_SUFFIX}"
