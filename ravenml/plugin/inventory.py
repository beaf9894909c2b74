"""Which plugins there are: in a checkout (``plugins/ravenml_<name>``), and installed."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import Distribution
from pathlib import Path

from ravenml.errors import InputError
from ravenml.plugin.distributions import name_and_version
from ravenml.plugin.environment import Environment, canonical, origin
from ravenml.plugin.journal import Journal
from ravenml.plugin.requirements import read_pins


@dataclass(frozen=True)
class PluginSource:
    """The folder of one plugin's package; by default it has the name of the package in it."""

    path: Path

    @property
    def name(self) -> str:
        """The package's name, such as ``ravenml_unet``."""
        return self.path.name

    @property
    def distribution(self) -> str:
        """The distribution's canonical name, such as ``ravenml-unet``."""
        return canonical(self.name)

    @property
    def script(self) -> Path:
        """Its ``install.sh``."""
        return self.path / "install.sh"

    def compiled(self, gpu: bool) -> Path:
        """The compiled requirements of a mode."""
        return self.path / ("requirements-gpu.txt" if gpu else "requirements.txt")

    def pins(self, gpu: bool = False) -> dict[str, str]:
        """The pins of a mode, by canonical name; none where the file is not compiled yet."""
        compiled = self.compiled(gpu)
        return read_pins(compiled) if compiled.is_file() else {}


def find_plugin_folders(root: Path, chosen: Sequence[str] = ()) -> list[PluginSource]:
    """The plugins of the checkout ``root`` that were chosen; without a choice, all.

    Args:
        chosen: names such as ``unet`` or ``ravenml_unet``.

    Raises:
        InputError: no plugin has such a name; the sentence lists those that there are.
    """
    known = {script.parent.name: PluginSource(script.parent) for script in root.glob("plugins/*/install.sh")}
    if not chosen:
        return [known[name] for name in sorted(known)]
    result = []
    for name in chosen:
        wanted = {canonical(name), canonical(f"ravenml_{name}")}
        found = next((folder for folder in known.values() if folder.distribution in wanted), None)
        if found is None:
            there = ", ".join(sorted(known)) or "none"
            raise InputError(f"{root / 'plugins'} has no plugin {name!r}; there are: {there}.")
        result.append(found)
    return result


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
                "version": name_and_version(found)[1],
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
