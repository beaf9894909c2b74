"""What is wrong with plugins: one that is being written, one that was just installed, and all installed ones.

Plugins are imported in child processes alone.  The metadata of one that is being written is asked for as pip
would ask, by running its ``setup.py``; nothing is installed.
"""

from __future__ import annotations

import configparser
import os
import re
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Any

from ravenml.common.hooks import PREDICT, SETTINGS, TRAIN
from ravenml.errors import InputError, RavenError
from ravenml.plugin.discovery import Plugin, plugins
from ravenml.plugin.environment import Requirement, canonical
from ravenml.plugin.probe import probe, run_contained
from ravenml.plugin.requirements import clean_pins, compile_plugin, has_own_script, read_requirements

OWN_COMMANDS = {"list"}
FRAMEWORKS = ("torch", "tensorflow", "keras", "jax", "lightning_fabric")
IMPORT_SECONDS = 300.0  # that the import of a plugin that is being written may take

_LOAD_ALL = """
import importlib, sys
from importlib.metadata import distribution
try:
    for point in distribution(sys.argv[1]).entry_points:
        if point.group.startswith("ravenml.plugins."):
            what = point.value
            point.load()
    for what in sys.argv[2:]:
        importlib.import_module(what)
except BaseException as error:
    sys.exit("\\n" + f"{what} cannot be imported: {type(error).__name__}: {error}".replace("\\n", " "))
"""


# Installed plugins.


def check_plugins() -> dict[str, str]:
    """Import every training plugin in a process of its own; what is wrong with each broken one, by name."""

    def check(plugin: Plugin) -> str:
        try:
            plugin.probe(examine_command)
        except RavenError as error:
            return str(error)
        return ""

    found = plugins(TRAIN)
    with ThreadPoolExecutor(max_workers=os.cpu_count()) as pool:
        faults = pool.map(check, found.values())
        return {name: fault for name, fault in zip(found, faults, strict=True) if fault}


def examine_command(found: Any) -> Iterator[str]:
    """What is wrong with the object of a training plugin that is installed."""
    if not isinstance(found, _click("Command")):
        yield f"it is not a Click command but a {type(found).__name__}"


def examine_group(found: Any) -> Iterator[str]:
    """What is wrong with the object of a training plugin."""
    yield from examine_imports(found)
    if not isinstance(found, _click("Group")):
        yield f"is not a Click group but a {type(found).__name__}"
    elif not getattr(found, "commands", None):
        yield "has no command; a training command is marked with @pass_train"


def _click(name: str) -> Any:
    """One of Click's classes; none if the plugin has not imported Click, and so has made no such object."""
    return getattr(sys.modules.get("click"), name, ())


def examine_settings(found: Any) -> Iterator[str]:
    """What is wrong with a plugin's settings."""
    from pydantic import BaseModel

    yield from examine_imports(found)
    if not (isinstance(found, type) and issubclass(found, BaseModel)):
        yield "is not a pydantic model; derive it from TrainSettings"


def examine_imports(found: Any) -> Iterator[str]:
    """What is wrong with what was imported together with an object."""
    frameworks = sorted(sys.modules.keys() & set(FRAMEWORKS))
    if frameworks:
        yield f"imports {frameworks[0]} at the top of its module; import it where it is used"


def loading_error(name: str, source: Path | None = None, seconds: float = 300.0) -> str | None:
    """Load a plugin's entry points and import what its requirements name; None, or the reason it fails.

    A plugin imports its framework only when it trains, so that its own import alone would prove little.

    Args:
        name: the plugin's distribution.
        source: its ``requirements.in``.
        seconds: how long it may take.
    """
    try:
        points = distribution(name).entry_points
    except PackageNotFoundError:
        return f"the distribution {name} is not there"
    if not [point for point in points if point.group == TRAIN]:
        return f"{name} declares no training plugin (entry point group {TRAIN})"
    try:
        wanted = read_requirements(source) if source is not None else []
    except InputError as error:
        return str(error)
    wanted = [line for line in wanted if not line.startswith("-")]
    modules = [module for line in wanted for module in importable_modules(re.split(r"[<>=!~;\[ @]", line)[0])]
    done = run_contained([sys.executable, "-P", "-c", _LOAD_ALL, name, *modules], seconds)
    if done is None:
        return f"its import did not end within {seconds:g} s"
    if done.returncode == 0:
        return None
    lines = done.stderr.strip().splitlines()
    return lines[-1] if lines else f"its import ended with {done.returncode}"


def importable_modules(name: str) -> list[str]:
    """The modules by which a distribution is imported: the one of its name, else all that it brings."""
    try:
        files = distribution(name).files or []
    except PackageNotFoundError:
        return []
    tops = set()
    for file in files:
        if len(file.parts) == 2 and file.name == "__init__.py":
            tops.add(file.parts[0])
        elif len(file.parts) == 1 and file.suffix == ".py":
            tops.add(file.stem)
    tops = {top for top in tops if top.isidentifier() and not top.startswith("_")}
    own = {top for top in tops if canonical(top) == canonical(name)}
    return sorted(own or tops)


# A plugin that is being written.


@dataclass
class PackageMetadata:
    """What a package says of itself."""

    name: str = ""
    requires: list[str] = field(default_factory=list)
    points: dict[str, dict[str, str]] = field(default_factory=dict)


def find_problems(folder: Path) -> list[str]:
    """Everything that is wrong with the plugin in ``folder``, in the order in which to fix it.

    Raises:
        InputError: there is no such folder.
    """
    folder = folder.expanduser().absolute()
    if not folder.is_dir():
        raise InputError(f"{folder} is not a folder.")
    if not (folder / "setup.py").is_file() and not (folder / "pyproject.toml").is_file():
        return [f"{folder} has no setup.py; `raven plugin new` writes one."]
    try:
        metadata = package_metadata(folder)
    except RavenError as error:
        return [str(error)]
    own = has_own_script(folder)
    faults = [*_layout(folder), *_metadata(metadata, own), *_requirements(folder, own)]
    return faults + _loading(folder, metadata)


def is_contract_plugin(folder: Path) -> bool:
    """Whether a folder is laid out after Supervisely's contract."""
    return (folder / "plugin_info.json").is_file() or any(folder.glob("src/*.py"))


def missing_files(folder: Path) -> tuple[list[str], list[str]]:
    """What a plugin's folder lacks for `raven train`, and what for `raven agent run`."""
    package = [] if (folder / "pyproject.toml").is_file() else ["setup.py"]
    for_train = [*package, "install.sh", "requirements.in", "requirements-gpu.in"]
    for_agent = ["plugin_info.json", "VERSION", "Dockerfile", "src/train.py"]
    lacking = [[name for name in names if not (folder / name).is_file()] for names in (for_train, for_agent)]
    return lacking[0], lacking[1]


def package_metadata(folder: Path) -> PackageMetadata:
    """What ``setup.py`` (or ``pyproject.toml``) says, written to a folder elsewhere.

    Raises:
        RavenError: it cannot be run.
    """
    with tempfile.TemporaryDirectory() as temporary:
        if (folder / "setup.py").is_file():
            command = [sys.executable, "setup.py"]
        else:
            command = [sys.executable, "-c", "from setuptools import setup; setup()"]
        done = subprocess.run(
            [*command, "-q", "egg_info", "--egg-base", temporary],
            cwd=folder,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
        )
        infos = list(Path(temporary).glob("*.egg-info"))
        if done.returncode or not infos:
            lines = done.stderr.strip().splitlines() or ["it wrote no metadata"]
            raise RavenError(f"{folder / 'setup.py'} cannot be run: {lines[-1]}")
        info = infos[0]
        parser = configparser.ConfigParser(delimiters=("=",))
        parser.optionxform = str  # type: ignore[assignment,method-assign]
        if (info / "entry_points.txt").is_file():
            parser.read_string((info / "entry_points.txt").read_text(encoding="utf-8"))
        text = (info / "requires.txt").read_text() if (info / "requires.txt").is_file() else ""
        lines = text.split("\n[")[0].splitlines()
        name = re.search(r"^Name: (.+)$", (info / "PKG-INFO").read_text(encoding="utf-8"), re.MULTILINE)
        return PackageMetadata(
            name=name[1] if name else "",
            requires=[line for line in lines if line and not line.startswith("[")],
            points={group: dict(parser.items(group)) for group in parser.sections()},
        )


def _layout(folder: Path) -> list[str]:
    faults = []
    script = folder / "install.sh"
    if not script.is_file():
        faults.append(f"{script} is missing; `raven plugin new` writes one that can be copied as it is.")
    else:
        if not os.access(script, os.X_OK):
            faults.append(f"{script} cannot be executed; run `chmod +x {shlex.quote(str(script))}`.")
        done = subprocess.run(["bash", "-n", str(script)], capture_output=True, text=True)
        if done.returncode:
            faults.append(f"{script} is not a valid script: {done.stderr.strip().splitlines()[0]}.")
    for name in ("requirements.in", "requirements-gpu.in"):
        if not (folder / name).is_file():
            faults.append(f"{folder / name} is missing; it lists what the plugin itself uses, a line each.")
    return faults


def _metadata(metadata: PackageMetadata, own: bool) -> list[str]:
    faults = []
    trained = metadata.points.get(TRAIN, {})
    if not trained:
        faults.append(
            f'setup.py declares no entry point of the group {TRAIN}, such as {{"{TRAIN}": '
            '["my_net=ravenml_my_net.core:my_net"]}.'
        )
    faults += [
        f"The name {name!r} belongs to the command `raven train {name}`; choose another."
        for name in trained
        if name in OWN_COMMANDS
    ]
    for group in (SETTINGS, PREDICT):
        for name in metadata.points.get(group, {}).keys() - trained.keys():
            faults.append(f"{name!r} is in {group} but not in {TRAIN}; both need the same name.")
    for line in metadata.requires:
        if "==" in line:
            faults.append(f"setup.py pins {line}; give a range there, and the pin in requirements.in.")
    if own and "ravenml" not in {canonical(Requirement(line).name) for line in metadata.requires}:
        faults.append("setup.py's install_requires does not name ravenml.")
    return faults


def _requirements(folder: Path, own: bool) -> list[str]:
    """What is wrong with the requirements; a plugin's own script compiles them each time, as it wants."""
    faults = []
    for mode in ("requirements", "requirements-gpu"):
        source, compiled = folder / f"{mode}.in", folder / f"{mode}.txt"
        if not source.is_file():
            continue
        try:
            for line in read_requirements(source):
                if own or not (line.startswith("-") or "://" in line):
                    Requirement(line)
        except (ValueError, InputError) as error:
            faults.append(f"{source}: {str(error).splitlines()[0]}")
            continue
        if not own:
            continue
        compile_it = f"`raven plugin compile {shlex.quote(str(folder))}` compiles it."
        if not compiled.is_file():
            faults.append(f"{compiled} is missing; {compile_it}")
            continue
        if compiled in compile_plugin(folder, gpu="gpu" in mode, only_check=True):
            faults.append(f"{compiled} is out of date; {compile_it}")
        faults += _impure(compiled)
    return faults


def _impure(compiled: Path) -> list[str]:
    """Lines that hold on one machine only."""
    faults = []
    for number, line in enumerate(compiled.read_text(encoding="utf-8").splitlines(), start=1):
        text = line.split(" #")[0].strip()
        if not text or text.startswith("#"):
            continue
        try:
            pure = clean_pins(text).strip() == text
        except RavenError:
            pure = False
        if not pure:
            faults.append(
                f"{compiled}, line {number}: '{text}' is not a pin that a user elsewhere can install; "
                "compile it with `raven plugin compile --recompile`."
            )
    return faults


def _loading(folder: Path, metadata: PackageMetadata) -> list[str]:
    examiners = {SETTINGS: examine_settings, PREDICT: examine_imports, TRAIN: examine_group}
    faults = []
    fresh = not sys.modules.keys().isdisjoint(FRAMEWORKS)  # or they would count as imported by the plugin
    for group, examine in examiners.items():
        for value in metadata.points.get(group, {}).values():
            answer = probe(value, IMPORT_SECONDS, examine=examine, path=[str(folder)], fresh=fresh)
            if answer.problem is not None:
                faults.append(f"{value} cannot be loaded: {answer.problem}.")
            faults += [f"{value} {fault}." for fault in answer.faults]
    return faults
