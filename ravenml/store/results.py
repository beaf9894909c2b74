"""Storing a finished training under the keys that ravenML users know.

``models/<architecture>_<id>.<ext>``, ``models/metadata_<id>.json``, ``extras/<id>/…``; a k-fold run has
a model per fold, ``<id>-f<i>``, and one metadata file that names them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from ravenml.common.io import write_json
from ravenml.store.base import Store
from ravenml.store.transfer import Transferred, upload

METADATA = "models/metadata_"
USUAL_FILES = (
    "model-state.tar",
    "metadata.json",
    "events.jsonl",
    "console.log",
    "scores.npz",
    "summary.json",
)


def metadata_key(model_id: str) -> str:
    """Under which key a model's metadata lies."""
    return f"{METADATA}{model_id}.json"


def extras_prefix(model_id: str) -> str:
    """What the keys of all that lies beside a model begin with."""
    return f"extras/{model_id}/"


def model_key(architecture: str, model_id: str, suffix: str, extension: str) -> str:
    """Under which key a model lies; ``suffix`` is empty, or ``-f0`` for a fold's."""
    return f"models/{re.sub(r'[^A-Za-z0-9.+-]', '-', architecture)}_{model_id}{suffix}{extension}"


def store_result(
    store: Store,
    model_id: str,
    architecture: str,
    models: Mapping[str, Path],
    extras: Mapping[str, Path],
    metadata: Mapping[str, object],
    metadata_file: Path,
) -> Transferred:
    """Store a result, the metadata last, so that what is listed is whole.

    What a call before this one has stored is not sent again.

    Args:
        store: where to.
        model_id: the run's name.
        architecture: the first part of the models' names.
        models: by suffix to the run's id (empty, or ``-f0`` …), the model's file.
        extras: by name below ``extras/<id>/``, what lies beside them.
        metadata: what is said about the result; the models' keys and all files' checksums are added.
        metadata_file: where the metadata is written on this machine.

    Raises:
        RavenError: it cannot be stored; nothing is listed, and a second call resumes.
    """
    keys = {suffix: model_key(architecture, model_id, suffix, path.suffix) for suffix, path in models.items()}
    done = Transferred()
    for suffix, path in models.items():
        part = upload(store, {keys[suffix]: path}, keys[suffix], "Storing the model")
        done.files |= part.files
        done.sent += part.sent
        done.kept += part.kept
    prefix = extras_prefix(model_id)
    part = upload(store, {prefix + name: path for name, path in extras.items()}, prefix, "Storing the rest")
    done.files |= part.files
    done.sent, done.kept, done.summary = done.sent + part.sent, done.kept + part.kept, part.summary
    files = {key: {"size": one.size, "crc32": one.crc32} for key, one in done.files.items()}
    write_json(metadata_file, {**metadata, "architecture": architecture, "models": keys, "files": files})
    store.put(metadata_key(model_id), metadata_file)
    return done
