"""``-c``: does the environment hold what ``environment.yml`` asks for?  What is missing is put back.

What is in range is never touched: only what is missing is passed to conda or pip.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

from ravenml.errors import InputError, RavenError
from ravenml.plugin.environment import Environment, Requirement, accepts, canonical, is_conda
from ravenml.plugin.pip import pip
from ravenml.plugin.requirements import cpu_index_options


@dataclass
class EnvironmentFile:
    """What an ``environment.yml`` asks for: of conda's channels, and of the package index."""

    channels: list[str] = field(default_factory=list)
    conda: list[str] = field(default_factory=list)
    pip: list[str] = field(default_factory=list)


def read_environment_file(path: Path) -> EnvironmentFile:
    """Read an ``environment.yml`` of our simple form: lists of plain lines, the last one pip's.

    A YAML library is not used because it may be what is missing.

    Raises:
        InputError: no such file, or it lists nothing for pip.
    """
    if not path.is_file():
        raise InputError(f"{path} does not exist; -c needs it.")
    wanted = EnvironmentFile()
    section: list[str] | None = None
    for line in path.read_text(encoding="utf-8").splitlines():
        text = line.split(" #")[0].strip()
        if text == "channels:":
            section = wanted.channels
        elif text == "dependencies:":
            section = wanted.conda
        elif text == "- pip:":
            section = wanted.pip
        elif text.startswith("- ") and section is not None:
            section.append(text[2:].strip().strip("\"'"))
        elif text and not text.startswith("#"):
            section = None
    if not wanted.pip:
        raise InputError(f"{path} lists nothing below `- pip:`, where the core's requirements should stand.")
    return wanted


def find_missing(wanted: EnvironmentFile, environment: Environment) -> dict[str, str]:
    """What is missing or out of range: the requirement, and what is the matter with it.

    What the listed ones need themselves counts as well.
    """
    found: dict[str, str] = {}
    waiting = [Requirement(line) for line in wanted.pip]
    seen: set[str] = set()
    while waiting:
        requirement = waiting.pop(0)
        name = canonical(requirement.name)
        marker = requirement.marker
        if marker is not None and not marker.evaluate({"extra": ""}):
            continue
        package = environment.packages.get(name)
        external = environment.external.get(name)
        version = package.version if package else external.version if external else None
        plain = f"{requirement.name}{requirement.specifier}"
        if version is None:
            found[plain] = "was missing"
        elif not accepts(requirement, version):
            found[plain] = f"was {version}"
        elif name not in seen:
            seen.add(name)
            waiting += environment.needs(name, requirement.extras)
    return found


def verify(path: Path, dry_run: bool = False) -> tuple[list[str], str]:
    """Put back what ``environment.yml`` asks for and is missing or out of range.

    Returns:
        What was put back (or would be), a line each, and the sentence that says how it was checked.

    Raises:
        RavenError: conda, or pip, could not put it back.
    """
    wanted = read_environment_file(path)
    missing = find_missing(wanted, Environment())
    conda = _conda() if is_conda() else None
    how = "conda env update" if conda else "pip, from the file's pip section"
    if is_conda() and conda is None:
        how += " (conda manages this environment, but there is no command conda on the PATH)"
    if not missing:
        return [], f"Everything in {path.name} is installed and in range; nothing had to be restored."
    if dry_run:
        return _describe(missing, Environment()), f"The packages of {path.name} would be restored with {how}."
    if conda is not None:
        _conda_update(conda, wanted, list(missing))
    else:
        problem = _with_pip(list(missing))
        if problem:
            raise RavenError(f"pip could not restore the packages of {path.name}: {problem}")
    environment = Environment()
    still = find_missing(wanted, environment)
    if still:
        raise RavenError(f"Still missing from {path.name}: {', '.join(still)}.")
    return _describe(missing, environment), f"The packages of {path.name} were restored with {how}."


def _describe(missing: dict[str, str], environment: Environment) -> list[str]:
    lines = []
    for requirement, matter in missing.items():
        package = environment.packages.get(canonical(re.split(r"[<>=!~;\[ ]", requirement)[0]))
        lines.append(
            f"{package.name} {package.version} ({matter})" if package else f"{requirement} ({matter})"
        )
    return lines


def _with_pip(requirements: list[str]) -> str | None:
    has_torch = any(line.startswith("torch") for line in requirements)
    return pip("install", *cpu_index_options(has_torch), *requirements)


def _conda() -> str | None:
    return os.environ.get("CONDA_EXE") or shutil.which("conda") or shutil.which("mamba")


def _conda_update(conda: str, wanted: EnvironmentFile, missing: list[str]) -> None:
    """``conda env update`` from a file that names only what is missing, so that nothing else moves."""
    lines = ["channels:", *(f"  - {channel}" for channel in wanted.channels or ["conda-forge"])]
    lines += ["dependencies:", "  - pip", "  - pip:", *(f"      - {line}" for line in missing)]
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "environment.yml"
        file.write_text("\n".join(lines) + "\n", encoding="utf-8")
        command = [conda, "env", "update", "--prefix", sys.prefix, "--file", str(file)]
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    if done.returncode:
        said = " ".join((done.stderr or done.stdout).split())[-500:]
        raise RavenError(f"`conda env update` failed: {said}")
