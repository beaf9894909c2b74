"""Which plugins there are: in a checkout (``plugins/ravenml_<name>``), and installed."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib.metadata import Distribution
from pathlib import Path

from ravenml.errors import InputError, RavenError
from ravenml.plugin.distributions import name_and_version
from ravenml.plugin.environment import Environment, canonical, origin, origin_path
from ravenml.plugin.journal import Journal
from ravenml.plugin.requirements import read_pins


@dataclass(frozen=True)
class PluginSource:
    """The folder of one plugin's package; its name says nothing about the plugin."""

    path: Path

    @property
    def name(self) -> str:
        """The folder's name, such as ``ravenml_unet``, or ``ravenml_unet-main`` of a ZIP file."""
        return self.path.name

    @cached_property
    def distribution(self) -> str:
        """The distribution's canonical name, such as ``ravenml-unet``, which its ``setup.py`` says."""
        from ravenml.plugin.check import package_metadata

        try:
            return canonical(package_metadata(self.path).name or self.name)
        except RavenError:  # pip will say what is wrong with it
            return canonical(self.name)

    def installed_name(self, environment: Environment, journal: Journal) -> str:
        """The name under which it is installed, or would be: that stays true when ``setup.py`` changes."""
        for name, noted in journal.plugins.items():
            if noted["folder"] == str(self.path) and name in environment.distributions:
                return name
        for name in environment.plugins():
            found = environment.distributions.get(name)
            if found is not None and origin_path(found) == self.path:
                return name
        named_so = canonical(self.name)
        return named_so if named_so in environment.distributions else self.distribution

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
        chosen: names such as ``unet`` or ``ravenml_unet``: of folders, or of distributions.

    Raises:
        InputError: no plugin has such a name; the sentence lists those that there are.
    """
    known = [PluginSource(script.parent) for script in sorted(root.glob("plugins/*/install.sh"))]
    if not chosen:
        return known
    result = []
    for name in chosen:
        wanted = possible_names(name)
        found = [one for one in known if canonical(one.name) in wanted]
        found = found or [one for one in known if one.distribution in wanted]
        if not found:
            there = ", ".join(one.name for one in known) or "none"
            raise InputError(f"{root / 'plugins'} has no plugin {name!r}; there are: {there}.")
        result.append(found[0])
    return result


def find_to_uninstall(
    root: Path, chosen: Sequence[str], environment: Environment, journal: Journal
) -> dict[str, PluginSource]:
    """The plugins that were chosen, by their distributions' names, with their folders, which may be gone.

    Without a choice, all of the checkout, and those whose folder is gone.  By name, also any other that
    ``install.sh`` has installed.

    Raises:
        InputError: no plugin has such a name; the sentence lists those that there are.
    """
    journaled = {name: PluginSource(Path(noted["folder"])) for name, noted in journal.plugins.items()}
    result = {}
    if not chosen:
        result = {name: source for name, source in journaled.items() if not source.path.is_dir()}
    for name in chosen or [""]:
        try:
            found = find_plugin_folders(root, [name] if name else [])
            result |= {one.installed_name(environment, journal): one for one in found}
        except InputError:
            known = sorted(journaled.keys() & possible_names(name))
            if not known:
                raise
            result[known[0]] = journaled[known[0]]
    return dict(sorted(result.items()))


def possible_names(name: str) -> set[str]:
    """The canonical names that a person may mean: ``unet`` is ``ravenml-unet`` as well."""
    return {canonical(name), canonical(f"ravenml_{name}")}


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
    return str(origin_path(found) or came["url"])


def _cpu_or_gpu(environment: Environment, distribution: str) -> str:
    everything = {**environment.external, **environment.distributions}
    needed = {canonical(name) for name in environment.dependencies_of([distribution])} & everything.keys()
    if any(re.match(r"nvidia-|cuda-toolkit", name) for name in needed):
        return "GPU"
    return "CPU" if any("+cpu" in everything[name].version for name in needed) else "-"
