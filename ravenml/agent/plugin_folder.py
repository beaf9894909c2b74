"""A plugin's folder as Supervisely's contract lays it out."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from ravenml.common.hooks import PRESETS
from ravenml.common.io import JsonObject, read_json
from ravenml.errors import InputError

MODES = ("main", "train", "inference", "deploy", "deploy_smart")
SERVING = ("deploy", "deploy_smart")  # modes whose program ends only when it is asked to
KINDS = ("dtl", "architecture", "custom", "import", "general_plugin", "python", "agent")
INFO = "plugin_info.json"
VERSION = "VERSION"
WORKDIR = "/workdir"  # where the folder lies in its image, and in a sandbox
_IMAGE = re.compile(r"[a-z0-9][a-z0-9._/:-]*:[A-Za-z0-9_][A-Za-z0-9_.-]*")
_PYTHONPATH = re.compile(r"""(?mi)^\s*ENV\s(?:.*\s)?PYTHONPATH(?:\s+|\s*=\s*)["']?([^"'\s]+)""")


@dataclass(frozen=True)
class PluginFolder:
    """A plugin that was read from its folder.

    Attributes:
        root: the folder, absolute.
        info: ``plugin_info.json``: title, description, type.
        configs: ``predefined_run_configs.json``: title, type (a mode) and config of each.
        version: the image, ``name:tag``; None where there is no ``VERSION``.
    """

    root: Path
    info: JsonObject
    configs: list[JsonObject]
    version: str | None

    @classmethod
    def open(cls, folder: Path) -> PluginFolder:
        """Read a plugin's folder.

        Raises:
            InputError: it is not a plugin's folder, or one of its files is wrong; file and field are named.
        """
        root = folder.expanduser().absolute()
        if not root.is_dir():
            raise InputError(f"{folder} is not a folder; name the plugin's folder, which holds src/.")
        plugin = cls(root, _read_info(root), _read_configs(root), _read_version(root))
        if not plugin.modes:
            names = ", ".join(f"src/{mode}.py" for mode in MODES)
            raise InputError(f"{folder} is not a plugin: it has none of {names}.")
        return plugin

    @property
    def modes(self) -> list[str]:
        """The modes that it offers: those whose file is there."""
        return [mode for mode in MODES if (self.root / "src" / f"{mode}.py").is_file()]

    @property
    def imports(self) -> bool:
        """Whether it makes a project from a folder of files."""
        return self.info.get("type") == "import"

    @property
    def name(self) -> str:
        """What runs call it: its title."""
        return str(self.info.get("title") or self.root.name)

    def import_folders(self) -> list[str]:
        """Where its programs find their modules, relative to the folder: itself, ``src``, and what else of it
        the Dockerfile's ``ENV PYTHONPATH`` names.
        """
        dockerfile = self.root / "Dockerfile"
        said = dockerfile.read_text(encoding="utf-8", errors="replace") if dockerfile.is_file() else ""
        found = ["", "src"]
        for line in _PYTHONPATH.findall(said):
            for entry in line.split(":"):
                name = entry.removeprefix(f"{WORKDIR}/").strip("/")
                if name != entry and name not in found and self._holds_folder(name):
                    found.append(name)
        return found

    def _holds_folder(self, name: str) -> bool:
        path = (self.root / name).resolve()
        return path.is_dir() and path.is_relative_to(self.root.resolve())

    def script(self, mode: str) -> Path:
        """The program of a mode, relative to the folder.

        Raises:
            InputError: the plugin does not offer the mode.
        """
        if mode not in self.modes:
            raise InputError(
                f"{self.root} has no src/{mode}.py, so the mode {mode} is not offered; "
                f"there is {', '.join(self.modes)}."
            )
        return Path("src") / f"{mode}.py"

    def preset(self, mode: str, title: str | None = None) -> JsonObject:
        """The config of a mode's predefined run config: of that title, or the first; empty if it has none.

        Raises:
            InputError: there is none of this title.
        """
        # Those of the mode `main` are of the plugin's type.
        others = () if mode != "main" else {entry["type"] for entry in self.configs} - set(MODES)
        presets = [entry for entry in self.configs if entry["type"] in (mode, *others)]
        for entry in presets:
            if title is None or entry["title"] == title:
                return dict(entry["config"])
        if title is None:
            return {}
        titles = ", ".join(entry["title"] for entry in presets) or "none"
        raise InputError(f"{self.root / PRESETS} has no {mode} config {title!r}; there is {titles}.")


def _read_info(root: Path) -> JsonObject:
    path = root / INFO
    if not path.exists():
        return {}
    info = read_json(path)
    if not isinstance(info, dict):
        raise InputError(f"{path} must be a JSON object with title, description and type.")
    for field in ("title", "description"):
        if not isinstance(info.get(field), str):
            raise InputError(f"{path}: {field} must be text.")
    if info.get("type") not in KINDS:
        raise InputError(f"{path}: type must be one of {', '.join(KINDS)}, not {info.get('type')!r}.")
    return info


def _read_configs(root: Path) -> list[JsonObject]:
    path = root / PRESETS
    if not path.exists():
        return []
    configs = read_json(path)
    if not isinstance(configs, list):
        raise InputError(f"{path} must be a JSON list; [] is fine.")
    for index, entry in enumerate(configs):
        fields = {"title": str, "type": str, "config": dict}
        wrong = [
            name
            for name, kind in fields.items()
            if not isinstance(entry, dict) or not isinstance(entry.get(name), kind)
        ]
        if wrong:
            raise InputError(f"{path}: entry {index} lacks {wrong[0]!r}; each has title, type and config.")
    return configs


def _read_version(root: Path) -> str | None:
    path = root / VERSION
    if not path.exists():
        return None
    version = path.read_text(encoding="utf-8", errors="replace").strip()
    if not version:
        raise InputError(f"{path} is empty; write the image into it as name:tag, such as my-unet:1.0.")
    if not _IMAGE.fullmatch(version):
        raise InputError(f"{path} must hold the image as name:tag, such as my-unet:1.0, not {version!r}.")
    return version
