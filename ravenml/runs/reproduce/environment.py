"""A Python environment with the versions that a run recorded."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ravenml.common.io import JsonObject
from ravenml.errors import RavenError

_LABEL = re.compile(r"\+[\w.]+$")
_ABSENT = re.compile(r"No matching distribution found for (?P<name>[\w.-]+)==")
_LIST = (
    "import json\n"
    "from importlib.metadata import distributions\n"
    "found = {}\n"
    "for one in distributions():\n"
    "    name = one.metadata['Name'] if one.metadata else None\n"
    "    if name: found.setdefault(name, one.version)\n"
    "print(json.dumps(found))"
)


@dataclass
class Interpreter:
    """A Python that is to run the command again.

    Attributes:
        python: its path.
        path: folders of code that stand before its packages.
        restored, missing: sentences for the report.
    """

    python: Path
    path: list[Path] = field(default_factory=list)
    restored: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)


def packages_of(python: Path) -> dict[str, str]:
    """The packages that a Python finds, by canonical name.

    Raises:
        RavenError: it does not start.
    """
    try:
        done = subprocess.run([str(python), "-P", "-c", _LIST], capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError) as error:
        raise RavenError(f"{python} does not start: {error}.") from None
    return {canonical_name(name): version for name, version in json.loads(done.stdout).items()}


def canonical_name(name: str) -> str:
    """A distribution's name as the package index compares it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def recorded_packages(record: JsonObject) -> dict[str, str]:
    """The recorded packages by canonical name."""
    found = (record.get("provenance") or {}).get("packages") or {}
    return {canonical_name(name): version for name, version in found.items()}


def current_interpreter(record: JsonObject, sources: Mapping[str, Path]) -> Interpreter:
    """This Python, with the restored code before its packages, and how it differs from the recorded one."""
    result = Interpreter(Path(sys.executable), list(dict.fromkeys(sources.values())))
    _report_python(record, sys.version.split()[0], result)
    _report_packages(record, packages_of(result.python), sources, result)
    return result


def make_environment(
    record: JsonObject, sources: Mapping[str, Path], folder: Path, say: Callable[[str], None]
) -> Interpreter:
    """Make a virtual environment with the recorded versions.

    Of a training, the core and the plugin are installed (from their restored checkouts where there are any)
    and what they need, each at its recorded version; of another program, every recorded package that is to be
    had.

    Args:
        record: the run's ``run.json``.
        sources: folders with a ``setup.py`` or ``pyproject.toml``, by the distributions' names.
        folder: where the environment goes.
        say: is told what takes long.

    Raises:
        RavenError: pip cannot install one of them; the sentence names it.
    """
    wanted = str((record.get("provenance") or {}).get("python") or "")
    minor = ".".join(wanted.split(".")[:2])
    found = (
        sys.executable if not minor or sys.version.startswith(f"{minor}.") else shutil.which(f"python{minor}")
    )
    say(f"Making an environment in {folder}; the packages take a while.")
    _run([found or sys.executable, "-m", "venv", str(folder)], "the virtual environment cannot be made")
    result = Interpreter(folder / "bin" / "python")
    packages = {name: v for name, v in recorded_packages(record).items() if name not in sources}
    places = [str(place) for place in sources.values()]
    if record.get("plugin"):
        needed = [
            n for n in ("ravenml", canonical_name(str(record.get("plugin_distribution")))) if n in packages
        ]
        result.missing += _install(result.python, places, packages, needed, folder)
    else:
        result.missing += _install(result.python, [*places, "--no-deps"], packages, None, folder)
    _report_python(record, _version_of(result.python), result)
    _report_packages(record, packages_of(result.python), sources, result)
    return result


def _install(
    python: Path, more: Sequence[str], packages: Mapping[str, str], needed: Sequence[str] | None, folder: Path
) -> list[str]:
    """Install packages at these versions, giving up only what cannot be had; what that was, in words.

    Args:
        more: further arguments of ``pip install``.
        packages: versions, by canonical name.
        needed: the ones to install; the others come only where one of them needs them.  None: all.
    """
    pins, left = folder / "recorded.txt", dict(packages)
    lost: list[str] = []
    command = [str(python), "-m", "pip", "install", "-qq", "--disable-pip-version-check", "-c", str(pins)]
    while True:
        pins.write_text("".join(f"{name}=={version}\n" for name, version in left.items()))
        wanted = [f"{name}=={left[name]}" for name in (left if needed is None else needed)]
        try:
            _run([*command, *more, *wanted], "the recorded packages cannot be installed")
            return lost
        except RavenError as error:
            absent = _ABSENT.search(str(error))
            name = canonical_name(absent["name"]) if absent else ""
            if name in left and _LABEL.search(left[name]):  # a build for some GPU, or for none
                lost.append(f"the build {left[name]} of {name}: it is not available here")
                left[name] = _LABEL.sub("", left[name])
            elif name in left and needed is None:
                lost.append(f"the package {name} {left.pop(name)}: it is not available here")
            else:
                raise RavenError(
                    f"{error}  `--here` runs it with the packages of this environment instead."
                ) from None


def _run(command: Sequence[str], problem: str) -> None:
    kept = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV")}
    done = subprocess.run(
        command, stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace", env=kept
    )
    if done.returncode:
        lines = [line.strip() for line in (done.stderr or done.stdout).splitlines() if line.strip()]
        errors = [line for line in lines if line.upper().startswith("ERROR")]
        raise RavenError(f"{problem}: {' '.join(errors[:3] or lines[-2:])}")


def _version_of(python: Path) -> str:
    done = subprocess.run([str(python), "-V"], capture_output=True, text=True)
    return done.stdout.split()[-1]


def _report_python(record: JsonObject, version: str, result: Interpreter) -> None:
    wanted = (record.get("provenance") or {}).get("python")
    if wanted == version:
        result.restored.append(f"Python {version}")
    else:
        result.missing.append(f"Python {wanted or '(not recorded)'}; it is {version} now")


def _report_packages(
    record: JsonObject, found: Mapping[str, str], sources: Mapping[str, Path], result: Interpreter
) -> None:
    wanted = {name: v for name, v in recorded_packages(record).items() if name not in sources}
    same = [name for name in found if name in wanted and found[name] == wanted[name]]
    other = sorted(name for name in found if name in wanted and found[name] != wanted[name])
    result.restored.append(f"{len(same)} packages at their recorded versions")
    if other:
        named = ", ".join(f"{name} {wanted[name]} (now {found[name]})" for name in other[:10])
        more = f" and {len(other) - 10} more" if len(other) > 10 else ""
        result.missing.append(f"the versions of {named}{more}")
