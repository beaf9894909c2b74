"""Finding plugins by their entry points, without importing any that is not called.

Listing must stay as fast as the interpreter allows: this module imports nothing but importlib-metadata,
and reads names only.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import accumulate
from types import FrameType
from typing import TYPE_CHECKING, Any

from ravenml.common.hooks import TRAIN, find_entry_points
from ravenml.errors import InputError, RavenError

if TYPE_CHECKING:
    from importlib_metadata import EntryPoint

IMPORT_LIMIT = 60.0  # seconds; RAVENML_IMPORT_TIMEOUT sets another
ANNOUNCE_AFTER = 5.0  # seconds after which a running import is mentioned


class PluginError(RavenError):
    """A plugin cannot be used; the sentence says which distribution is at fault, and why."""


class Plugin:
    """One entry point: a name, and where its object is.

    Attributes:
        name: as the command line spells it.
        entry_point: what the distribution declared.
        rivals: the other distributions that declare the same name.
    """

    def __init__(self, entry_point: EntryPoint, conflicting: list[EntryPoint]) -> None:
        self.name: str = entry_point.name
        self.entry_point = entry_point
        self.conflicting = conflicting

    @property
    def distribution(self) -> str:
        """The distribution's name, as pip spells it."""
        return _distribution(self.entry_point)

    @property
    def version(self) -> str:
        """The distribution's version."""
        dist = self.entry_point.dist
        return str(dist.version) if dist is not None else "?"

    def fault(self, taken: frozenset[str] = frozenset()) -> str | None:
        """What metadata alone shows to be wrong, as a short phrase.

        Args:
            taken: names of the core's own commands, which a plugin may not have.
        """
        if self.name in taken:
            return f"its name belongs to the command `raven train {self.name}`"
        if self.conflicting:
            return f"{self._declared_by()} declare the same name; uninstall all but one of them"
        if not module_exists(self.entry_point.module):
            return f"its module {self.entry_point.module} cannot be found"
        return None

    def _declared_by(self) -> str:
        return " and ".join(sorted({self.distribution, *map(_distribution, self.conflicting)}))

    def load(self) -> Any:
        """Import the plugin's object.

        Raises:
            PluginError: another distribution has the same name, or the import fails or takes too long.
        """
        if self.conflicting:
            raise PluginError(
                f"The plugin {self.name!r} is declared by {self._declared_by()}; "
                "uninstall all but one of them."
            )
        limit = import_limit()
        try:
            with _time_limit(limit), self._announce_wait(limit):
                return self.entry_point.load()
        except KeyboardInterrupt:
            raise
        except _ImportTimeout as error:
            raise self.load_error(f"its import did not end within {limit:g} s") from error
        except BaseException as error:  # SystemExit too: importing must not end the command
            reason = " ".join(f"{type(error).__name__}: {error}".split()).rstrip(":.")
            raise self.load_error(reason) from error

    @contextmanager
    def _announce_wait(self, limit: float) -> Iterator[None]:
        """Say on stderr what is being waited for, if it takes long."""
        text = (
            f"Waiting for the plugin {self.name!r} of the distribution {self.distribution} to be imported "
            f"(for {limit:g} s at most)."
        )
        timer = threading.Timer(ANNOUNCE_AFTER, lambda: print(text, file=sys.stderr, flush=True))
        timer.daemon = True
        timer.start()
        try:
            yield
        finally:
            timer.cancel()

    def load_error(self, reason: str) -> PluginError:
        """The error that says which distribution is at fault, and why."""
        return PluginError(
            f"The plugin {self.name!r} of the distribution {self.distribution} {self.version} "
            f"cannot be loaded: {reason}."
        )


def _distribution(entry_point: EntryPoint) -> str:
    dist = entry_point.dist
    return str(dist.name) if dist is not None else "an unknown distribution"


def plugins(group: str = TRAIN) -> dict[str, Plugin]:
    """The installed plugins by name, sorted."""
    found: dict[str, list[EntryPoint]] = {}
    for entry_point in find_entry_points(group):
        found.setdefault(entry_point.name, []).append(entry_point)
    return {name: Plugin(same[0], same[1:]) for name, same in found.items()}


def find_plugin(name: str, group: str = TRAIN) -> Plugin | None:
    """The plugin called ``name``; underscores and dashes are the same."""
    known = plugins(group)
    if name in known:
        return known[name]
    return next(
        (plugin for key, plugin in known.items() if key.replace("_", "-") == name.replace("_", "-")), None
    )


def module_exists(dotted: str) -> bool:
    """Whether a module can be found, decided without importing it or its packages."""
    path = None
    for name in accumulate(dotted.split("."), "{}.{}".format):
        spec = None
        for finder in sys.meta_path:
            find = getattr(finder, "find_spec", None)
            spec = find(name, path) if find is not None else None
            if spec is not None:
                break
        if spec is None:
            return False
        path = spec.submodule_search_locations
        if path is None and name != dotted:
            return False
    return True


class _ImportTimeout(BaseException):
    """An import took too long; no plugin's ``except Exception`` should swallow it."""


def import_limit() -> float:
    """How long a plugin's import may take, in seconds: ``RAVENML_IMPORT_TIMEOUT``, or 60.

    Raises:
        InputError: the variable holds no number.
    """
    given = os.environ.get("RAVENML_IMPORT_TIMEOUT", str(IMPORT_LIMIT))
    try:
        return max(float(given), 0.001)
    except ValueError:
        raise InputError(f"RAVENML_IMPORT_TIMEOUT should be a number of seconds, not {given!r}.") from None


@contextmanager
def _time_limit(seconds: float) -> Iterator[None]:
    """Raise TimeoutError in the block after ``seconds``; outside the main thread there is no limit."""
    if threading.current_thread() is not threading.main_thread() or not hasattr(signal, "setitimer"):
        yield
        return

    def late(number: int, frame: FrameType | None) -> None:
        raise _ImportTimeout

    before: Callable[..., Any] | int | None = signal.signal(signal.SIGALRM, late)
    signal.setitimer(signal.ITIMER_REAL, seconds, 0.5)  # again: an `except:` in a loop may swallow the first
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
