"""The shell command that adds an optional part (an extra) to this ravenML, however it was installed.

It never takes ravenML itself from an index: until 2.0.0 is published, these have version 1 alone.
"""

from __future__ import annotations

import json
import shlex
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

if TYPE_CHECKING:
    from importlib.metadata import Distribution


def install_command(extra: str) -> str:
    """One line to paste into bash, zsh or fish, quoted for all of them.

    - A checkout or a folder that pip installed from: that folder, with the extra (``-e`` if it is editable).
    - A wheel, from a file or an address, or a repository: the same, with the extra.
    - Otherwise (pipx, an index, a file that is gone): the extra's own requirements, without ravenML.

    Args:
        extra: a name in ``optional`` in ``setup.py``, such as ``serve``.
    """
    from importlib.metadata import PackageNotFoundError, distribution

    try:
        installed = distribution("ravenml")
    except PackageNotFoundError:  # run from its sources
        return f"{_pip_install()} -e {shlex.quote(f'{Path(__file__).resolve().parents[2]}[{extra}]')}"
    wanted = " ".join(shlex.quote(line) for line in _requirements(installed, extra))
    if (Path(sys.prefix) / "pipx_metadata.json").is_file():
        return f"pipx inject {shlex.quote(Path(sys.prefix).name)} {wanted}"
    return f"{_pip_install(installed)} {_source(installed, extra) or wanted}"


def _pip_install(installed: Distribution | None = None) -> str:
    """The installer of this Python: by its short name in an active environment, else with the full path."""
    python = shlex.quote(sys.executable)
    if installed is not None and (installed.read_text("INSTALLER") or "").strip() == "uv":
        return f"uv pip install --python {python}"
    found = shutil.which("pip")
    active = found is not None and Path(found).parent == Path(sys.executable).parent
    return "pip install" if active else f"{python} -m pip install"


def _source(installed: Distribution, extra: str) -> str | None:
    """Where pip had ravenML from, with the extra added; None for an index, or if it is there no more."""
    try:
        noted: Any = json.loads(installed.read_text("direct_url.json") or "{}")
        url = str(noted["url"])
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
    if "vcs_info" in noted:
        info = noted["vcs_info"]
        return shlex.quote(f"ravenml[{extra}] @ {info['vcs']}+{url}@{info['commit_id']}")
    scheme = urlsplit(url).scheme
    if scheme in ("http", "https"):
        return shlex.quote(f"ravenml[{extra}] @ {url}")
    path = Path(unquote(urlsplit(url).path))
    if scheme != "file" or not path.exists():
        return None
    editable = "-e " if noted.get("dir_info", {}).get("editable") else ""
    return editable + shlex.quote(f"{path}[{extra}]")


def _requirements(installed: Distribution, extra: str) -> list[str]:
    """What the extra brings on this machine, as its metadata say."""
    from packaging.requirements import Requirement

    lines = [Requirement(line) for line in installed.requires or []]
    wanted = []
    for one in lines:
        if one.marker and one.marker.evaluate({"extra": extra}) and not one.marker.evaluate({"extra": ""}):
            one.marker = None
            wanted.append(str(one))
    return wanted
