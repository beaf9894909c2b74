"""Who may read what ravenML writes: what is in its home is its owner's alone, unless a umask says otherwise.

Modes are set on ravenML's own files and folders; the umask of the process, which is also that of the user's
training code, stays as it is.  A folder without access for others hides all that is in it, whoever wrote it.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Callable
from contextlib import suppress
from functools import lru_cache
from pathlib import Path

from ravenml.errors import InputError

UMASK = "RAVENML_UMASK"
PRIVATE = 0o077
_NAMES = (  # of what ravenML keeps in its home
    *("runs", "cache", "datasets", "store", "remote", "agent", "serving", "tokens", "drafts", "config.yaml"),
)
_OCTAL = re.compile(r"0?o?([0-7]{3})")
_IN_CONFIG = re.compile(r"^umask:[ \t]*['\"]?([^'\"\s#]+)", re.MULTILINE)


def home() -> Path:
    """The folder of runs, models, datasets, caches and the configuration.

    ``$RAVENML_STORAGE_PATH``, or ``~/.ravenML``.  It is not created here.
    """
    configured = os.environ.get("RAVENML_STORAGE_PATH")
    return Path(configured).expanduser().absolute() if configured else Path.home() / ".ravenML"


def home_umask() -> int:
    """What nobody but the owner may do in the home: ``$RAVENML_UMASK``, the configuration's, or 077.

    Raises:
        InputError: it is not three octal digits.
    """
    text = os.environ.get(UMASK) or ""
    if not text:
        path = str(home() / "config.yaml")
        with suppress(OSError):
            text = _configured(path, os.stat(path).st_mtime_ns)
    return parse_umask(text) if text else PRIVATE


@lru_cache(maxsize=8)
def _configured(path: str, _version: int) -> str:
    # Read before YAML is loaded, which would cost every command more than the rest of its start.
    with suppress(OSError, UnicodeDecodeError), open(path, encoding="utf-8") as file:
        found = _IN_CONFIG.search(file.read(1 << 20))
        return found[1] if found else ""
    return ""


def parse_umask(text: str) -> int:
    """A umask from its octal digits.

    Raises:
        InputError: it is not three of them.
    """
    found = _OCTAL.fullmatch(text.strip())
    if found is None or int(found[1], 8) & 0o700:
        raise InputError(f"{UMASK} should be three octal digits, such as 077 or 007, not {text!r}.")
    return int(found[1], 8)


def is_private(path: Path | str) -> bool:
    """Whether a path lies in the home, or in the folder of a worker's runs, or is one of them."""
    runs = os.environ.get("RAVENML_RUNS_PATH")
    text = os.path.abspath(path)
    roots = (str(home()), *([os.path.abspath(runs)] if runs else []))
    return any(text == root or text.startswith(f"{root}{os.sep}") for root in roots)


def open_file(path: Path | str, flags: int) -> int:
    """``os.open`` for a file that may have to be made, with the mode that its place asks for."""
    private = is_private(path)
    file = os.open(path, flags | os.O_CLOEXEC, 0o600 if private else 0o666)
    if private and (umask := home_umask()) != PRIVATE:
        with suppress(OSError):  # somebody else's file, or a file system without modes
            os.fchmod(file, 0o666 & ~umask)
    return file


def follow_place(file: int, path: Path) -> None:
    """Give a file that came out of the home the mode of a new one: in a shared store, a group reads it."""
    if not is_private(path):
        umask = os.umask(0)
        os.umask(umask)
        with suppress(OSError):
            os.fchmod(file, 0o666 & ~umask)


def make_folder(path: Path) -> None:
    """Make a folder, and those above it; one that is there is left as it is.

    Raises:
        OSError: it cannot be made, or a file has its name.
    """
    try:
        _make_one_folder(path)
    except FileNotFoundError:
        if path.parent == path:
            raise
        make_folder(path.parent)
        _make_one_folder(path)


def _make_one_folder(path: Path) -> None:
    private = is_private(path)
    try:
        os.mkdir(path, 0o700 if private else 0o777)
    except FileNotFoundError:
        raise
    except OSError:  # some systems say that they are read-only before they say that it is there
        if not path.is_dir():
            raise
        return
    if private and (umask := home_umask()) != PRIVATE:
        with suppress(OSError):
            inherited = stat.S_IMODE(path.stat().st_mode) & stat.S_ISGID
            path.chmod(0o777 & ~umask | inherited)


def close_home(say: Callable[[str], None]) -> None:
    """Close a home to others that an older ravenML, or ``mkdir``, has left open; ``say`` is told, once.

    Left as they are: what belongs to somebody else, what its group may write (that was meant), and a folder
    that holds other things too, of which only ravenML's own folders are closed.
    """
    folder = home()
    with suppress(OSError):
        if not _is_open(folder):
            return
        ours = set(os.listdir(folder)) <= {*_NAMES, *(n for n in os.listdir(folder) if n.startswith("."))}
        closed = [f for f in ([folder] if ours else [folder / n for n in _NAMES]) if _is_open(f)]
        for one in closed:
            one.chmod(stat.S_IMODE(one.stat().st_mode) & ~home_umask())
        if (folder / "runs").is_dir() and closed:
            what = str(folder) if ours else f"What ravenML keeps in {folder}"
            say(f"Note: {what} can be read by you alone from now on; docs/installation.md: how to share it.")


def _is_open(path: Path) -> bool:
    try:
        found = path.stat()
    except OSError:
        return False
    shared = found.st_mode & (stat.S_ISGID | stat.S_ISVTX | stat.S_IWGRP)
    return found.st_uid == os.geteuid() and not shared and bool(found.st_mode & home_umask())
