"""What else a user lets a plugin's program see: files and folders of this machine, variables, a library."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from ravenml.agent.plugin_folder import WORKDIR
from ravenml.agent.task_folder import MOUNT
from ravenml.errors import InputError

HOME = "/sly_home"
SHIMS = "/sly_path"  # in an image: what the agent adds to Python's path
LIBRARY = "supervisely_lib"
OURS = "ravenml"  # as --lib: ravenML's own SDK
_TAKEN = ("/", MOUNT, f"{MOUNT}/data", WORKDIR, f"{WORKDIR}/src", HOME, SHIMS, "/proc", "/dev", "/tmp")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_SET_BY_AGENT = ("HOME", "PYTHONPATH")


@dataclass(frozen=True)
class Mount:
    """A file or folder of this machine that the program sees under another name.

    Attributes:
        host: where it lies, absolute.
        inside: where the program sees it.
        writable: whether the program may change it.
    """

    host: Path
    inside: str
    writable: bool = False

    @classmethod
    def parse(cls, text: str) -> Mount:
        """Read ``HOST:INSIDE``, ``HOST:INSIDE:ro`` or ``HOST:INSIDE:rw``.

        Raises:
            InputError: it is not of this form, HOST does not exist, or INSIDE is taken.
        """
        parts = text.split(":")
        access = parts.pop() if parts[-1] in ("ro", "rw") else "ro"
        host, _, inside = ":".join(parts).rpartition(":")
        path = PurePosixPath(inside)
        if not host or not path.is_absolute() or ".." in path.parts:
            raise InputError(
                f"--mount {text}: must be HOST:INSIDE or HOST:INSIDE:rw, with INSIDE an absolute path "
                "such as /weights."
            )
        source = Path(host).expanduser().absolute()
        if not source.exists():
            raise InputError(f"--mount {text}: {source} does not exist; name a file or folder.")
        if str(path) in _TAKEN:
            raise InputError(f"--mount {text}: {path} has its own content; choose another place inside.")
        return cls(source, str(path), access == "rw")


def bwrap_mounts(mounts: Sequence[Mount], plugin: Path, writable: bool) -> list[str]:
    """Bubblewrap's options for the plugin's folder and for what lies in and beside it.

    Raises:
        InputError: a place does not exist in a folder where none can be made.
    """
    inside = [one for one in mounts if PurePosixPath(one.inside).is_relative_to(WORKDIR)]
    missing = [one for one in inside if not writable and not _in_plugin(one, plugin).exists()]
    for one in missing:
        if PurePosixPath(one.inside).parent != PurePosixPath(WORKDIR):
            raise InputError(
                f"--mount: {_in_plugin(one, plugin)} does not exist; create it, or mount elsewhere."
            )
    for one in mounts:
        top = Path("/", PurePosixPath(one.inside).parts[1])
        if (
            top.is_dir()
            and str(top) not in (WORKDIR, MOUNT, "/tmp", "/run")
            and not Path(one.inside).exists()
        ):
            raise InputError(
                f"--mount: {one.inside} cannot be made, because the sandbox shows this machine's {top} "
                "read-only; choose another place inside, such as /mounted."
            )
    bind = "--bind" if writable else "--ro-bind"
    if missing:  # no place for a mount can be made in a folder that is read-only
        line = ["--tmpfs", WORKDIR]
        for entry in sorted(plugin.iterdir()):
            line += [bind, str(entry), f"{WORKDIR}/{entry.name}"]
    else:
        line = [bind, str(plugin), WORKDIR]
    for one in mounts:
        line += ["--bind" if one.writable else "--ro-bind", str(one.host), one.inside]
    return [*line, "--remount-ro", WORKDIR] if missing else line


def _in_plugin(mount: Mount, plugin: Path) -> Path:
    return plugin / PurePosixPath(mount.inside).relative_to(WORKDIR)


def read_variables(given: Sequence[str], outer: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Read ``NAME=VALUE``; ``NAME`` alone takes the value that it has here.

    Raises:
        InputError: one is not of this form, is not set here, or is set by the agent.
    """
    found: dict[str, str] = {}
    for text in given:
        name, sign, value = text.partition("=")
        if not _NAME.fullmatch(name):
            raise InputError(f"--env {text}: must be NAME=VALUE, or NAME for a variable that is set here.")
        if name in _SET_BY_AGENT:
            raise InputError(f"--env {name}: the agent sets it; for further modules, use --mount or --lib.")
        if not sign and name not in outer:
            raise InputError(f"--env {name}: it is not set here; give it as {name}=VALUE.")
        found[name] = value if sign else outer[name]
    return found


def find_library(plugin: Path, named: str | None) -> Path | None:
    """The ``supervisely_lib`` that the program imports, unless it is ravenML's.

    Args:
        plugin: the plugin's folder; what lies beside it, where the contract's documents put the library, is
            taken by default, and what lies in it needs nobody's help.
        named: the library, or the folder that it lies in; ``ravenml`` for ravenML's.

    Raises:
        InputError: the named one is not a package.
    """
    if named == OURS:
        return None
    if named is None:
        beside = plugin.parent / LIBRARY
        has_own = any((folder / LIBRARY).is_dir() for folder in (plugin, plugin / "src"))
        return beside if (beside / "__init__.py").is_file() and not has_own else None
    folder = Path(named).expanduser().absolute()
    for place in (folder / LIBRARY, folder):
        if (place / "__init__.py").is_file():
            return place
    raise InputError(f"--lib {named}: it is not a Python package, nor holds {LIBRARY}/__init__.py.")


def find_unused_library(plugin: Path) -> Path | None:
    """A ``supervisely_lib`` further up, as in a checkout of many plugins: only used where it is named."""
    places = (folder / LIBRARY for folder in list(plugin.parents)[1:4])
    return next((place for place in places if (place / "__init__.py").is_file()), None)
