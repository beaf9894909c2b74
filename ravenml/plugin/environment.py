"""What is installed in this Python environment, and what needs what.

Nothing here imports a third-party package that has to be there: putting back what is missing must work when
that is what is missing.
"""

from __future__ import annotations

import csv
import json
import os
import re
import sys
import sysconfig
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from importlib.metadata import Distribution, distributions
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote

from ravenml.common.hooks import TRAIN
from ravenml.common.io import JsonObject
from ravenml.plugin.distributions import DamagedDistribution, name_and_version, read_entry_points

if TYPE_CHECKING:
    from packaging.requirements import Requirement
else:
    try:
        from packaging.requirements import Requirement
    except ImportError:  # pip's own copy, which is there wherever pip is
        from pip._vendor.packaging.requirements import Requirement

__all__ = ["Environment", "InstalledPackage", "Requirement", "accepts", "canonical", "origin_path"]


def canonical(name: str) -> str:
    """A distribution's name as the package index compares it: ``Foo_Bar`` is ``foo-bar``."""
    return re.sub(r"[-_.]+", "-", name).lower()


def in_environment() -> bool:
    """Whether this Python belongs to a virtual or a conda environment."""
    return sys.prefix != sys.base_prefix or is_conda()


def is_conda() -> bool:
    """Whether conda manages this environment."""
    return os.path.isdir(os.path.join(sys.prefix, "conda-meta"))


def accepts(requirement: Requirement, version: str) -> bool:
    """Whether ``version`` lies in the requirement's range; a preview version that is installed counts."""
    return bool(requirement.specifier.contains(version, prereleases=True))


@dataclass(frozen=True)
class InstalledPackage:
    """One installed distribution.

    Attributes:
        name: its canonical name.
        version: as pip shows it.
        origin: what pip noted where it came from no index (``direct_url.json``), else None.
    """

    name: str
    version: str
    origin: JsonObject | None = None

    def requirement(self) -> list[str]:
        """The arguments by which pip installs just this again."""
        if self.origin is not None:
            url = str(self.origin.get("url", ""))
            if "vcs_info" in self.origin:
                info = self.origin["vcs_info"]
                return [f"{self.name} @ {info['vcs']}+{url}@{info['commit_id']}"]
            if self.origin.get("dir_info", {}).get("editable"):
                return ["-e", _path_of(url)]
            return [f"{self.name} @ {url}"]
        return [f"{self.name}=={self.version}"]


class Environment:
    """The distributions of this environment, as they are now.

    Attributes:
        distributions: those in its own folders, by canonical name; only these may be changed.
        external: those that are found elsewhere on the path: the system's, or a checkout's.
        links: of the distributions that ``setup.py develop`` has installed, which older versions of pip call
            for ``-e``, the file that says in which folder they lie.
    """

    def __init__(self) -> None:
        paths = sysconfig.get_paths()
        self.site = list(dict.fromkeys([Path(paths["purelib"]), Path(paths["platlib"])]))
        self.scripts = Path(paths["scripts"])
        own = [str(folder) for folder in self.site]
        self.links = {
            canonical(link.stem): link for folder in self.site for link in folder.glob("*.egg-link")
        }
        self.distributions = _linked(self.links) | _by_name(own)
        others = _by_name([folder for folder in sys.path if folder not in own])
        self.external = {name: one for name, one in others.items() if name not in self.distributions}

    @cached_property
    def packages(self) -> dict[str, InstalledPackage]:
        """Everything installed, by canonical name."""
        return {
            name: InstalledPackage(name, name_and_version(found)[1], origin(found))
            for name, found in self.items()
        }

    def items(self) -> Iterable[tuple[str, Distribution]]:
        """Names and distributions, sorted by name."""
        return sorted(self.distributions.items())

    def needs(self, name: str, extras: Iterable[str] = ()) -> list[Requirement]:
        """What a distribution's metadata requires here and now, with these extras."""
        found = self.distributions.get(name) or self.external.get(name)
        result = []
        for line in _requires(found) if found else []:
            try:
                requirement = Requirement(line)
            except ValueError:  # metadata of former days; nothing can be concluded from it
                continue
            marker = requirement.marker
            if marker is None or any(marker.evaluate({"extra": extra}) for extra in ("", *extras)):
                result.append(requirement)
        return result

    def dependencies_of(self, roots: Iterable[str]) -> dict[str, str]:
        """All that ``roots`` need, directly or not: name to the one that needs it first."""
        needed: dict[str, str] = {}
        seen: set[tuple[str, frozenset[str]]] = set()
        waiting: list[tuple[str, frozenset[str]]] = [(root, frozenset()) for root in sorted(roots)]
        while waiting:
            name, extras = waiting.pop(0)
            if (name, extras) in seen:
                continue
            seen.add((name, extras))
            for requirement in self.needs(name, extras):
                inner = canonical(requirement.name)
                if inner != name:
                    needed.setdefault(inner, name)
                    waiting.append((inner, frozenset(requirement.extras)))
        return needed

    def files(self, name: str) -> set[str]:
        """The absolute paths of a distribution's files, less compiled ones; none without a good RECORD."""
        if name in self.links:
            return {str(self.links[name])}
        try:
            files = self.distributions[name].files or []
        except (csv.Error, TypeError, ValueError):
            return set()
        return {
            os.path.normpath(str(file.locate()))
            for file in files
            if file.suffix != ".pyc" and "__pycache__" not in file.parts
        }

    def installed_at(self, name: str) -> float:
        """When a distribution was installed, in seconds since 1970."""
        folder = getattr(self.distributions[name], "_path", None)
        return os.stat(folder).st_mtime if folder else 0.0

    def plugins(self) -> dict[str, list[str]]:
        """The distributions that declare a training plugin, with the plugins' names."""
        found = {
            name: _training_plugins(one) for name, one in (*self.items(), *sorted(self.external.items()))
        }
        return {name: names for name, names in found.items() if names}


def _by_name(folders: list[str]) -> dict[str, Distribution]:
    result: dict[str, Distribution] = {}
    for found in distributions(path=folders):
        if getattr(found, "_path", Path()).name.startswith("~"):
            continue  # what pip has put aside; a killed one leaves it there, with its metadata
        with suppress(DamagedDistribution):  # a killed pip also leaves folders without metadata
            result.setdefault(canonical(name_and_version(found)[0]), found)
    return result


def _linked(links: dict[str, Path]) -> dict[str, Distribution]:
    result: dict[str, Distribution] = {}
    for name, link in links.items():
        folder = link.read_text(encoding="utf-8", errors="replace").partition("\n")[0].strip()
        result |= {key: found for key, found in _by_name([folder]).items() if key == name}
    return result


def _requires(found: Distribution) -> list[str]:
    try:
        return found.requires or []
    except ValueError:  # not UTF-8
        return []


def _training_plugins(found: Distribution) -> list[str]:
    try:
        return [name for group, name, _ in read_entry_points(found) if group == TRAIN]
    except DamagedDistribution:
        return []


def origin(found: Distribution) -> JsonObject | None:
    """What pip noted about where a distribution came from, if it was no index; or would have, if it had."""
    info = getattr(found, "_path", None)
    if isinstance(info, Path) and info.suffix == ".egg-info" and (info.parent / "setup.py").is_file():
        return {"url": info.parent.as_uri(), "dir_info": {"editable": True}}
    try:
        text = found.read_text("direct_url.json")
        value = json.loads(text) if text else None
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) and value.get("url") else None


def origin_path(found: Distribution) -> Path | None:
    """The folder or file that a distribution was installed from; None if it came from elsewhere."""
    came = origin(found)
    url = str(came["url"]) if came else ""
    return Path(_path_of(url)) if url.startswith("file://") else None


def _path_of(url: str) -> str:
    return unquote(url.removeprefix("file://"))
