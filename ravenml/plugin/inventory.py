"""Which training plugins are installed, from where, and for CPU or GPU."""

from __future__ import annotations

import re
from importlib.metadata import Distribution

from ravenml.plugin.environment import Environment, canonical, origin
from ravenml.plugin.journal import Journal


def inventory() -> list[dict[str, str]]:
    """The installed plugins, sorted by name: ``name``, ``distribution``, ``version``, ``for``, ``from``.

    ``for`` is CPU or GPU: as ``install.sh`` noted it, else as the build of the frameworks tells; ``-`` where
    nothing tells.
    """
    environment, journal = Environment(), Journal.open()
    rows = []
    for distribution, names in environment.plugins().items():
        found = environment.distributions.get(distribution) or environment.external[distribution]
        noted = journal.plugins.get(distribution)
        mode = ("GPU" if noted["gpu"] else "CPU") if noted else _cpu_or_gpu(environment, distribution)
        rows += [
            {
                "name": name,
                "distribution": distribution,
                "version": found.version,
                "for": mode,
                "from": _location(found),
            }
            for name in names
        ]
    return sorted(rows, key=lambda row: row["name"])


def interrupted_install() -> str | None:
    """The plugin whose installation was killed and not yet taken up again."""
    pending = Journal.open().pending
    return pending.get("plugin") if pending else None


def _location(found: Distribution) -> str:
    came = origin(found)
    if came is None:
        return str(found.locate_file(""))
    return str(came["url"]).removeprefix("file://")


def _cpu_or_gpu(environment: Environment, distribution: str) -> str:
    everything = {**environment.external, **environment.distributions}
    needed = {canonical(name) for name in environment.dependencies_of([distribution])} & everything.keys()
    if any(re.match(r"nvidia-|cuda-toolkit", name) for name in needed):
        return "GPU"
    return "CPU" if any("+cpu" in everything[name].version for name in needed) else "-"
