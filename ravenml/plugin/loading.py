"""Does an installed plugin load, with all that its ``requirements.in`` names?  A child process finds out."""

from __future__ import annotations

import re
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from ravenml.errors import InputError
from ravenml.plugin.environment import canonical
from ravenml.plugin.requirements import read_requirements

_CHILD = """
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
    if not [point for point in points if point.group == "ravenml.plugins.train"]:
        return f"{name} declares no training plugin (entry point group ravenml.plugins.train)"
    try:
        wanted = read_requirements(source) if source is not None else []
    except InputError as error:
        return str(error)
    modules = [module for line in wanted for module in importable_modules(re.split(r"[<>=!~;\[ @]", line)[0])]
    try:
        done = subprocess.run(
            [sys.executable, "-P", "-c", _CHILD, name, *modules],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=seconds,
        )
    except subprocess.TimeoutExpired:
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
