"""Importing each plugin in a process of its own, to see which of them work."""

from __future__ import annotations

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

from ravenml.plugin.discovery import TRAIN, import_limit, plugins

_CHILD = """
import sys
from ravenml.errors import RavenError
from ravenml.plugin.discovery import find_plugin
import click
plugin = find_plugin(sys.argv[1])
try:
    command = plugin.load()
except RavenError as error:
    sys.exit(str(error))
if not isinstance(command, click.Command):
    sys.exit(str(plugin.load_error(f"{plugin.entry_point.value} is not a Click command")))
"""


def check_plugins() -> dict[str, str]:
    """Import every training plugin in a child process; what is wrong with each broken one, by name."""
    limit = import_limit()

    def check(name: str) -> str:
        try:
            done = subprocess.run(
                [sys.executable, "-P", "-c", _CHILD, name],
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=limit + 10,
            )
        except subprocess.TimeoutExpired:
            return f"The plugin {name!r} cannot be loaded: its import did not end within {limit:g} s."
        if done.returncode == 0:
            return ""
        said = done.stderr.rpartition("The plugin ")[2]
        return "The plugin " + " ".join(said.split()) if said else f"The plugin {name!r} ended its process."

    names = list(plugins(TRAIN))
    with ThreadPoolExecutor(max_workers=os.cpu_count()) as pool:
        return {name: fault for name, fault in zip(names, pool.map(check, names), strict=True) if fault}
