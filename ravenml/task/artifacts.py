"""Objects as files: what ``upload_artifact`` is given, in the form that other programs read best."""

from __future__ import annotations

import json
import os
import pickle
import shutil
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ravenml.common.io import atomic_open, to_jsonable, to_user_error, write_bytes
from ravenml.errors import InputError


def save_artifact(folder: Path, name: str, value: Any) -> Path:
    """Write ``value`` into ``folder`` under ``name``.

    A path is copied (a folder as a zip), a mapping or list becomes JSON, an array ``.npz``, a table CSV, a
    picture PNG, a text ``.txt``, and everything else is pickled.

    Returns:
        The file.

    Raises:
        InputError: the path does not exist, or the value can be kept in no form.
    """
    if isinstance(value, os.PathLike) or (isinstance(value, str) and os.path.exists(value)):
        return _copy(folder, name, Path(value))
    if isinstance(value, str):
        return _write(folder / f"{name}.txt", value.encode())
    if isinstance(value, Mapping | list | tuple):
        try:
            content = json.dumps(to_jsonable(_copy_container(value), name), indent=2, ensure_ascii=False)
            return _write(folder / f"{name}.json", content.encode())
        except Exception:
            return _pickle(folder, name, value)
    target = folder / name
    kind = type(value).__module__.partition(".")[0]
    if kind == "numpy":
        import numpy as np

        with atomic_open(target.with_name(f"{name}.npz")) as file:
            np.savez_compressed(file, **{"array": value})
        return target.with_name(f"{name}.npz")
    if hasattr(value, "to_csv"):
        return _write(target.with_name(f"{name}.csv"), str(value.to_csv()).encode())
    if kind == "PIL" and hasattr(value, "save"):
        with atomic_open(target.with_name(f"{name}.png")) as file:
            value.save(file, format="PNG")
        return target.with_name(f"{name}.png")
    return _pickle(folder, name, value)


def _copy_container(value: Any) -> Any:
    return dict(value) if isinstance(value, Mapping) else list(value)


def _write(path: Path, content: bytes) -> Path:
    write_bytes(path, content)
    return path


def _pickle(folder: Path, name: str, value: Any) -> Path:
    try:
        return _write(folder / f"{name}.pkl", pickle.dumps(value))
    except Exception as error:
        raise InputError(f"upload_artifact: {name!r} cannot be written to a file: {error}.") from None


def _copy(folder: Path, name: str, source: Path) -> Path:
    if not source.exists():
        raise InputError(f"upload_artifact: {source} does not exist.")
    target = folder / name / source.name
    if source.is_dir():
        target = folder / f"{name}.zip"
        with atomic_open(target) as file, zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
            for path in sorted(source.rglob("*")):
                if path.is_file():
                    archive.write(path, path.relative_to(source))
        return target
    try:
        with source.open("rb") as reader, atomic_open(target) as file:
            shutil.copyfileobj(reader, file, 1 << 20)
    except OSError as error:
        raise to_user_error(error, source) from error
    return target
