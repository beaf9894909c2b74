"""``model-state.tar``: a trained model in one file, ``config.json`` at its top level beside the weights.

The format is the one that Supervisely's plugins exchange: an uncompressed tar.  ``config.json`` holds
``settings`` (for ravenML: the plugin, its version, architecture, input size, normalisation and the name
of the weights file), ``out_classes`` (title, shape and colour in index order) and ``class_title_to_idx``.
"""

from __future__ import annotations

import json
import os
import shutil
import tarfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from io import BytesIO
from pathlib import Path, PurePosixPath

from ravenml.common.io import JsonObject, atomic_open, to_user_error
from ravenml.common.parsing import parse_json
from ravenml.common.permissions import make_folder
from ravenml.common.reading import is_usable_name, open_file, read_bytes
from ravenml.errors import RavenError

SCHEMA = 1
CONFIG = "config.json"
CONFIG_LIMIT = 64 * 2**20
MEMBERS_LIMIT = 100_000
_LONGEST_NAME = 4096
_COMPRESSED = (b"\x1f\x8b", b"BZh", b"\xfd7zX", b"PK\x03\x04", b"\x28\xb5\x2f\xfd")  # gzip to Zstandard
# What Python's module raises for a tar that is cut off or odd, beyond its own errors.
# What people take for a model-state.tar, by the ends of its name.
_GRAPH = "not a model-state.tar; `raven infer` and `raven serve` take it as it is"
_WEIGHTS = "not a model-state.tar; `raven models pack` makes one of a folder with config.json and weights"
_OTHER_MODELS = {
    ".onnx": f"an ONNX graph, {_GRAPH}",
    ".xml": f"an OpenVINO graph, {_GRAPH}",
    ".torchscript.pt": "a TorchScript, not a model-state.tar; programs that use PyTorch open it",
    **dict.fromkeys((".pt", ".pth", ".h5", ".keras", ".safetensors"), f"a file of weights, {_WEIGHTS}"),
}
TAR_ERRORS = (tarfile.TarError, EOFError, OSError, ValueError, ArithmeticError, RecursionError, MemoryError)


def pack_model(destination: Path, config: JsonObject, files: Sequence[Path]) -> Path:
    """Write ``config`` and ``files`` (by their bare names) into the tar ``destination``, whole or not at all.

    Returns:
        ``destination``.
    """
    content = json.dumps({"v": SCHEMA, **config}, indent=2).encode()
    with atomic_open(destination) as target, tarfile.open(fileobj=target, mode="w") as tar:
        member = tarfile.TarInfo(CONFIG)
        member.size = len(content)
        tar.addfile(member, BytesIO(content))
        for file in files:
            _add(tar, file, file.name)
    return destination


def pack_folder(folder: Path, destination: Path) -> list[str]:
    """Write a folder with ``config.json`` and weights into the tar ``destination``, whole or not at all.

    Folders within it (TensorFlow's checkpoints) are packed with their names; hidden files are left out.

    Raises:
        RavenError: it has no usable ``config.json``, or holds a link, or something that is not a file.

    Returns:
        The members' names, ``config.json`` first.
    """
    read_config(folder)
    names = [path.relative_to(folder) for path in sorted(folder.rglob("*"))]
    shown = [name for name in names if not any(part.startswith(".") for part in name.parts)]
    for name in shown:
        path = folder / name
        if path.is_symlink() or not (path.is_file() or path.is_dir()):
            raise RavenError(
                f"{path} is a link, or no file; a model holds files alone: put a copy in its place."
            )
    files = [name for name in shown if (folder / name).is_file() and (folder / name) != destination]
    files.sort(key=lambda name: name != Path(CONFIG))
    with atomic_open(destination) as target, tarfile.open(fileobj=target, mode="w") as tar:
        for name in files:
            _add(tar, folder / name, name.as_posix())
    return [name.as_posix() for name in files]


def _add(tar: tarfile.TarFile, file: Path, name: str) -> None:
    """Add a file with its name and content alone: no owner, no time."""
    member = tarfile.TarInfo(name)
    with file.open("rb") as source:
        member.size = os.fstat(source.fileno()).st_size
        tar.addfile(member, source)


def read_config(path: Path) -> JsonObject:
    """Read ``config.json`` of a ``model-state.tar``, or of the folder that one was unpacked into.

    Raises:
        RavenError: there is none, it is broken, or it was written by a newer ravenML.
    """
    if path.is_dir():
        try:
            content = read_bytes(path / CONFIG, CONFIG_LIMIT)
        except FileNotFoundError:
            raise RavenError(f"{path} is not a model: it has no {CONFIG}.") from None
        except OSError as error:
            raise RavenError(f"{path / CONFIG} cannot be read: {error.strerror or error}.") from None
    else:
        with _open(path) as tar, _whole(path):
            found = next((m for m in tar if m.isfile() and _clean(m.name) == PurePosixPath(CONFIG)), None)
            stream = tar.extractfile(found) if found is not None else None
            if stream is None:
                raise RavenError(f"{path} is not a model-state.tar: it has no {CONFIG} at its top level.")
            if found is not None and found.size > CONFIG_LIMIT:
                limit = f"{CONFIG_LIMIT >> 20} MiB"
                raise RavenError(f"{path}: {CONFIG} is larger than {limit}, which no model's is.")
            content = stream.read()
    config: JsonObject = parse_json(content, f"{path}: {CONFIG}")
    if not isinstance(config, dict):
        raise RavenError(f"{path}: {CONFIG} must be a JSON object.")
    if not isinstance(config.get("settings", {}), dict):
        raise RavenError(f"{path}: {CONFIG}: `settings` must be a JSON object.")
    version = config.get("v", SCHEMA)
    if not isinstance(version, int):
        raise RavenError(f"{path}: {CONFIG}: `v` must be a whole number, not {str(version)[:50]!r}.")
    if version > SCHEMA:
        raise RavenError(
            f"{path} was written by a newer ravenML (schema {config['v']}, known here up to {SCHEMA}); "
            "upgrade ravenML to open it."
        )
    return config


def check_model(path: Path) -> JsonObject:
    """Read ``config.json`` of a ``model-state.tar`` that could be unpacked, and unpack nothing.

    Raises:
        RavenError: as :func:`unpack_model` and :func:`read_config`.
    """
    with _open(path) as tar:
        _members(tar, path)
    return read_config(path)


def unpack_model(path: Path, directory: Path) -> Path:
    """Unpack a ``model-state.tar`` into ``directory``, which is made.

    Raises:
        RavenError: the tar is broken; a member is a link or a device, leaves the folder, or is there twice;
            or it would unpack to more than it holds (as only sparse files do).  Nothing is unpacked then.

    Returns:
        ``directory``.
    """
    with _open(path) as tar, _whole(path):
        members = _members(tar, path)
        for member in members:
            target = directory / _clean(member.name)
            if member.isdir():
                try:
                    make_folder(target)
                except OSError as error:
                    raise to_user_error(error, target) from error
                continue
            stream = tar.extractfile(member)
            assert stream is not None  # only regular files are left
            with atomic_open(target) as file:
                shutil.copyfileobj(stream, file, 1 << 20)
    return directory


def _members(tar: tarfile.TarFile, path: Path) -> list[tarfile.TarInfo]:
    """The members, once none of them is found to be harmful."""
    members: list[tarfile.TarInfo] = []
    files: set[PurePosixPath] = set()
    folders: set[PurePosixPath] = set()
    size = 0
    with _whole(path):
        for member in tar:
            name = _clean(member.name[:_LONGEST_NAME])  # one that is longer is refused, however deep it is
            plain = (member.isreg() and not member.issparse() and name.parts) or member.isdir()
            # The same name twice, or once for a file and once for a folder, also as part of a longer name.
            clashes = name in files or (name in folders and not member.isdir()) or files & {*name.parents}
            if not plain or not is_usable_name(member.name) or clashes:
                said = f"the member {member.name[:300]!r} is not allowed in a model"
                raise RavenError(f"{path}: {said}; nothing was unpacked.")
            folders |= {*name.parents, *([name] if member.isdir() else [])}
            files |= set() if member.isdir() else {name}
            members.append(member)
            size += member.size
            if len(members) > MEMBERS_LIMIT or size > path.stat().st_size:
                raise RavenError(f"{path} would unpack to more than a model holds; nothing was unpacked.")
    return members


@contextmanager
def _whole(path: Path) -> Iterator[None]:
    """A block in which a tar is read, which may be cut off, broken, or on a disk that is."""
    try:
        yield
    except TAR_ERRORS as error:
        raise RavenError(f"{path} is not a complete tar file: {error}; copy it again.") from None


@contextmanager
def _open(path: Path) -> Iterator[tarfile.TarFile]:
    compressed = False
    with ExitStack() as stack:
        try:
            file = stack.enter_context(open_file(path))
            compressed = file.peek(4).startswith(_COMPRESSED)
            tar = stack.enter_context(tarfile.open(fileobj=file, mode="r:"))
        except FileNotFoundError:
            raise RavenError(f"{path} does not exist.") from None
        except TAR_ERRORS as error:
            for suffix, kind in _OTHER_MODELS.items():
                if path.name.lower().endswith(suffix):
                    raise RavenError(f"{path} is {kind}.") from None
            said = (isinstance(error, OSError) and error.strerror) or str(error)
            why = "it is compressed, and a model is a plain tar" if compressed else said
            raise RavenError(f"{path} is not a readable tar file: {why}.") from None
        yield tar


def _clean(name: str) -> PurePosixPath:
    """``./config.json``, as ``tar -C DIR .`` writes it, names the same member as ``config.json``."""
    return PurePosixPath(name)
