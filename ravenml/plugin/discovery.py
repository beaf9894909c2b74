"""Finding plugins by their entry points, without importing any that is not called, and importing one safely.

Listing must stay as fast as the interpreter allows: this module imports nothing but importlib-metadata,
and reads names only.

A plugin that this Python has never imported well is imported in another process first (``probe.py``).  What
was learned is kept in the cache until the plugin or the environment changes, so that a known plugin is
imported once.
"""

from __future__ import annotations

import os
import re
import sys
import threading
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from importlib.machinery import ModuleSpec
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ravenml.common.formatting import describe_error, printable
from ravenml.common.hooks import TRAIN
from ravenml.errors import InputError, RavenError
from ravenml.plugin.distributions import find_entry_points

if TYPE_CHECKING:
    from importlib_metadata import EntryPoint

    from ravenml.plugin.probe import Examine

IMPORT_LIMIT = 60.0  # seconds; RAVENML_IMPORT_TIMEOUT sets another
ANNOUNCE_AFTER = 5.0  # seconds after which a running import is mentioned
_NAME = re.compile(r"\w[\w.-]{,99}")


class PluginError(RavenError):
    """A plugin cannot be used; the sentence says which distribution is at fault, and why."""


class Plugin:
    """One entry point: a name, and where its object is.

    Attributes:
        name: as the command line spells it.
        entry_point: what the distribution declared.
        rivals: the other distributions that declare the same name.
        distribution: the distribution's name, as pip spells it.
        version: the distribution's version.
        folder: of the distribution's metadata; None if it lies in no folder.
    """

    def __init__(
        self,
        entry_point: EntryPoint,
        rivals: list[str],
        distribution: str = "an unknown distribution",
        version: str = "?",
        folder: Path | None = None,
    ) -> None:
        self.name: str = entry_point.name
        self.entry_point = entry_point
        self.rivals = rivals
        self.distribution = distribution
        self.version = version
        self.folder = folder

    def fault(self, taken: frozenset[str] = frozenset()) -> str | None:
        """What metadata alone shows to be wrong, as a short phrase.

        Args:
            taken: names of the core's own commands, which a plugin may not have.
        """
        if self.name in taken:
            return f"its name belongs to the command `raven train {self.name}`"
        if _NAME.fullmatch(self.name) is None:
            return (
                "its name may have up to 100 letters, digits, dots, dashes and underscores, and nothing else"
            )
        if self.rivals:
            return f"{self._declared_by()} declare the same name; uninstall all but one of them"
        try:
            module = self.entry_point.module
        except ValueError:
            return f"its entry point {printable(self.entry_point.value)!r} is not like `module:object`"
        if find_module(module) is None:
            return f"its module {printable(module)} cannot be found"
        return None

    def _declared_by(self) -> str:
        return " and ".join(sorted({self.distribution, *self.rivals}))

    def load(self) -> Any:
        """Import the plugin's object; a plugin that is not known yet, in another process first.

        What the import changes in this process that is not its own is changed back: the working folder, the
        handling of signals, and the standard streams.

        Raises:
            PluginError: another distribution has the same name, or the import fails or takes too long.
        """
        from ravenml.plugin.containment import ImportTimeout, contained

        state = self._state()
        is_new = state is not None and not _is_known(self, state)
        if self.rivals or is_new:
            self.probe()
            if state is not None:
                _remember(self, state)
        limit = import_limit()
        try:
            with self._announce_wait(limit), contained(limit, self._late(limit)):
                found = self.entry_point.load()
        except KeyboardInterrupt:
            raise
        except ImportTimeout as error:
            _forget(self)
            raise self.load_error(f"its import did not end within {limit:g} s") from error
        except BaseException as error:  # SystemExit too: importing must not end the command
            _forget(self)
            raise self.load_error(describe_error(error)) from error
        if is_new:
            self._notice_former_names()
        return found

    def _notice_former_names(self) -> None:
        """Say once, to whoever wrote the plugin, what it imports by a name of earlier days."""
        from ravenml.renamed import USED

        if USED:
            names = ", ".join(f"{former} (now {new})" for former, new in sorted(USED.items()))
            print(f"Note: the plugin {self.name!r} uses former names, which work: {names}.", file=sys.stderr)

    def probe(self, examine: Examine | None = None) -> None:
        """Import the plugin's object in another process.

        Args:
            examine: called there with the object; it yields what is wrong with it.

        Raises:
            PluginError: another distribution has the same name, the import fails or takes too long, or
                something is wrong with the object.
        """
        if self.rivals:
            raise PluginError(
                f"The plugin {self.name!r} is declared by {self._declared_by()}; "
                "uninstall all but one of them."
            )
        from ravenml.plugin.probe import probe

        limit = import_limit()
        say = self._waiting(limit)
        answer = probe(self.entry_point.value, limit, wait=say, wait_after=ANNOUNCE_AFTER, examine=examine)
        problem = answer.problem or "; ".join(answer.faults)
        if problem:
            error = self.load_error(problem)
            if answer.traceback:
                error.add_note(answer.traceback)  # which RAVENML_DEBUG=1 shows
            raise error

    def _state(self) -> str | None:
        """What this plugin's import depends on, as text; None for what is imported already, or is the core's.

        The whole environment is part of it: whatever pip changes there may break a plugin.
        """
        try:
            module = self.entry_point.module
        except ValueError:
            return None
        if module in sys.modules or module.startswith("ravenml."):
            return None
        spec = find_module(module)
        origin = spec.origin if spec is not None and spec.origin else ""
        facts = [sys.version, self.entry_point.value, self.version, f"{origin} {_stamp(origin)}"]
        for _ in range(module.count(".") + bool(spec is not None and spec.submodule_search_locations)):
            origin = os.path.dirname(origin)
            with suppress(OSError):
                files = sorted(name for name in os.listdir(origin) if name.endswith((".py", ".so")))
                facts += [f"{origin}/{name} {_stamp(f'{origin}/{name}')}" for name in files]
        environment = [folder for folder in sys.path if folder.endswith("-packages")]
        facts += [f"{folder} {_stamp(folder)}" for folder in environment]
        if self.folder is not None:
            facts += [f"{path} {_stamp(path)}" for path in (self.folder, self.folder / "RECORD")]
        return "\n".join(facts)

    def _waiting(self, limit: float) -> Callable[[], None]:
        text = (
            f"Waiting for the plugin {self.name!r} of the distribution {self.distribution} to be imported "
            f"(for {limit:g} s at most)."
        )
        return lambda: print(text, file=sys.stderr, flush=True)

    @contextmanager
    def _announce_wait(self, limit: float) -> Iterator[None]:
        """Say on stderr what is being waited for, if it takes long."""
        timer = threading.Timer(ANNOUNCE_AFTER, self._waiting(limit))
        timer.daemon = True
        timer.start()
        try:
            yield
        finally:
            timer.cancel()

    def _late(self, limit: float) -> Callable[[], None]:
        def end() -> None:
            _forget(self)
            error = self.load_error(f"its import did not end within {limit:g} s, nor when it was told to")
            os.write(2, f"Error: {error}\n".encode(errors="replace"))
            os._exit(error.exit_code)

        return end

    def load_error(self, reason: str) -> PluginError:
        """The error that says which distribution is at fault, and why."""
        return PluginError(f"{self._described()} cannot be loaded: {reason}.")

    def failure(self, reason: str) -> PluginError:
        """The error that says whose command has failed, and why."""
        return PluginError(f"{self._described()} failed: {reason}.")

    def _described(self) -> str:
        name = printable(self.name)
        return f"The plugin {name!r} of the distribution {self.distribution} {self.version}"


def plugins(group: str = TRAIN) -> dict[str, Plugin]:
    """The installed plugins by name, sorted.

    A distribution whose metadata are damaged is passed over, with a note on stderr.
    """
    found: dict[str, Plugin] = {}
    for one in find_entry_points(group):
        known = found.get(one.point.name)
        if known is not None:
            known.rivals.append(one.distribution)
        else:
            found[one.point.name] = Plugin(one.point, [], one.distribution, one.version, one.folder)
    return found


def find_plugin(name: str, group: str = TRAIN) -> Plugin | None:
    """The plugin called ``name``; underscores and dashes are the same."""
    known = plugins(group)
    if name in known:
        return known[name]
    return next(
        (plugin for key, plugin in known.items() if key.replace("_", "-") == name.replace("_", "-")), None
    )


def find_module(dotted: str) -> ModuleSpec | None:
    """Where a module is, found without importing it or its packages; None if it cannot be found."""
    path, spec = None, None
    for name in accumulate(dotted.split("."), "{}.{}".format):
        if spec is not None and path is None:
            return None  # what stands before the dot is not a package
        spec = None
        for finder in list(sys.meta_path):
            find = getattr(finder, "find_spec", None)
            try:
                spec = find(name, path) if find is not None else None
            except Exception:  # of another package's finder, or because of an odd name
                continue
            if spec is not None:
                break
        if spec is None:
            return None
        path = spec.submodule_search_locations
    return spec


# What is known: a file for each plugin of each Python, which holds all that its import depends on.


def _known_file(plugin: Plugin) -> Path:
    from ravenml.config.home import cache_dir

    who = "\n".join((sys.prefix, plugin.entry_point.group, plugin.name, plugin.distribution))
    return cache_dir() / "plugins" / f"{zlib.crc32(who.encode(errors='replace')):08x}"


def _is_known(plugin: Plugin, state: str) -> bool:
    try:
        return _known_file(plugin).read_bytes() == state.encode(errors="replace")
    except OSError:
        return False


def _remember(plugin: Plugin, state: str) -> None:
    from ravenml.common.io import write_cache

    with suppress(OSError):  # a cache that cannot be written costs time, and nothing else
        write_cache(_known_file(plugin), [state.encode(errors="replace")])


def _forget(plugin: Plugin) -> None:
    with suppress(OSError):
        _known_file(plugin).unlink(missing_ok=True)


def _stamp(path: str | Path) -> str:
    try:
        found = os.stat(path)
    except OSError:
        return "-"
    return f"{found.st_mtime_ns} {found.st_size}"


def import_limit() -> float:
    """How long a plugin's import may take, in seconds: ``RAVENML_IMPORT_TIMEOUT``, or 60.

    Raises:
        InputError: the variable holds no number.
    """
    given = os.environ.get("RAVENML_IMPORT_TIMEOUT", str(IMPORT_LIMIT))
    try:
        return min(max(float(given), 0.001), threading.TIMEOUT_MAX / 2)
    except ValueError:
        raise InputError(f"RAVENML_IMPORT_TIMEOUT should be a number of seconds, not {given!r}.") from None
