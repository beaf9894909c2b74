"""Objects as files, in the form that other programs read best, and back: what ``upload_artifact`` keeps."""

from __future__ import annotations

import glob
import hashlib
import json
import os
import pickle
import re
import shutil
import zipfile
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ravenml.common.io import JsonObject, atomic_open, read_json, to_jsonable, to_user_error, write_bytes
from ravenml.config.home import cache_dir
from ravenml.errors import InputError, RavenError
from ravenml.task.names import ClearMLName

_PATTERN = re.compile(r"\S*\*\S*(?:/\S*|\.\w+|/\*)|\S*/\S*\*\S*")  # data/*.jpg; not 3 * 4, nor *emphasis*
ARCHIVES = ("folder", "archive")  # kinds of artifacts that are a zip of several files


def save_artifact(
    folder: Path, name: str, value: Any, serialize: Callable[[Any], bytes] | None = None
) -> tuple[Path, str]:
    """Write ``value`` into ``folder`` under ``name``.

    A path is copied (a folder as a zip, and so are the files that a pattern such as ``data/*.jpg`` matches),
    a mapping or list becomes JSON, an array ``.npz``, a table CSV, a picture PNG, a text ``.txt``, and
    everything else is pickled.

    Args:
        serialize: makes the file's bytes of ``value``; without it, the rules above.

    Returns:
        The file, and its kind: ``file``, ``folder``, ``archive``, ``json``, ``array``, ``table``, ``series``,
        ``image``, ``text``, ``pickle`` or ``bytes``.

    Raises:
        InputError: the path does not exist, no file matches, or the value can be kept in no form.
    """
    target = folder / name
    if serialize is not None:
        return _write(folder, f"{name}.bin", serialize(value)), "bytes"
    if isinstance(value, os.PathLike) or (isinstance(value, str) and os.path.exists(value)):
        return _copy(folder, name, Path(value))
    if isinstance(value, str) and _PATTERN.fullmatch(value):
        return zip_files(
            folder, name, Path(os.path.dirname(value.partition("*")[0])), _matches(value)
        ), "archive"
    if isinstance(value, str):
        return _write(folder, f"{name}.txt", value.encode()), "text"
    if isinstance(value, Mapping | list | tuple):
        try:
            content = json.dumps(to_jsonable(_copy_container(value), name), indent=2, ensure_ascii=False)
            return _write(folder, f"{name}.json", content.encode()), "json"
        except Exception:
            return _pickle(folder, name, value)
    kind = type(value).__module__.partition(".")[0]
    if kind == "numpy" and not getattr(getattr(value, "dtype", None), "hasobject", False):
        import numpy as np

        with atomic_open(target.with_name(f"{name}.npz")) as file:
            np.savez_compressed(file, **{"array": value})
        return target.with_name(f"{name}.npz"), "array"
    if hasattr(value, "to_csv"):
        table = "series" if getattr(value, "ndim", 2) == 1 else "table"
        return _write(folder, f"{name}.csv", str(value.to_csv()).encode()), table
    if kind == "PIL" and hasattr(value, "save"):
        with atomic_open(target.with_name(f"{name}.png")) as file:
            value.save(file, format="PNG")
        return target.with_name(f"{name}.png"), "image"
    return _pickle(folder, name, value)


@dataclass
class Artifact(ClearMLName):
    """An artifact of a run.

    Attributes:
        name: what ``upload_artifact`` was given.
        path: the file in the run's folder; None where there only is an address.
        kind: what it was made of, see :func:`save_artifact`.
        url: where it is: in ``output_uri``, or else the file.
        size: in bytes.
        metadata: what ``upload_artifact`` was given.
    """

    name: str
    path: Path | None
    kind: str = "file"
    url: str = ""
    size: int = 0
    metadata: Mapping[str, Any] = field(default_factory=dict)

    @property
    def type(self) -> str:
        """Its kind, see :attr:`kind`."""
        return self.kind

    @property
    def hash(self) -> str:
        """The SHA-256 of its file."""
        with self._file().open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()

    def get(
        self, force_download: bool = False, deserialization_function: Callable[[bytes], Any] | None = None
    ) -> Any:
        """The object again: a mapping, array, DataFrame, picture or text; of a file or folder, its path.

        Args:
            deserialization_function: makes the object of the file's bytes.

        Raises:
            InputError: it is a pickle, which can run any code, and no function was given.
            RavenError: the file is gone, or cannot be read.
        """
        path = self._file()
        if deserialization_function is not None:
            return deserialization_function(path.read_bytes())
        match self.kind:
            case "json":
                return read_json(path)
            case "text":
                return path.read_text()
            case "bytes":
                return path.read_bytes()
            case "array":
                import numpy as np

                with np.load(path, allow_pickle=False) as arrays:
                    return arrays["array"]
            case "table" | "series":
                import pandas  # type: ignore[import-untyped,unused-ignore]

                table = pandas.read_csv(path, index_col=0)
                return table.squeeze("columns") if self.kind == "series" else table
            case "image":
                from PIL import Image

                return Image.open(path)
            case "pickle":
                raise InputError(
                    f"The artifact {self.name!r} is a pickle, which can run any code when it is opened; "
                    "if you trust the run, give get(deserialization_function=pickle.loads)."
                )
        return Path(self.get_local_copy())

    def get_local_copy(
        self, extract_archive: bool = True, raise_on_error: bool = False, force_download: bool = False
    ) -> str:
        """The path of its file; of a folder that was kept as a zip, that of the folder.

        Args:
            extract_archive: without it, the zip's.

        Raises:
            RavenError: the file is gone, or cannot be fetched.
        """
        path = self._file()
        if not (extract_archive and self.kind in ARCHIVES):
            return str(path)
        return str(extract(path))

    def _file(self) -> Path:
        if self.path is not None and self.path.is_file():
            return self.path
        if self.url.startswith("s3://"):
            from ravenml.store.fetching import fetch

            return fetch(self.url)
        raise RavenError(f"The file of the artifact {self.name!r} is gone: {self.path or self.url}.")


def extract(archive: Path) -> Path:
    """The folder of the cache that holds an archive's files; made once, whole or not at all.

    Raises:
        RavenError: the archive is broken, or the disk is full.
    """
    found = archive.stat()
    stamp = f"{archive.absolute()} {found.st_size} {found.st_mtime_ns}"
    target = cache_dir() / "extracted" / hashlib.blake2b(stamp.encode(), digest_size=10).hexdigest()
    if not target.is_dir():
        from ravenml.common.io import temporary_folder
        from ravenml.common.permissions import make_folder

        try:
            make_folder(target.parent)
            with temporary_folder(target) as place:
                shutil.unpack_archive(archive, place / "files", **_filter(archive))
                if not target.is_dir():
                    os.rename(place / "files", target)
        except (OSError, ValueError, EOFError, zipfile.BadZipFile, shutil.ReadError) as error:
            if not target.is_dir():
                raise RavenError(f"{archive} cannot be extracted: {error}.") from error
    return target


def _filter(archive: Path) -> JsonObject:
    """Nothing of a tar may lie outside its folder; of a zip, nothing can."""
    return {} if archive.suffix == ".zip" else {"filter": "data"}


def _matches(pattern: str) -> list[Path]:
    found = [Path(one) for one in sorted(glob.glob(pattern, recursive=True)) if os.path.isfile(one)]
    if not found:
        raise InputError(f"upload_artifact: no file matches {pattern}.")
    return found


def _copy_container(value: Any) -> Any:
    return dict(value) if isinstance(value, Mapping) else list(value)


def _write(folder: Path, name: str, content: bytes) -> Path:
    write_bytes(folder / name, content)
    return folder / name


def _pickle(folder: Path, name: str, value: Any) -> tuple[Path, str]:
    try:
        return _write(folder, f"{name}.pkl", pickle.dumps(value)), "pickle"
    except Exception as error:
        raise InputError(f"upload_artifact: {name!r} cannot be written to a file: {error}.") from None


def _copy(folder: Path, name: str, source: Path) -> tuple[Path, str]:
    if not source.exists():
        raise InputError(f"upload_artifact: {source} does not exist.")
    target = folder / name / source.name
    if source.is_dir():
        return zip_files(
            folder, name, source, (path for path in sorted(source.rglob("*")) if path.is_file())
        ), "folder"
    try:
        with source.open("rb") as reader, atomic_open(target) as file:
            shutil.copyfileobj(reader, file, 1 << 20)
    except OSError as error:
        raise to_user_error(error, source) from error
    return target, "file"


def zip_files(folder: Path, name: str, above: Path, files: Iterable[Path]) -> Path:
    """Files as a zip, under their paths below ``above``, or their names where they lie elsewhere."""
    target = folder / f"{name}.zip"
    with atomic_open(target) as file, zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in files:
            inside = path.relative_to(above) if path.is_relative_to(above) else Path(path.name)
            archive.write(path, inside)
    return target
