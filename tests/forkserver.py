"""Python processes that need not import anything again: each is a fork of one that has imported it already.

``python -m ravenml`` spends most of its time on imports, and the tests call it more than a thousand times.
:class:`ForkServer` is an interpreter that imports modules once and then forks. :class:`ForkedPopen` is
otherwise an ordinary ``subprocess.Popen``: its process has its own id, working folder, environment, streams,
signals and exit code. Only what an interpreter reads before it starts is the server's
(:meth:`ForkServer.serves`).

Run as a program, this file is the server: ``python forkserver.py SOCKET MODULE …``.
"""

from __future__ import annotations

import atexit
import contextlib
import gc
import importlib
import io
import json
import os
import pkgutil
import runpy
import select
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from line_coverage import save_coverage

# Read by the interpreter, by the C library or by a framework before any of our code runs.
_READ_AT_START = ("PYTHON", "LC_", "LANG", "LD_", "OMP_", "MKL_", "MALLOC_", "TZ")
_SET_AFTERWARDS = {"PYTHONPATH", "PYTHONUNBUFFERED"}
_STATUS = struct.Struct("i")


def _interpreters(environment: Mapping[str, str]) -> dict[str, str]:
    return {k: v for k, v in environment.items() if k.startswith(_READ_AT_START) and k not in _SET_AFTERWARDS}


class ForkServer:
    """An interpreter with imported modules, whose forks run ``python -m MODULE ARGUMENT …``.

    Args:
        modules: what it imports; of a package whose name ends in ``.*``, all modules.
        environment: variables that all forks have from their start, beside those of this process.
    """

    def __init__(self, modules: Sequence[str], environment: Mapping[str, str] | None = None) -> None:
        self.modules = modules
        self.environment = {**os.environ, **(environment or {})}
        self._process: subprocess.Popen[bytes] | None = None
        self._folder: tempfile.TemporaryDirectory[str] | None = None

    def serves(self, environment: Mapping[str, str]) -> bool:
        """Whether a fork would have this environment in every respect."""
        return _interpreters(environment) == _interpreters(self.environment)

    def connect(self) -> socket.socket:
        """A connection for one process; the server starts with the first."""
        if self._process is None:
            self._folder = tempfile.TemporaryDirectory(prefix="fork")
            address = str(Path(self._folder.name) / "socket")
            command = [sys.executable, __file__, address, *self.modules]
            self._process = subprocess.Popen(
                command, env=self.environment, cwd="/", stdin=subprocess.PIPE, stdout=subprocess.PIPE
            )
            assert self._process.stdout is not None
            assert self._process.stdout.readline() == b"ready\n", "the fork server did not start"
            atexit.register(self.close)
        assert self._folder is not None
        connection = socket.socket(socket.AF_UNIX)
        connection.connect(str(Path(self._folder.name) / "socket"))
        return connection

    def close(self) -> None:
        """End the server; processes that it forked stay."""
        if self._process is not None and self._folder is not None:
            self._process.communicate()
            self._folder.cleanup()
            self._process = None


class ForkedPopen(subprocess.Popen[Any]):
    """``subprocess.Popen`` whose process is forked by a :class:`ForkServer`; takes the same arguments.

    The first argument is what follows ``python -m``: a module and its arguments.
    """

    def __init__(self, server: ForkServer, arguments: Sequence[str], **options: Any) -> None:
        self._connection = server.connect()
        super().__init__(arguments, **options)

    # The two places where Popen itself talks to the system. The parameters are CPython's.
    def _execute_child(  # type: ignore[no-untyped-def]
        self, args, executable, preexec_fn, close_fds, pass_fds, cwd, env, startupinfo, creationflags, shell,
        p2cread, p2cwrite, c2pread, c2pwrite, errread, errwrite, restore_signals, gid, gids, uid, umask,
        start_new_session, *more,
    ):  # fmt: skip
        wish = {
            "arguments": list(map(str, args)),
            "cwd": str(cwd or os.getcwd()),
            "environment": dict(os.environ if env is None else env),
            "session": start_new_session,
        }
        theirs = [own if fd == -1 else fd for fd, own in ((p2cread, 0), (c2pwrite, 1), (errwrite, 2))]
        line = json.dumps(wish).encode() + b"\n"
        # the length first: descriptors travel with the first bytes
        socket.send_fds(self._connection, [len(line).to_bytes(4, "big")], theirs)
        self._connection.sendall(line)
        (self.pid,) = _STATUS.unpack(self._connection.recv(_STATUS.size, socket.MSG_WAITALL))
        self._child_created = True
        # pipes' far ends and /dev/null are Popen's own; any other descriptor is the caller's
        devnull = getattr(self, "_devnull", -1)
        pairs = ((p2cread, p2cwrite), (c2pwrite, c2pread), (errwrite, errread))
        for descriptor in {*(far for far, near in pairs if near != -1), devnull} - {-1}:
            os.close(descriptor)

    def __del__(self, *_: Any, **__: Any) -> None:
        """Nothing is left to collect: the server waits for its forks itself."""

    def _ended(self, block: bool) -> int | None:
        if not block and not select.select([self._connection], [], [], 0)[0]:
            return None
        said = self._connection.recv(_STATUS.size, socket.MSG_WAITALL)
        self._connection.close()
        # a server that ends takes the knowledge with it; the process was killed, for all that is known
        return _STATUS.unpack(said)[0] if len(said) == _STATUS.size else signal.SIGKILL

    def _internal_poll(self, *_: Any, **__: Any) -> int | None:
        if self.returncode is None and self._waitpid_lock.acquire(False):
            try:
                if self.returncode is None and (status := self._ended(block=False)) is not None:
                    self._handle_exitstatus(status)
            finally:
                self._waitpid_lock.release()
        return self.returncode

    def _try_wait(self, flags: int) -> tuple[int, int]:
        status = self._ended(block=not flags & os.WNOHANG)
        return (0, 0) if status is None else (self.pid, status)


def _import_all(modules: Sequence[str]) -> None:
    for name in modules:
        with contextlib.suppress(ImportError):  # an extra that is missing stays so for the forks, too
            package = importlib.import_module(name.removesuffix(".*"))
            if name.endswith(".*"):
                prefix = f"{package.__name__}."
                for module in pkgutil.walk_packages(package.__path__, prefix, onerror=lambda _: None):
                    if not module.name.endswith("__main__") and ".alias" not in module.name:
                        with contextlib.suppress(ImportError):
                            importlib.import_module(module.name)


def _serve(address: str) -> None:
    """Fork for every connection until this process's stdin ends: whoever started it is gone."""
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(address)
    listener.listen(64)
    print("ready", flush=True)
    while True:
        ready, _, _ = select.select([listener, 0], [], [])
        if 0 in ready:
            return
        connection, _ = listener.accept()
        minder = os.fork()
        if minder == 0:
            listener.close()
            _mind(connection)
        connection.close()
        _reap()


def _reap() -> None:
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


def _mind(connection: socket.socket) -> None:
    """Fork the process itself, wait for its end and report it; never returns."""
    size, descriptors, _, _ = socket.recv_fds(connection, 4, 3)
    wish = json.loads(connection.recv(int.from_bytes(size, "big"), socket.MSG_WAITALL))
    pid = os.fork()
    if pid == 0:
        connection.close()
        _become(wish, descriptors)
    for descriptor in (*descriptors, 0, 1, 2):
        os.close(descriptor)
    with contextlib.suppress(OSError):
        connection.sendall(_STATUS.pack(pid))
        connection.sendall(_STATUS.pack(os.waitpid(pid, 0)[1]))
    os._exit(0)


def _become(wish: dict[str, Any], descriptors: Sequence[int]) -> None:
    """Run what was wished for as ``python -m`` does, and end as an interpreter ends; never returns."""
    if wish["session"]:
        os.setsid()
    for target, descriptor in enumerate(descriptors):
        os.dup2(descriptor, target)
    for descriptor in descriptors:
        os.close(descriptor)
    os.chdir(wish["cwd"])
    os.environ.clear()
    os.environ.update(wish["environment"])
    unbuffered = bool(os.environ.get("PYTHONUNBUFFERED"))
    for target, name in enumerate(("stdin", "stdout", "stderr")):
        buffering = 0 if unbuffered and target else -1
        file = open(target, "wb" if target else "rb", buffering, closefd=False)  # noqa: SIM115
        lines = target == 2 or os.isatty(target)
        errors = "backslashreplace" if target == 2 else "strict"
        text = io.TextIOWrapper(
            file, "utf-8", errors, line_buffering=lines, write_through=unbuffered and target > 0
        )
        setattr(sys, name, text)
        setattr(sys, f"__{name}__", text)
    module, *arguments = wish["arguments"]
    before = [path for path in os.environ.get("PYTHONPATH", "").split(os.pathsep) if path]
    sys.path[:] = [os.getcwd(), *before, *sys.path]
    sys.argv[:] = ["-m", *arguments]
    sys.orig_argv[:] = [sys.executable, "-m", module, *arguments]
    if numpy := sys.modules.get("numpy"):
        numpy.random.seed()
    code: Any = 0
    interrupted = False
    try:
        runpy.run_module(module, run_name="__main__", alter_sys=True)
    except SystemExit as end:
        code = end.code
    except BaseException as error:
        sys.excepthook(*sys.exc_info())  # type: ignore[arg-type]
        code = 1
        interrupted = isinstance(error, KeyboardInterrupt)
    with contextlib.suppress(BaseException):
        threading._shutdown()  # type: ignore[attr-defined]
    with contextlib.suppress(BaseException):
        atexit._run_exitfuncs()
    if isinstance(code, str):
        print(code, file=sys.stderr)
        code = 1
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(BaseException):
            stream.flush()
    with contextlib.suppress(BaseException):
        save_coverage()
    if interrupted:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGINT)
    os._exit(code or 0)


if __name__ == "__main__":
    # the forks' own path begins with their folder and PYTHONPATH, not with this file's folder
    del sys.path[0]
    mine = {path for path in os.environ.get("PYTHONPATH", "").split(os.pathsep) if path}
    _import_all(sys.argv[2:])
    sys.path[:] = [path for path in sys.path if path not in mine]
    gc.freeze()  # no fork has to look through, and so to copy, what was imported here
    _serve(sys.argv[1])
