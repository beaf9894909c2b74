"""Servers of models that were started from the dashboard, and outlive it.

Each has a folder ``<home>/serving/<id>/``: ``served.json`` (which model, since when, its process), ``log``
(what it prints, its address among it), ``token`` and ``lock``, which the server's process holds as
long as it lives, whoever started it.
"""

from __future__ import annotations

import os
import re
import secrets
import shutil
import signal
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from ravenml.common.formatting import utc_timestamp
from ravenml.common.io import JsonObject, read_json, write_json
from ravenml.common.locks import is_held, open_locked
from ravenml.config.home import home
from ravenml.dashboard import processes
from ravenml.errors import RavenError
from ravenml.store.ids import new_id

_ADDRESS = re.compile(r"^Open:\s+(https?://\S+)", re.MULTILINE)
_FORGET = 86400.0  # seconds for which one that failed is told of
_TAIL = 16_384


@dataclass(frozen=True)
class Server:
    """A server of a model.

    Attributes:
        id: its own.
        model: the model's id.
        alive: whether its process lives.
        address: where it answers, with its token; None before it does.
        last_line: the last thing it printed, without the address.
    """

    id: str
    model: str
    alive: bool
    address: str | None
    last_line: str


def serve(model: str) -> str:
    """Start ``raven serve`` with a model, on any free port; the server's id.

    Raises:
        RavenError: the home may not be written.
    """
    name = new_id()
    folder = _home() / name
    # Made first: a folder without a lock is one that is just being made.
    served = {"v": 1, "model": model, "since": utc_timestamp()}
    write_json(folder / "served.json", served)
    lock = open_locked(folder / "lock", mode=0o600)
    try:
        token = folder / "token"
        with os.fdopen(os.open(token, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "w") as file:
            file.write(secrets.token_hex(24))
        command = ["serve", model, "--port", "0", "--token-file", str(token)]
        started = processes.start(command, folder / "log", keep=[lock])
    finally:
        os.close(lock)  # the child's copy goes on holding it
    write_json(folder / "served.json", served | {"pid": started.process.pid})
    return name


def servers() -> list[Server]:
    """Those that live, and those that have failed of late; what has ended in good order is forgotten."""
    found = []
    for folder in sorted(_home().glob("*")):
        with suppress(RavenError, KeyError, OSError):
            one = _read(folder)
            old = time.time() - (folder / "served.json").stat().st_mtime > _FORGET
            if one.alive or not (one.address or old):
                found.append(one)
            elif not one.alive:
                shutil.rmtree(folder, ignore_errors=True)
    return found


def stop(server: str) -> None:
    """Ask a server to end, as Ctrl-C does: what it has accepted it answers.

    Raises:
        RavenError: there is none of this name, or it is somebody else's.
    """
    folder = _home() / server
    if server not in {path.name for path in _home().glob("*")}:
        raise RavenError(f"There is no server {server!r}.")
    pid = read_json(folder / "served.json").get("pid")
    if is_held(folder / "lock") and isinstance(pid, int):  # so it lives, and its number is still its own
        try:
            os.kill(pid, signal.SIGTERM)
        except ProcessLookupError:
            pass
        except PermissionError:
            raise RavenError(f"Process {pid} belongs to another user.") from None
    else:
        shutil.rmtree(folder, ignore_errors=True)


def _read(folder: Path) -> Server:
    served: JsonObject = read_json(folder / "served.json")
    alive = is_held(folder / "lock")
    text = ""
    with suppress(OSError), (folder / "log").open("rb") as file:
        text = file.read(_TAIL).decode(errors="replace")
    found = _ADDRESS.search(text)
    lines = [line.strip() for line in text.splitlines() if line.strip() and not _ADDRESS.match(line)]
    last_line = (lines[-1] if lines else "").removeprefix("Error: ")
    address = found[1] if found else None
    if address is not None and "?" not in address:  # an older ravenML printed it with the token
        with suppress(OSError):
            address += f"?token={(folder / 'token').read_text()}"
    return Server(folder.name, str(served["model"]), alive, address, last_line)


def _home() -> Path:
    return home() / "serving"
