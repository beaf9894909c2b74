"""``raven plugin image``: a plugin as a Docker image, with the labels that Supervisely reads.

The build context is a tar: the plugin's folder, and ravenML's own sources as ``core/``.  ``docker build``
reads it from stdin; without an engine it is the result.
"""

from __future__ import annotations

import base64
import io
import json
import re
import shutil
import subprocess
import tarfile
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, metadata
from pathlib import Path

import ravenml
from ravenml.agent.plugin_folder import INFO, VERSION, PluginFolder
from ravenml.common.hooks import PRESETS
from ravenml.common.io import atomic_open
from ravenml.errors import InputError, RavenError

CORE = "core"
_LEFT_OUT = ("__pycache__", ".venv", ".git", "build", "dist", "node_modules")
_LEFT_OUT_ENDS = (".pyc", ".egg-info", "_cache", ".hypothesis")


def labels(plugin: PluginFolder) -> dict[str, str]:
    """The image's labels: its name, the modes that it offers, and in base64 what describes it.

    Raises:
        InputError: the plugin lacks one of the files that an image needs; each is named.
    """
    missing = [
        name for name in (INFO, VERSION, "Dockerfile", "README.md") if not (plugin.root / name).is_file()
    ]
    if missing or plugin.version is None:
        raise InputError(f"{plugin.root} lacks {', '.join(missing)}, which an image needs.")
    return {
        "VERSION": plugin.version,
        "INFO": _encode(plugin.root / INFO),
        "MODES": " ".join(plugin.modes),
        "README": _encode(plugin.root / "README.md"),
        "CONFIGS": _encode(plugin.root / PRESETS),
    }


def write_context(plugin: PluginFolder, target: Path) -> None:
    """Write the complete build context, the labels in its Dockerfile.

    The same folder gives the same bytes.

    Raises:
        RavenError: a file cannot be read or written.
    """
    labelled = _labelled_dockerfile(plugin)
    with atomic_open(target) as file, tarfile.open(fileobj=file, mode="w", dereference=True) as tar:
        for name, path in sorted(_files(plugin.root)):
            _add(tar, name, labelled if name == "Dockerfile" else path.read_bytes(), path)
        package = Path(ravenml.__file__).parent
        for name, path in sorted(_files(package)):
            _add(tar, f"{CORE}/ravenml/{name}", path.read_bytes(), path)
        _add(tar, f"{CORE}/pyproject.toml", _project_file().encode())


def build_command(plugin: PluginFolder) -> list[str]:
    """The command line that builds the image from a context on stdin."""
    assert plugin.version is not None
    return ["docker", "build", "--tag", plugin.version, "-"]


def build(plugin: PluginFolder, push: bool = False) -> None:
    """Build the image, and push it.

    Raises:
        RavenError: there is no engine, or it failed.
    """
    labels(plugin)
    if shutil.which("docker") is None:
        raise RavenError(
            "There is no Docker here; --context FILE.tar writes the build context, "
            "which `docker build -` takes elsewhere."
        )
    import tempfile

    with tempfile.TemporaryDirectory(prefix="raven-image-") as folder:
        context = Path(folder) / "context.tar"
        write_context(plugin, context)
        with context.open("rb") as stdin:
            done = subprocess.run(build_command(plugin), stdin=stdin)
    if done.returncode == 0 and push:
        done = subprocess.run(["docker", "push", str(plugin.version)], stdin=subprocess.DEVNULL)
    if done.returncode:
        raise RavenError(f"Docker failed with exit code {done.returncode}; see its output above.")


def _labelled_dockerfile(plugin: PluginFolder) -> bytes:
    """The Dockerfile with the labels at its end, so that they go with the context wherever it is built."""
    pairs = (f"{name}={json.dumps(value)}" for name, value in labels(plugin).items())
    text = (plugin.root / "Dockerfile").read_text(encoding="utf-8").rstrip()
    return (text + "\nLABEL " + " \\\n      ".join(pairs) + "\n").encode()


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


def _project_file() -> str:
    """What pip needs to install the core from its sources, wherever they come from."""
    try:
        wanted = metadata("ravenml").get_all("Requires-Dist") or []
    except PackageNotFoundError:
        raise RavenError("ravenML is not installed, so that its requirements are not known.") from None
    always = [line for line in wanted if "extra ==" not in line]
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
