"""What one connection may cost a server: uvicorn's HTTP protocol, with limits that it does not have.

A connection costs a file, memory and its turn.  So there are at most `MOST` of them (the one that has been
idle longest gives way), a request's head is short and comes soon, few requests wait on one connection, and
an answer that nobody reads is dropped.  How fast a body has to come is the guard's to say (``security.py``);
what is left of one when its request was answered is read for a while, so that the client reads the answer.
"""

from __future__ import annotations

import asyncio
import resource
import time
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from ravenml.serve.security import PATIENCE, SLOWEST

MOST = 1000  # connections at once
HEAD_BYTES = 2**16  # of a request line and its headers
HEAD_SECONDS = 10.0  # within which they arrive
PIPELINED = 16  # requests that wait for those before them on the same connection
_SPARE = 128  # open files that are not connections
_LOOK = 1.0  # seconds between two looks at a connection


class LimitedProtocol(HttpToolsProtocol):
    """One connection."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._in_head = False
        self._in_body = False
        self._head = 0  # bytes
        self._owes = time.monotonic()  # since when the client has not sent the head that it began
        self._used = self._owes  # when something last came
        self._unread, self._unread_since = 0, 0.0  # bytes of answers that wait for the client to read them
        self._closed_since = 0.0
        self._lost = False
        self._unanswered: list[RequestResponseCycle] = []  # uvicorn looks at the last one alone

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Take the connection, or send it away where there are too many."""
        super().connection_made(transport)
        if len(self.connections) > most_connections() and not self._replace_idle():
            transport.write(_BUSY)
            transport.close()
        self.loop.call_later(_LOOK, self._look)

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget it."""
        self._lost = True
        for cycle in self._unanswered:
            cycle.disconnected = True
            cycle.message_event.set()
        self.pipeline.clear()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Take in what the client sent."""
        self._used = time.monotonic()
        if self._in_head:
            self._head += len(data)
        if self._head > HEAD_BYTES:
            self.send_400_response("The request's headers are too large.")
            return
        super().data_received(data)

    def on_message_begin(self) -> None:
        """A request begins."""
        self._in_head, self._head, self._owes = True, 0, self._used
        if len(self.pipeline) >= PIPELINED:
            raise ValueError("too many requests at once")  # which the parser makes a 400
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """A request's head is complete."""
        self._in_head, self._in_body, self._head = False, True, 0
        if len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers) > HEAD_BYTES:
            raise ValueError("too large")
        super().on_headers_complete()
        if self.cycle is not None:  # there is none before a WebSocket
            self._unanswered = [one for one in self._unanswered if not one.response_complete] + [self.cycle]

    def on_message_complete(self) -> None:
        """A request is complete."""
        self._in_body = False
        super().on_message_complete()

    def on_response_complete(self) -> None:
        """A request was answered, maybe before it was complete."""
        self._owes = self._used = time.monotonic()
        super().on_response_complete()

    def pause_writing(self) -> None:
        """Much waits for the client to read it."""
        self._unread, self._unread_since = self.transport.get_write_buffer_size(), time.monotonic()
        super().pause_writing()

    def _replace_idle(self) -> bool:
        """Close the connection that has been idle longest; whether there is one."""
        idle = [
            one
            for one in self.connections
            if isinstance(one, LimitedProtocol)
            and one is not self
            and not one._is_answering()
            and not one.transport.is_closing()
        ]
        if not idle:
            return False
        min(idle, key=lambda one: one._used).transport.abort()
        return True

    def _is_answering(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    def _look(self) -> None:
        """End a connection whose client keeps it waiting."""
        if self._lost or self.transport.get_protocol() is not self:  # it is a WebSocket now
            return
        now = time.monotonic()
        if self.transport.is_closing() and not self._closed_since:
            self._closed_since = now
        closing = self._closed_since and now - self._closed_since > PATIENCE and not self.flow.write_paused
        unread = self.flow.write_paused and now - self._unread_since > PATIENCE + self._unread / SLOWEST
        owes = (self._in_head or self._in_body or self.cycle is None) and not self._is_answering()
        if closing or unread:
            self.transport.abort()
        elif owes and now - self._owes > HEAD_SECONDS:
            self.transport.close()
        self.loop.call_later(_LOOK, self._look)


def most_connections() -> int:
    """How many connections a server takes: `MOST`, or fewer where it may not open that many files."""
    allowed, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return MOST if allowed == resource.RLIM_INFINITY else max(16, min(MOST, allowed - _SPARE))


_BUSY = (
    b"HTTP/1.1 503 Service Unavailable\r\ncontent-type: application/json\r\nretry-after: 1\r\n"
    b'connection: close\r\ncontent-length: 51\r\n\r\n{"detail": "The server is busy; try again in 1 s."}'
)
