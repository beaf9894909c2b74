"""``model-state.tar``: a trained model in one file, ``config.json`` at its top level beside the weights.

The format is the one that Supervisely's plugins exchange: an uncompressed tar.  ``config.json`` holds
``settings`` (for ravenML: the plugin, its version, architecture, input size, normalisation and the name
of the weights file), ``out_classes`` (title, shape and colour in index order) and ``class_title_to_idx``.
"""

from __future__ import annotations

import json
import tarfile
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path, PurePosixPath
from typing import Any

from ravenml.errors import RavenError
from ravenml.files import write_beside

SCHEMA = 1
CONFIG = "config.json"
UNPACKED_LIMIT = 64 * 2**30


def pack_model(destination: Path, config: dict[str, Any], files: Sequence[Path]) -> Path:
    """Write ``config`` and ``files`` (by their bare names) into the tar ``destination``, whole or not at all.

    Returns:
        ``destination``.
    """
    content = json.dumps({"v": SCHEMA, **config}, indent=2).encode()
    with write_beside(destination) as target, tarfile.open(fileobj=target, mode="w") as tar:
        member = tarfile.TarInfo(CONFIG)
        member.size = len(content)
        tar.addfile(member, BytesIO(content))
        for file in files:
            member = tarfile.TarInfo(file.name)
            member.size = file.stat().st_size
            with file.open("rb") as source:
                tar.addfile(member, source)
    return destination


def read_config(path: Path) -> dict[str, Any]:
    """Read ``config.json`` of a ``model-state.tar``, or of the folder that one was unpacked into.

    Raises:
        RavenError: there is none, it is broken, or it was written by a newer ravenML.
    """
    if path.is_dir():
        try:
            content = (path / CONFIG).read_bytes()
        except FileNotFoundError:
            raise RavenError(f"{path} is no model: it has no {CONFIG}.") from None
    else:
        with _open(path) as tar:
            found = next((m for m in tar if m.isfile() and _clean(m.name) == PurePosixPath(CONFIG)), None)
            stream = tar.extractfile(found) if found is not None else None
            if stream is None:
                raise RavenError(f"{path} is no model-state.tar: it has no {CONFIG} at its top level.")
            content = stream.read()
    try:
        config: dict[str, Any] = json.loads(content)
    except ValueError as error:
        raise RavenError(f"{path}: {CONFIG} is not valid JSON: {error}.") from None
    if not isinstance(config, dict):
        raise RavenError(f"{path}: {CONFIG} must be a JSON object.")
    if int(config.get("v", SCHEMA)) > SCHEMA:
        raise RavenError(
            f"{path} was written by a newer ravenML (schema {config['v']}, known here up to {SCHEMA}); "
            "upgrade ravenML to open it."
        )
    return config


def unpack_model(path: Path, directory: Path) -> Path:
    """Unpack a ``model-state.tar`` into ``directory``, which is made.

    Raises:
        RavenError: the tar is broken, or a member is a link, a device, leaves the folder or is too large.

    Returns:
        ``directory``.
    """
    with _open(path) as tar:
        members = tar.getmembers()
        if sum(m.size for m in members) > UNPACKED_LIMIT:
            raise RavenError(
                f"{path} would unpack to more than {UNPACKED_LIMIT >> 30} GiB; it is not unpacked."
            )
        for member in members:
            name = _clean(member.name)
            if not (member.isfile() or member.isdir()) or name.is_absolute() or ".." in name.parts:
                raise RavenError(
                    f"{path}: the member {member.name!r} is not allowed in a model; nothing was unpacked."
                )
        for member in members:
            target = directory / _clean(member.name)
            if member.isdir():
                target.mkdir(parents=True, exist_ok=True)
                continue
            stream = tar.extractfile(member)
            assert stream is not None  # only regular files are left
            with write_beside(target) as file:
                while chunk := stream.read(1 << 20):
                    file.write(chunk)
    return directory


def _open(path: Path) -> tarfile.TarFile:
    try:
        return tarfile.open(path, mode="r:")
    except FileNotFoundError:
        raise RavenError(f"{path} does not exist.") from None
    except (tarfile.TarError, OSError) as error:
        raise RavenError(f"{path} is no readable tar file: {error}.") from None


def _clean(name: str) -> PurePosixPath:
    """``./config.json``, as ``tar -C DIR .`` writes it, names the same member as ``config.json``."""
    return PurePosixPath(name)
