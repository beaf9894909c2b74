"""Listening, printing the address, opening the browser."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path

from ravenml.dashboard.app import make_app
from ravenml.dashboard.settings import PORT, Settings
from ravenml.serve.access import Access, choose_token, listen
from ravenml.serve.allowed_paths import AllowedPaths


def serve(
    port: int | None,
    host: str,
    roots: Sequence[Path] = (),
    names: Sequence[str] = (),
    token_file: Path | None = None,
    *,
    token: bool = True,
    browser: bool = True,
) -> None:
    """Run the dashboard until it is interrupted.

    Args:
        port: where to listen; 0 any free port, None the usual one or the next that is free.
        host: the address to listen on.
        roots: below which folders a typed path may lie; without any, the working folder and the home.
        names: further names by which it may be called.
        token_file: where its token stands.
        token: whether browsers must show one.
        browser: whether to open one.

    Raises:
        RavenError: NiceGUI is not installed.
        InputError: the port is taken, the host is none of this machine's, or the token is unusable.
    """
    secret = choose_token(not token, token_file)
    listening = listen(host, port, PORT)
    access = Access(secret, host, listening.getsockname()[1], tuple(names))
    app = make_app(Settings(access, AllowedPaths(roots)))
    import uvicorn

    print(f"Dashboard: {access.address}", flush=True)
    print("Press Ctrl-C to stop it; running trainings continue.", file=sys.stderr, flush=True)
    if browser:
        _open(access.address_once())
    config = uvicorn.Config(
        app, log_level="warning", access_log=False, timeout_graceful_shutdown=2, ws_max_size=2**24
    )
    uvicorn.Server(config).run(sockets=[listening])


def _open(address: str) -> None:
    """Open a browser where there is a desktop to open it on."""
    import webbrowser

    if sys.platform != "linux" or os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"):
        webbrowser.open(address)
