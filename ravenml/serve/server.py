"""Running the server: in this process, or in several that share its socket."""

from __future__ import annotations

import logging
import math
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

from ravenml.common.extras import install_command
from ravenml.errors import RavenError
from ravenml.runs.launcher import PARENT_PID

if TYPE_CHECKING:
    import uvicorn

SOCKET = "RAVENML_SERVE_SOCKET"  # in a worker's environment: the number of the open socket
PORT, HOST = "RAVENML_PORT", "RAVENML_HOST"  # where a deployed program listens, in its environment
DEVICE = "RAVENML_SERVE_DEVICE"  # the worker's own device
_READY = "RAVENML_SERVE_READY"  # a file that a worker makes once it is ready for requests
_TRIES = 3  # workers in a row that may end before they are ready
_PAUSE = 5.0  # seconds before further tries
_CRASHES = 10  # ends of workers within a minute after which the next ones are started with such a pause
_TO_READ = 5.0  # seconds that the last answers have to be read when the server ends


def need_extra() -> None:
    """Check that what the server needs is installed.

    Raises:
        RavenError: it is not; the sentence names the command that installs it.
    """
    import importlib.util

    needed = ("fastapi", "uvicorn", "python_multipart", "prometheus_client")
    if any(importlib.util.find_spec(name) is None for name in needed):
        raise RavenError(f"raven serve needs the extra `serve`; install it with: {install_command('serve')}")


def serve_app(
    app: Any, opened: socket.socket, ready: Callable[[], None] | None = None, deadline: float = 30.0
) -> None:
    """Serve an application until SIGTERM or Ctrl-C, and finish what was accepted before.

    A second Ctrl-C ends it at once.

    Args:
        app: the application.
        opened: the socket that it listens on.
        ready: called once requests are answered.
        deadline: seconds within which a request is answered; who has not read the answer some seconds later
            does not keep the server from ending.
    """
    import uvicorn

    told = os.environ.pop(_READY, None)

    class Server(uvicorn.Server):
        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            await super().startup(sockets)
            if told is not None:
                Path(told).touch()
            if ready is not None:
                ready()

        @contextmanager
        def capture_signals(self) -> Iterator[None]:
            """Signals end the server, and not the process: what comes after it is still done."""

            def end(number: int, frame: FrameType | None) -> None:
                self.force_exit = self.should_exit and number == signal.SIGINT
                self.should_exit = True

            before = {one: signal.signal(one, end) for one in (signal.SIGINT, signal.SIGTERM)}
            try:
                yield
            finally:
                for one, handler in before.items():
                    signal.signal(one, handler)

    config = uvicorn_config(
        app, timeout_graceful_shutdown=math.ceil(deadline + _TO_READ), lifespan="on", ws="none"
    )
    Server(config).run([opened])


def uvicorn_config(app: Any, **more: Any) -> uvicorn.Config:
    """How uvicorn serves any application of ravenML: with limits on what one connection may cost."""
    import uvicorn

    from ravenml.serve.connections import LimitedProtocol

    # Strangers' malformed requests are warnings, and would fill the log.
    logging.getLogger("python_multipart").setLevel(logging.ERROR)
    settings: dict[str, Any] = {
        "http": LimitedProtocol,
        "log_level": "error",
        "access_log": False,  # /metrics counts requests
        "server_header": False,
        "timeout_keep_alive": 30,
    }
    return uvicorn.Config(app, **settings | more)


def inherited_socket() -> socket.socket | None:
    """The socket that the process was started with, if it was."""
    number = os.environ.pop(SOCKET, None)
    return socket.socket(fileno=int(number)) if number else None


@dataclass
class Workers:
    """Several processes that answer on one socket.

    Args:
        command: what each runs, by its number.
        opened: the socket.
        count: how many.
        environment: what each finds in its environment beside this process's.
        tell: prints a line.
    """

    command: Callable[[int], Sequence[str]]
    opened: socket.socket
    count: int
    environment: Callable[[int], Mapping[str, str]]
    tell: Callable[[str], None]
    _running: dict[int, subprocess.Popen[bytes]] = field(default_factory=dict)
    _due: dict[int, float] = field(default_factory=dict)  # when a worker is started again
    _ends: list[float] = field(default_factory=list)  # when workers ended in the last minute
    _failed: int = 0
    _gave_up: bool = False
    _stopping: bool = False

    def run(self) -> None:
        """Keep them running until SIGTERM or Ctrl-C, and wait until all have finished what they accepted.

        Raises:
            RavenError: they end as soon as they are started.
        """
        before = {one: signal.signal(one, self._stop) for one in (signal.SIGINT, signal.SIGTERM)}
        with tempfile.TemporaryDirectory(prefix="raven-serve-") as folder:
            try:
                for number in range(self.count):
                    self._start(number, folder)
                while self._running or (self._due and not self._stopping):
                    time.sleep(0.1)
                    self._check(folder)
                    if self._stopping:
                        self.opened.close()  # or others would wait in line for a server that ends
            finally:
                for process in self._running.values():
                    process.kill()
                for one, handler in before.items():
                    signal.signal(one, handler)
        if self._gave_up:
            raise RavenError("The server processes exit as soon as they start; see above.")

    def _start(self, number: int, folder: str) -> None:
        number_of_socket = self.opened.fileno()
        ready = _ready_file(folder, number)
        ready.unlink(missing_ok=True)
        process = subprocess.Popen(
            self.command(number),
            stdin=subprocess.DEVNULL,
            pass_fds=[number_of_socket],
            env={
                **os.environ,
                **self.environment(number),
                SOCKET: str(number_of_socket),
                PARENT_PID: str(os.getpid()),
                "PROMETHEUS_MULTIPROC_DIR": folder,
                _READY: str(ready),
            },
            start_new_session=True,  # Ctrl-C on the terminal reaches this process alone
        )
        self._running[number] = process
        if self._stopping:  # the signal came while it was being started, and has not reached it
            process.send_signal(signal.SIGTERM)

    def _check(self, folder: str) -> None:
        for number, process in list(self._running.items()):
            code = process.poll()
            if code is None:
                continue
            del self._running[number]
            with suppress(OSError):
                _mark_dead(process.pid, folder)
            if self._stopping:
                continue
            # One that was ready was killed, or computed something that it did not survive.
            self._failed = 0 if _ready_file(folder, number).exists() else self._failed + 1
            now = time.monotonic()
            self._ends = [*(end for end in self._ends if now - end < 60), now]
            hopeless = self._failed >= _TRIES
            if hopeless and not any(_ready_file(folder, other).exists() for other in self._running):
                self._gave_up = True
                self._stop()
                return
            self.tell(f"Worker {number} exited with code {code}; restarting it.")
            self._due[number] = now + (_PAUSE if hopeless or len(self._ends) > _CRASHES else 0)
        for number, due in list(self._due.items()):
            if time.monotonic() >= due and not self._stopping:
                del self._due[number]
                self._start(number, folder)

    def _stop(self, number: int = signal.SIGTERM, frame: FrameType | None = None) -> None:
        again = self._stopping and number == signal.SIGINT
        self._stopping = True
        for process in self._running.values():
            if process.poll() is None:
                process.send_signal(signal.SIGKILL if again else signal.SIGTERM)


def _ready_file(folder: str, number: int) -> Path:
    return Path(folder) / f"ready-{number}"


def _mark_dead(pid: int, folder: str) -> None:
    """A worker that has ended waits for nothing any more."""
    from prometheus_client.multiprocess import mark_process_dead

    mark_process_dead(pid, folder)


def worker_command(arguments: Sequence[str]) -> list[str]:
    """The command line of a worker."""
    return [sys.executable, "-P", "-m", "ravenml", *arguments]
