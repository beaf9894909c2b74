"""``raven plugin image``: a plugin as a Docker image, with the labels that Supervisely reads.

The build context is a tar, which ``docker build`` reads from stdin; without an engine it is the result.  The
Dockerfile says what it holds: our own plugins' find their folder, and ravenML's sources as ``core/``; one
that is written for Supervisely's build (``ARG MODULE_PATH``) finds the plugin as ``plugin/``, and beside it a
``supervisely_lib`` where it copies one.
"""

from __future__ import annotations

import base64
import io
import json
import re
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, metadata
from pathlib import Path

import ravenml
from ravenml.agent.isolation import is_available
from ravenml.agent.mounts import LIBRARY, find_library
from ravenml.agent.plugin_folder import INFO, VERSION, PluginFolder
from ravenml.common.hooks import PRESETS
from ravenml.common.io import atomic_open
from ravenml.errors import InputError, RavenError

CORE = "core"
PLUGIN = "plugin"  # in the context: MODULE_PATH
REGISTRY = "supervisely"  # where the bases of Supervisely's plugins were
ENGINES = ("docker", "podman", "buildah")
_LEFT_OUT = ("__pycache__", ".venv", ".git", "build", "dist", "node_modules")
_LEFT_OUT_ENDS = (".pyc", ".egg-info", "_cache", ".hypothesis")


@dataclass(frozen=True)
class ImageRequest:
    """An image that is to be built.

    Attributes:
        plugin: whose.
        registry: what comes before the name in ``VERSION``; also the ``REGISTRY`` of the plugin's base image.
        library: the ``supervisely_lib`` that its Dockerfile copies; by default the plugin's own, one beside
            its folder, or ravenML's.
    """

    plugin: PluginFolder
    registry: str | None = None
    library: str | None = None

    @property
    def name(self) -> str:
        """The image, ``registry/name:tag``."""
        version = self.plugin.version or ""
        return f"{self.registry}/{version}" if self.registry else version

    def arguments(self) -> dict[str, str]:
        """The build's arguments, as Supervisely's own build passes them."""
        path, _, tag = self.name.rpartition(":")
        return {"MODULE_PATH": PLUGIN, "REGISTRY": path.rpartition("/")[0] or REGISTRY, "TAG": tag}

    def dockerfile(self) -> str:
        """What the plugin's Dockerfile says."""
        return (self.plugin.root / "Dockerfile").read_text(encoding="utf-8", errors="replace")


def labels(request: ImageRequest) -> dict[str, str]:
    """The image's labels: its name, the modes that it offers, and in base64 what describes it.

    Raises:
        InputError: the plugin lacks one of the files that an image needs; each is named.
    """
    plugin = request.plugin
    missing = [name for name in (INFO, VERSION, "Dockerfile") if not (plugin.root / name).is_file()]
    if missing:
        raise InputError(f"{plugin.root} lacks {', '.join(missing)}, which an image needs.")
    return {
        "VERSION": request.name,
        "INFO": _encode(plugin.root / INFO),
        "MODES": " ".join(plugin.modes),
        "README": _encode(plugin.root / "README.md"),
        "CONFIGS": _encode(plugin.root / PRESETS),
    }


def write_context(request: ImageRequest, target: Path) -> None:
    """Write the complete build context, the labels in its Dockerfile.

    The same folder gives the same bytes.

    Raises:
        RavenError: a file cannot be read or written.
    """
    labelled = _labelled_dockerfile(request)
    with atomic_open(target) as file, tarfile.open(fileobj=file, mode="w", dereference=True) as tar:
        _add(tar, "Dockerfile", labelled)
        for name, source in sorted(_context(request), key=lambda entry: entry[0]):
            path = source if isinstance(source, Path) else None
            _add(tar, name, source.read_bytes() if isinstance(source, Path) else source, path)


def build_command(engine: str, name: str, folder: Path | None = None) -> list[str]:
    """The command line that builds an image: from a folder, or as Docker alone can from stdin."""
    return [engine, "build", "--tag", name, "-" if folder is None else str(folder)]


def build(request: ImageRequest, push: bool = False) -> None:
    """Build the image with the first engine that is installed, and push it.

    Raises:
        RavenError: there is no engine, or it failed.
    """
    labels(request)
    engine = next((name for name in ENGINES if shutil.which(name) and _answers(name)), None)
    if engine is None:
        raise RavenError(
            f"There is no Docker here, nor {' or '.join(ENGINES[1:])}; --context FILE.tar writes the build "
            "context, which `docker build -` takes elsewhere."
        )
    with tempfile.TemporaryDirectory(prefix="raven-image-") as folder:
        context = Path(folder) / "context.tar"
        write_context(request, context)
        if engine == "docker":
            with context.open("rb") as stdin:
                done = subprocess.run(build_command(engine, request.name), stdin=stdin)
        else:
            unpacked = Path(folder) / "context"
            with tarfile.open(context) as tar:
                tar.extractall(unpacked)  # noqa: S202 - just written, with plain files only
            command = build_command(engine, request.name, unpacked)
            done = subprocess.run(command, stdin=subprocess.DEVNULL)
    if done.returncode == 0 and push:
        done = subprocess.run([engine, "push", request.name], stdin=subprocess.DEVNULL)
    if done.returncode:
        raise RavenError(f"{engine} failed with exit code {done.returncode}; see its output above.")


def _answers(engine: str) -> bool:
    """Whether an engine that is installed can build; Docker's command line alone cannot."""
    return engine != "docker" or is_available(engine)


def _labelled_dockerfile(request: ImageRequest) -> bytes:
    """The Dockerfile with its arguments' values, and the labels at its end, so that they go with the context
    wherever it is built.
    """
    pairs = (f"{name}={json.dumps(value)}" for name, value in labels(request).items())
    text = request.dockerfile().rstrip()
    for name, value in request.arguments().items():
        text = re.sub(rf"(?mi)^(\s*ARG\s+{name})\s*$", rf"\1={value}", text)
    return (text + "\nLABEL " + " \\\n      ".join(pairs) + "\n").encode()


def _context(request: ImageRequest) -> Iterator[tuple[str, Path | bytes]]:
    """The files of the context beside the Dockerfile: each name, and where it lies or its content."""
    said, root = request.dockerfile(), request.plugin.root
    by_module = re.search(r"(?mi)^\s*ARG\s+MODULE_PATH\b", said) is not None
    for name, path in _files(root):
        if name != "Dockerfile" or by_module:
            yield f"{PLUGIN}/{name}" if by_module else name, path
    copied = "\n".join(re.findall(r"(?mi)^\s*(?:COPY|ADD)\s.*$", said))
    if not by_module or re.search(rf"\b{CORE}\b", copied):
        for name, path in _files(Path(ravenml.__file__).parent):
            yield f"{CORE}/ravenml/{name}", path
        yield f"{CORE}/pyproject.toml", _project_file().encode()
    if re.search(rf"(?<![/\w]){LIBRARY}\b", copied) and (by_module or not (root / LIBRARY).is_dir()):
        yield from _library(request)


def _library(request: ImageRequest) -> Iterator[tuple[str, Path | bytes]]:
    """What is copied into the image as ``supervisely_lib``: ravenML's brings ravenML with it."""
    own = request.plugin.root / LIBRARY
    folder = find_library(request.plugin.root, request.library)
    if folder is None and request.library is None and own.is_dir():
        folder = own
    if folder is not None:
        yield from ((f"{LIBRARY}/{name}", path) for name, path in _files(folder))
        return
    yield f"{LIBRARY}/__init__.py", _IN_IMAGE.encode()
    yield f"{LIBRARY}/requirements.txt", "".join(f"{line}\n" for line in _requirements()).encode()
    for name, path in _files(Path(ravenml.__file__).parent):
        yield f"{LIBRARY}/_core/ravenml/{name}", path


# Read by whatever interpreter the image has: nothing in it needs more than Python 3.5.
_IN_IMAGE = '''"""``supervisely_lib``: ravenML's SDK, with ravenML itself in ``_core``."""

import os
import sys

if sys.version_info < (3, 11):
    raise ImportError(
        "ravenML's supervisely_lib needs Python 3.11, and this is {}.{}. Build the image with "
        "`raven plugin image --lib DIR`, DIR being a supervisely_lib for it.".format(*sys.version_info[:2])
    )
sys.path.append(os.path.join(os.path.dirname(os.path.abspath(__file__)), "_core"))
from ravenml.sly.module_alias import install_alias  # noqa: E402

install_alias(sys.modules[__name__])
'''


def _encode(path: Path) -> str:
    return base64.b64encode(path.read_bytes()).decode() if path.is_file() else ""


def _files(root: Path) -> Iterator[tuple[str, Path]]:
    """What of a folder goes into an image: neither environments nor caches, and nothing that is hidden, which
    may hold secrets (``.env``, ``.netrc``).

    Raises:
        InputError: a link leads out of the folder, and what it leads to is nobody's to publish.
    """
    yield from _below(root, root.resolve())


def _below(folder: Path, root: Path) -> Iterator[tuple[str, Path]]:
    for path in folder.iterdir():
        if path.name.startswith(".") or path.name in _LEFT_OUT or path.name.endswith(_LEFT_OUT_ENDS):
            continue
        if path.is_symlink() and not path.resolve().is_relative_to(root):
            raise InputError(f"{path} is a link that leads out of {root}; put a copy in its place.")
        if path.is_dir() and not path.is_symlink():
            yield from ((f"{path.name}/{name}", inner) for name, inner in _below(path, root))
        elif path.is_file():
            yield path.name, path


def _add(tar: tarfile.TarFile, name: str, content: bytes, like: Path | None = None) -> None:
    member = tarfile.TarInfo(name)
    member.size = len(content)
    member.mode = 0o755 if like is not None and like.stat().st_mode & 0o100 else 0o644
    tar.addfile(member, io.BytesIO(content))


def _wanted() -> list[str]:
    """What ravenML requires, with all of its extras."""
    try:
        return metadata("ravenml").get_all("Requires-Dist") or []
    except PackageNotFoundError:
        raise RavenError("ravenML is not installed, so that its requirements are not known.") from None


def _requirements() -> list[str]:
    """What ravenML always requires."""
    return [line for line in _wanted() if "extra ==" not in line]


def _project_file() -> str:
    """What pip needs to install the core from its sources, wherever they come from."""
    wanted, always = _wanted(), _requirements()
    serving = [line.partition(";")[0].strip() for line in wanted if re.search(r"extra == .serve.$", line)]
    return "\n".join(
        [
            "[build-system]",
            'requires = ["setuptools>=69"]',
            'build-backend = "setuptools.build_meta"',
            "[project]",
            'name = "ravenml"',
            f"version = {json.dumps(ravenml.__version__)}",
            f"dependencies = {json.dumps(always)}",
            "[project.optional-dependencies]",
            f"serve = {json.dumps(serving)}",
            "[project.scripts]",
            'raven = "ravenml.cli:main"',
            "[tool.setuptools.packages.find]",
            'include = ["ravenml", "ravenml.*"]',
            "[tool.setuptools.package-data]",
            'ravenml = ["py.typed", "**/*.tmpl", "sly/alias/**/*.py", "serve/web/*", "**/*.json"]',
            "",
        ]
    )
