"""Which formats there are, and which one a file or folder is of."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from ravenml.common.formatting import describe_error
from ravenml.common.hooks import DATA
from ravenml.data.formats.base import Format
from ravenml.data.problems import suggestion
from ravenml.errors import InputError, RavenError
from ravenml.plugin.discovery import Plugin, plugins


@cache
def format_names() -> list[str]:
    """The names of the formats that are installed, sorted; none is imported."""
    return sorted(_entries())


def load_format(name: str) -> Format:
    """The format of a name.

    Raises:
        InputError: none is called so; the sentence names the nearest.
        RavenError: it cannot be imported, or is not a `Format`.
    """
    entries = _entries()
    if name not in entries:
        raise InputError(f"There is no format {name!r} ({suggestion(name, sorted(entries))}).")
    where = f"The format {name!r} ({entries[name].entry_point.value})"
    kind = entries[name].load()
    try:
        made = kind()
    except Exception as error:
        raise RavenError(f"{where} cannot be loaded: {describe_error(error)}.") from error
    if not isinstance(made, Format):
        raise RavenError(f"{where} is not a class derived from ravenml.data.formats.base.Format.")
    return made


def guess_format(path: Path) -> str:
    """The name of the one format that recognises a file or folder.

    Raises:
        InputError: none does, or several do.
    """
    if not path.exists():
        raise InputError(f"{path} does not exist; name the file or folder to import.")
    found = []
    for name in format_names():
        try:
            if load_format(name).recognises(path):
                found.append(name)
        except Exception:  # another's format that is broken must not keep ours from being found
            continue
    if len(found) == 1:
        return found[0]
    if (path / "meta.json").is_file() and not found:
        raise InputError(
            f"{path} is a project already and does not need an import: raven data inspect {path}"
        )
    said = "looks like none of the known formats" if not found else f"may be {' or '.join(found)}"
    names = found or format_names()
    raise InputError(f"{path} {said}; name one first: raven data import {{{','.join(names)}}} SRC DST")


def _entries() -> dict[str, Plugin]:
    return plugins(DATA)
