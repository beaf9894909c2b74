"""A plugin's folder in a checkout: ``plugins/ravenml_<name>``, or one that lies elsewhere."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ravenml.errors import InputError
from ravenml.plugin.environment import canonical
from ravenml.plugin.requirements import read_pins


@dataclass(frozen=True)
class PluginFolder:
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


def find_plugin_folders(root: Path, chosen: Sequence[str] = ()) -> list[PluginFolder]:
    """The plugins of the checkout ``root`` that were chosen; without a choice, all.

    Args:
        chosen: names such as ``unet`` or ``ravenml_unet``.

    Raises:
        InputError: no plugin has such a name; the sentence lists those that there are.
    """
    known = {script.parent.name: PluginFolder(script.parent) for script in root.glob("plugins/*/install.sh")}
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
