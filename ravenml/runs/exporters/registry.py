"""Which readers a run has: those that the configuration names."""

from __future__ import annotations

import difflib
import importlib.util
from collections.abc import Callable

from ravenml.common.extras import install_command
from ravenml.common.hooks import TRACK
from ravenml.config.config import Config
from ravenml.errors import InputError
from ravenml.plugin.discovery import Plugin, plugins
from ravenml.runs.exporters.base import Exporter

_PACKAGES = {"mlflow": "mlflow", "clearml": "clearml"}  # which are extras of the same names


def configured_exporters(config: Config) -> list[str]:
    """The names of the readers; without a choice TensorBoard's, where it is installed."""
    if config.track is None:
        installed = any(
            importlib.util.find_spec(name) is not None for name in ("tensorboard", "tensorboardX")
        )
        return ["tensorboard"] if installed else []
    return _split(config.track)


def check_trackers(track: str) -> list[str]:
    """Check a value of the setting ``track``.

    Returns:
        A sentence for each tracker that is known, but whose own package is not installed.

    Raises:
        InputError: one is not known; the sentence lists those that are.
    """
    names = _split(track)
    for name in names:
        _known(name)
    return [
        f"{name} is not installed; install it with: {install_command(name)}"
        for name in names
        if name in _PACKAGES and importlib.util.find_spec(_PACKAGES[name]) is None
    ]


def load_exporter(name: str) -> Callable[..., Exporter]:
    """The class of a reader.

    Raises:
        InputError: none is called so; the sentence names those that there are.
        RavenError: it cannot be imported; the sentence names its package.
    """
    known = _known(name)
    found: Callable[..., Exporter] = known.load()
    if not (isinstance(found, type) and issubclass(found, Exporter)):
        raise known.load_error(f"{known.entry_point.value} is not a class derived from Exporter")
    return found


def _split(track: str) -> list[str]:
    """The names in a value of the setting; "none" is none."""
    names = [name.strip() for name in track.split(",")]
    return [name for name in dict.fromkeys(names) if name and name != "none"]


def _known(name: str) -> Plugin:
    """The entry point of a tracker."""
    known = plugins(TRACK)
    if name not in known:
        there_are = ", ".join(sorted(known))
        close = difflib.get_close_matches(name, known, n=1)
        hint = f"did you mean {close[0]!r}? There" if close else "there"
        raise InputError(f"`track`: there is no tracker {name!r}; {hint} are {there_are}, or none.")
    return known[name]
