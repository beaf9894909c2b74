"""Which readers a run has: those that the configuration names."""

from __future__ import annotations

import difflib
import importlib.util
from collections.abc import Callable

from ravenml.common.hooks import TRACK
from ravenml.config.config import Config
from ravenml.errors import InputError
from ravenml.plugin.discovery import plugins
from ravenml.runs.exporters.base import Exporter


def configured_exporters(config: Config) -> list[str]:
    """The names of the readers; without a choice TensorBoard's, where it is installed."""
    if config.track is None:
        installed = any(
            importlib.util.find_spec(name) is not None for name in ("tensorboard", "tensorboardX")
        )
        return ["tensorboard"] if installed else []
    names = [name.strip() for name in config.track.split(",")]
    return [name for name in dict.fromkeys(names) if name and name != "none"]


def load_exporter(name: str) -> Callable[..., Exporter]:
    """The class of a reader.

    Raises:
        InputError: none is called so; the sentence names the nearest.
        RavenError: it cannot be imported; the sentence names its package.
    """
    known = plugins(TRACK)
    if name not in known:
        close = difflib.get_close_matches(name, known, n=1)
        mend = f"did you mean {close[0]!r}?" if close else f"known are {', '.join(sorted(known)) or 'none'}."
        raise InputError(f"`track`: no reader of events is called {name!r}; {mend}")
    found: Callable[..., Exporter] = known[name].load()
    if not (isinstance(found, type) and issubclass(found, Exporter)):
        value = known[name].entry_point.value
        raise known[name].load_error(f"{value} is not a class derived from Exporter")
    return found
