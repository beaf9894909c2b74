"""Where a deployed model is reached: a port of this machine's loopback, and a token."""

from __future__ import annotations

import socket
from dataclasses import dataclass

from ravenml.common.defaults import DEFAULT_PORT
from ravenml.serve.access import TOKEN_VARIABLE, Access, choose_token, listen, token_source
from ravenml.serve.server import HOST, PORT, SOCKET


@dataclass
class Deployment:
    """A port that is kept for a task.

    In a sandbox without a network the program is handed the open socket: so it is reached on this port, and
    reaches nothing itself.  Elsewhere it opens the port itself, whose number its environment tells.
    """

    access: Access
    opened: socket.socket

    @classmethod
    def open(cls, port: int | None) -> Deployment:
        """Take a port; without a number the usual one, or the next free one.

        Raises:
            InputError: the port is in use, or `RAVENML_TOKEN` is not a token.
        """
        token = choose_token()
        opened = listen("127.0.0.1", port, DEFAULT_PORT)
        return cls(Access(token, "127.0.0.1", opened.getsockname()[1], given=token_source()), opened)

    def passes_socket(self, kind: str, network: bool) -> bool:
        """Whether the program gets the socket itself."""
        return kind == "bwrap" and not network

    def environment(self, kind: str, network: bool) -> dict[str, str]:
        """What the program finds in its environment; a command line, which others read, has no token."""
        found = {PORT: str(self.access.port), TOKEN_VARIABLE: self.access.token or ""}
        if kind == "docker":
            found[HOST] = "0.0.0.0"  # within the container, whose port is published on loopback alone
        if self.passes_socket(kind, network):
            found[SOCKET] = str(self.opened.fileno())
        return found

    def command(self, kind: str, command: list[str]) -> list[str]:
        """A docker command line with the port published; others as they are."""
        if kind != "docker":
            return command
        port = self.access.port
        more = ["-p", f"127.0.0.1:{port}:{port}"]
        for name in (PORT, TOKEN_VARIABLE, HOST):
            more += ["-e", name]  # the values come from docker's own environment
        return [*command[:2], *more, *command[2:]]
