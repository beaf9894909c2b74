"""Models behind HTTP, the client for them, and the security of everything in ravenML that listens.

``security.py`` is a plain ASGI middleware in front of every server, ours and the dashboard's. It asks for
the token and checks Host and Origin of every request and WebSocket, on loopback too. ``access.py`` says
what is demanded and under which address. A browser that opens the printed address gets a cookie and is
redirected to the address without the token. The cookie is derived from the token but is not the token,
since browsers send a host's cookies to all its ports, where other people's servers may listen; its name has
the port that the browser sees, so two servers (or two tunnels) do not clash. A browser that ravenML starts
gets an address with a code for one visit within a minute, for everybody on the machine can read command
lines. ``allowed_paths.py`` accepts paths below the allowed roots alone.

``raven serve`` is ``app.py`` (FastAPI) around ``engine.py``. An image goes from the event loop to a pool of
threads that decodes it, from there to the one thread that runs the network (a batch has one mode and one
size; modes other than ``full_image`` run alone), back to the pool, where objects are made and encoded, and
its bytes to the loop. ``admission.py`` counts what is inside: bytes as they arrive, and images and decoded
pixels from when a request has arrived until it is answered. ``connections.py`` limits what a connection may
cost any of our servers, slow and endless ones too. ``loaded_model.py`` loads what ``raven infer`` would.
``server.py`` runs uvicorn on an open socket; with ``--processes`` it starts the same command line on the
same socket (``RAVENML_SERVE_SOCKET``) and restarts a process that dies. The pages in ``web/`` are plain
files that speak to the same addresses as every program, and show what they are told as text, never as
markup.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ravenml.serve.client import Client

__all__ = ["Client"]


def __getattr__(name: str) -> Any:
    """Load the client when it is used: whatever else stands in this package is imported by its own name."""
    if name != "Client":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from ravenml.serve.client import Client

    return Client
