"""The journal of an environment: what was there before ravenML's scripts changed it, and what they changed.

It is kept in ``<environment>/share/ravenml/journal.json`` and is written, whole, *before* each change
(``Journal.begin``) and after it (``Journal.settle``).  A process killed in between leaves ``pending`` behind,
which says what was there before and what was being brought; the next script settles that first.

Schema 1::

    before    name -> {version, origin}           everything, before the first change
    brought   name -> version                     what had not been there
    changed   name -> {had: {version, origin}, now: version or null}
    plugins   name -> {folder, gpu, pins}         the plugins that install.sh has installed
    repair    [name]                              to be installed again: a removed one shares files with them
    pending   {started, plugin, before, pins, entries, owned}    a change that has begun and not ended

While a change is under way, the file's time is the last sign of life of who makes it.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NotRequired, TypedDict

from ravenml.common.formatting import utc_timestamp
from ravenml.common.io import JsonObject, read_json, to_user_error, write_json
from ravenml.common.locks import acquire
from ravenml.errors import RavenError
from ravenml.plugin import pip as processes
from ravenml.plugin.environment import Environment, InstalledPackage
from ravenml.plugin.leftovers import list_entries, list_owned, remove_leftovers

SCHEMA = 1
UNPINNED = "?"  # stands for the version of the plugin itself
LOCK = "RAVENML_INSTALL_LOCK"  # the descriptor by which scripts that we run share our lock


def journal_folder() -> Path:
    """The folder of this environment's journal."""
    return Path(sys.prefix) / "share" / "ravenml"


@contextmanager
def locked() -> Iterator[None]:
    """One of ravenML's scripts at a time in one environment, with those that it runs itself.

    Raises:
        RavenError: another one is at work there, or the folder may not be written.
    """
    folder = journal_folder()
    descriptor = _shared_lock(folder)
    shared = descriptor is not None
    try:
        if descriptor is None:
            folder.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(folder, os.O_RDONLY)
    except OSError as error:
        raise to_user_error(error, folder) from error
    try:
        if not acquire(descriptor, patience=0):
            raise RavenError(f"Another install.sh is running in {sys.prefix}; wait until it ends.")
        processes.inherited, processes.heartbeat = (descriptor,), folder / "journal.json"
        try:
            yield
        finally:
            processes.inherited, processes.heartbeat = (), None
            for empty in () if shared else (folder, folder.parent):  # nothing stays for nothing
                with suppress(OSError):
                    empty.rmdir()
    finally:
        if not shared:
            os.close(descriptor)


def _shared_lock(folder: Path) -> int | None:
    """The descriptor by which the script that runs this one holds the lock of ``folder``, if one does."""
    try:
        descriptor = int(os.environ.get(LOCK, ""))
        return descriptor if os.path.samestat(os.fstat(descriptor), folder.stat()) else None
    except (OSError, ValueError):
        return None


class NotedPackage(TypedDict):
    """A package as it was before a change."""

    version: str
    origin: NotRequired[JsonObject]


class Change(TypedDict):
    """A package that was changed; its version now is None where it is gone."""

    had: NotedPackage
    now: str | None


class NotedPlugin(TypedDict):
    """An installed plugin."""

    folder: str
    gpu: bool
    pins: dict[str, str]


class Pending(TypedDict):
    """A change that has begun and not ended."""

    started: str
    plugin: str | None
    before: dict[str, NotedPackage]
    pins: dict[str, str] | None
    entries: dict[str, list[str]]
    owned: NotRequired[dict[str, list[str]]]


class Journal:
    """One environment's journal; see this module's text for its fields."""

    def __init__(self, path: Path, values: JsonObject | None = None) -> None:
        values = values or {}
        self.path = path
        self.began: str = values.get("began", _now())
        self.before: dict[str, NotedPackage] = dict(values.get("before", {}))
        self.brought: dict[str, str] = dict(values.get("brought", {}))
        self.changed: dict[str, Change] = dict(values.get("changed", {}))
        self.plugins: dict[str, NotedPlugin] = dict(values.get("plugins", {}))
        self.repair: list[str] = list(values.get("repair", []))
        self.pending: Pending | None = values.get("pending")

    @classmethod
    def open(cls) -> Journal:
        """This environment's journal; an empty one where nothing was ever changed.

        Raises:
            RavenError: the file is damaged or from a newer ravenML.
        """
        path = journal_folder() / "journal.json"
        if not path.exists():
            return cls(path)
        values = read_json(path)
        if not isinstance(values, dict) or not isinstance(values.get("v"), int):
            raise RavenError(
                f"{path} is not a journal written by ravenML; move it away, and dependencies will stay."
            )
        if values["v"] > SCHEMA:
            raise RavenError(
                f"{path} was written by a newer ravenML (schema {values['v']}); update ravenML first."
            )
        return cls(path, values)

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to remember: no plugin, nothing brought, changed or under way."""
        return not (self.brought or self.changed or self.plugins or self.repair or self.pending)

    def save(self) -> None:
        """Write the journal, whole or not at all; an empty one is removed."""
        for stray in self.path.parent.glob(".*.tmp"):  # of a process that was killed while writing
            stray.unlink(missing_ok=True)
        if self.is_empty:
            self.path.unlink(missing_ok=True)
            return
        fields = ("began", "before", "brought", "changed", "plugins", "repair", "pending")
        write_json(self.path, {"v": SCHEMA} | {name: getattr(self, name) for name in fields})

    def begin(
        self,
        environment: Environment,
        pins: Mapping[str, str] | None,
        plugin: str | None = None,
        noted: NotedPlugin | None = None,
    ) -> None:
        """Note, before a change, everything that is there.

        Args:
            environment: as it is.
            pins: what may come, by name; all else that appears meanwhile is not ours.  None: a plugin's own
                script decides what comes.
            plugin: the plugin that is being installed.
            noted: what to remember about it.
        """
        packages = {name: _noted(package) for name, package in environment.packages.items()}
        if self.is_empty:
            self.began, self.before = _now(), packages
        if plugin is not None and noted is not None:
            self.plugins[plugin] = noted
        self.pending = {
            "started": _now(),
            "plugin": plugin,
            "before": packages,
            "pins": None if pins is None else dict(pins),
            "entries": list_entries(environment),
            "owned": list_owned(environment),
        }
        self.save()

    def adopt(
        self, environment: Environment, plugin: str, noted: NotedPlugin, came: Mapping[str, str]
    ) -> None:
        """Note a plugin that was installed without a journal.

        Args:
            environment: as it is.
            plugin: the plugin.
            noted: what to remember about it.
            came: what has come with it, name to version.
        """
        if self.is_empty:
            others = environment.packages.keys() - came.keys() - {plugin}
            self.before = {name: _noted(environment.packages[name]) for name in others}
        self.plugins[plugin] = noted
        self.brought = dict(came) | self.brought

    def settle(self, killed: bool = True) -> list[str]:
        """Book what has become of the pending change, whether it ended well or was killed.

        Args:
            killed: what pip may have left half-way is removed, so that installing again starts clean.

        Returns:
            The names of what was removed as half-installed, files that nobody owns among them.
        """
        if self.pending is None:
            return []
        before, pins = self.pending["before"], self.pending["pins"]
        certain = {name: noted for name, noted in before.items() if name not in self.repair}
        cleared = []
        if killed:
            entries, owned = self.pending["entries"], self.pending.get("owned", {})
            cleared = remove_leftovers(certain, entries, owned, until=self.path.stat().st_mtime)
        environment = Environment()
        now = environment.packages
        if pins is None:
            ours = now.keys() | before.keys()
        else:  # they name all that is needed; on a machine that they were not compiled for, pip may add to it
            pinned = [name for name, version in pins.items() if name in now and version != UNPINNED]
            ours = pins.keys() | environment.dependencies_of(pinned).keys()
        for name in sorted(ours - {"ravenml"}):
            had, has = before.get(name), now.get(name)
            if name in self.changed:
                self.changed[name]["now"] = has.version if has else None
            elif had is None and has is not None:
                self.brought[name] = has.version
            elif had is not None and (has is None or has.version != had["version"]):
                if name in self.brought:
                    self.brought[name] = has.version if has else self.brought[name]
                    continue
                self.changed[name] = {"had": had, "now": has.version if has else None}
        for name in self.repair:  # killed while it was being installed again
            if name in before and name not in now:
                self.changed.setdefault(name, {"had": before[name], "now": None})
        self.forget_what_is_as_before(environment)
        self.pending = None
        self.save()
        return cleared

    def forget_what_is_as_before(self, environment: Environment) -> None:
        """Drop what is gone, or back at its version, no matter who did that."""
        now = environment.packages
        self.brought = {name: version for name, version in self.brought.items() if name in now}
        self.plugins = {name: plugin for name, plugin in self.plugins.items() if name in now}
        self.changed = {
            name: change
            for name, change in self.changed.items()
            if name not in now or now[name].version != change["had"]["version"]
        }


def package_from_journal(name: str, noted: NotedPackage) -> InstalledPackage:
    """A package as the journal has noted it."""
    return InstalledPackage(name, noted["version"], noted.get("origin"))


def _noted(package: InstalledPackage) -> NotedPackage:
    if package.origin:
        return {"version": package.version, "origin": package.origin}
    return {"version": package.version}


def _now() -> str:
    return utc_timestamp(milliseconds=False)
