"""Which packages a program finds, read from the folders of its Python without starting it."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from ravenml.common.io import JsonObject


def environment_of(program: Path) -> JsonObject:
    """Python's version, place and packages, as ``run.json`` records them under ``provenance``.

    Args:
        program: what is run; where it is not Python, the Python that stands first on the ``PATH`` counts.
    """
    python = _python_of(program)
    if python is None:
        return {"python": None, "executable": str(program), "packages": {}}
    prefix = python.parent.parent
    if not (prefix / "pyvenv.cfg").exists():
        prefix = python.resolve().parent.parent
    libraries = _libraries(prefix)
    found = {name: version for library in reversed(libraries) for name, version in _installed(library)}
    return {
        "python": _version(prefix),
        "executable": str(python),
        "packages": dict(sorted(found.items(), key=lambda pair: pair[0].lower())),
    }


def _python_of(program: Path) -> Path | None:
    if program.name.startswith("python"):
        return program
    with suppress(OSError), program.open("rb") as file:
        first = file.readline(512)  # a script of the environment's, such as torchrun
        if first.startswith(b"#!"):
            named = Path(os.fsdecode(first[2:].split()[0] if first[2:].split() else b""))
            if named.name.startswith("python") and named.exists():
                return named
    found = shutil.which("python") or shutil.which("python3")
    return Path(found) if found else None


def _version(prefix: Path) -> str | None:
    if prefix == Path(sys.prefix):
        return ".".join(map(str, sys.version_info[:3]))
    with suppress(OSError):
        for line in (prefix / "pyvenv.cfg").read_text(encoding="utf-8", errors="replace").splitlines():
            name, _, value = line.partition("=")
            if name.strip() in ("version", "version_info"):
                return value.strip()
    return next((place.name.removeprefix("python") for place in sorted(prefix.glob("lib/python3*"))), None)


def _libraries(prefix: Path, followed: bool = True) -> list[Path]:
    """The folders of packages of an environment, the first that counts first."""
    places = [*prefix.glob("lib/python3*/site-packages"), *prefix.glob("lib/python3*/dist-packages")]
    places += prefix.glob("lib/python3/dist-packages")
    for place in list(places):
        for more in sorted(place.glob("*.pth")):
            with suppress(OSError):
                lines = more.read_text(encoding="utf-8", errors="replace").splitlines()
                named = [place / line.strip() for line in lines if line.strip() and "import" not in line]
                places += [folder for folder in named if folder.is_dir()]
    base = _base(prefix) if followed else None
    return places + (_libraries(base, followed=False) if base else [])


def _base(prefix: Path) -> Path | None:
    """The environment whose packages a virtual environment sees as well."""
    with suppress(OSError):
        text = (prefix / "pyvenv.cfg").read_text(encoding="utf-8", errors="replace")
        said = dict(line.replace(" ", "").split("=", 1) for line in text.splitlines() if "=" in line)
        if said.get("include-system-site-packages") == "true" and "home" in said:
            return Path(said["home"]).parent
    return None


def _installed(library: Path) -> Iterator[tuple[str, str]]:
    with suppress(OSError):
        for entry in os.scandir(library):
            stem, suffix = os.path.splitext(entry.name)
            if suffix in (".dist-info", ".egg-info") and "-" in stem:
                name, version = stem.split("-")[:2]
                yield name.replace("_", "-"), version
