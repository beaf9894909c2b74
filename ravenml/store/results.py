"""Storing a finished training under the keys that ravenML users know.

``models/<architecture>_<id>.<ext>``, ``models/metadata_<id>.json``, ``extras/<id>/…``; a k-fold run has
a model per fold, ``<id>-f<i>``, and one metadata file that names them.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ravenml.config.home import store_dir
from ravenml.files import write_json
from ravenml.store.local import publish, put

_PRIVATE = ("run.lock", "control.json", "run.json")
USUAL_FILES = (
    "model-state.tar",
    "metadata.json",
    "events.jsonl",
    "console.log",
    "scores.npz",
    "summary.json",
)
_GROWING = ("events.jsonl", "console.log")  # appended to in place: copied, never linked


def run_files(folder: Path) -> dict[str, Path]:
    """What of a run's folder is stored, by its name within.

    All but what belongs to the run's work (``run.json``, locks, the states for resuming, hidden files);
    everything that the plugin put into ``artifacts/``.
    """
    files = (path for path in sorted(folder.rglob("*")) if path.is_file() and not path.is_symlink())
    named = {path.relative_to(folder).as_posix(): path for path in files}
    return {name: path for name, path in named.items() if "artifacts/" in name or not _is_private(path)}


def _is_private(path: Path) -> bool:
    state = path.name.startswith("state_") and path.suffix == ".pt"
    return state or path.name in _PRIVATE or path.name.startswith(".")


def store_result(
    folder: Path,
    run_id: str,
    architecture: str,
    models: Mapping[str, Path],
    metadata: dict[str, Any],
    local: Path | None,
) -> Path:
    """Store a run's result, the metadata last, so that what is listed is whole.

    Args:
        folder: the run's folder.
        run_id: the run's name.
        architecture: the first part of the models' names.
        models: by suffix to the run's id (empty, or ``-f0`` …), the model's file.
        metadata: what is said about the result.
        local: the folder that the user named; laid out like the run's folder.  None is the local store.

    Raises:
        InputError: the user's folder holds a file of that name.
        RavenError: the disk is full or may not be written.

    Returns:
        Where the result lies: the user's folder, or the metadata file in the store.
    """
    files = run_files(folder)
    metadata_file = folder / "metadata.json"
    if local is not None:
        write_json(
            metadata_file,
            metadata | {"models": {s: p.relative_to(folder).as_posix() for s, p in models.items()}},
        )
        publish({**files, "metadata.json": metadata_file}, local, run_id)
        return local
    names = {
        suffix: f"models/{architecture}_{run_id}{suffix}{path.suffix}" for suffix, path in models.items()
    }
    inside = {path for path in models.values()}
    put({names[suffix]: path for suffix, path in models.items()}, store_dir())
    put(
        {f"extras/{run_id}/{n}": p for n, p in files.items() if p not in inside and p != metadata_file},
        store_dir(),
        copied=_GROWING,
    )
    write_json(metadata_file, metadata | {"models": names})
    key = f"models/metadata_{run_id}.json"
    put({key: metadata_file}, store_dir())
    return store_dir() / key
