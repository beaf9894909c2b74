"""``raven`` as the tests call it: a process of its own."""

from __future__ import annotations

import asyncio
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Coroutine, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from forkserver import ForkedPopen, ForkServer

T = TypeVar("T")

TESTS = Path(__file__).resolve().parent
ROOT = TESTS.parent
# Seconds that a test waits for what is sure to come: many, for a busy machine, and only a failure takes them.
# Where the time itself is tested, `within` says so.
PATIENCE = 120
CLEAN = {k: v for k, v in os.environ.items() if not k.startswith(("RAVENML_", "OMP_", "MKL_"))}

# What `raven` itself imports, and what its pages, its server and its stores import when they are used.
CORE = ["ravenml.*", "numpy", "cv2", "pydantic", "rich.*", "boto3", "nicegui", "uvicorn", "fastapi"]
FORK_SERVER = ForkServer(CORE, {**CLEAN, "PYTHONPATH": str(ROOT)})


def start_raven(
    *arguments: str | Path, env: Mapping[str, str], server: ForkServer | None = FORK_SERVER, **options: Any
) -> subprocess.Popen[Any]:
    """Start ``raven`` as a process of its own; the options are those of ``subprocess.Popen``."""
    words = ["ravenml", *map(str, arguments)]
    if server is not None and server.serves(env):
        return ForkedPopen(server, words, env=env, **options)
    return subprocess.Popen([sys.executable, "-m", *words], env=env, **options)


def run_raven(
    *arguments: str | Path, timeout: float = 300, input: str | None = None, **options: Any
) -> subprocess.CompletedProcess[str]:
    """Run ``raven`` to its end, and capture what it prints; the options are those of :func:`start_raven`."""
    pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    pipes["stdin"] = subprocess.DEVNULL if input is None else subprocess.PIPE
    process = start_raven(*arguments, **pipes, **options)
    try:
        out, err = process.communicate(input, timeout=timeout)
    finally:
        process.kill()
    return subprocess.CompletedProcess(["raven", *map(str, arguments)], process.returncode, out, err)


@dataclass
class Raven:
    """Runs ``raven`` as a process of its own, as a user does."""

    home: Path
    site: Path
    cwd: Path
    environment: dict[str, str] = field(default_factory=dict)

    def env(self, **more: str) -> dict[str, str]:
        """The environment of the processes: this home, these plugins."""
        path = os.pathsep.join([str(self.site), str(ROOT)])  # this checkout, whichever one is installed
        mine = {"RAVENML_STORAGE_PATH": str(self.home), "PYTHONPATH": path, "COLUMNS": "120"}
        mine["RAVENML_TRACK"] = "none"  # no process stays behind a test, but where readers are tested
        return {**CLEAN, **mine, **self.environment, **more}

    def __call__(
        self, *arguments: str | Path, timeout: float = 120, fork: bool = True, **env: str
    ) -> subprocess.CompletedProcess[str]:
        """Run ``raven`` to its end.

        Args:
            fork: take a process that has imported everything already; False where imports are the subject.
            env: further variables of its environment.
        """
        server = FORK_SERVER if fork else None
        return run_raven(*arguments, timeout=timeout, server=server, env=self.env(**env), cwd=self.cwd)

    def start(self, *arguments: str | Path, **env: str) -> subprocess.Popen[str]:
        """Start ``raven`` without waiting for its end."""
        return start_raven(
            *arguments,
            env=self.env(**env),
            cwd=self.cwd,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def ok(self, *arguments: str | Path, **env: str) -> str:
        """What ``raven`` printed on stdout; it must have ended well."""
        done = self(*arguments, **env)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def runs(self) -> list[Path]:
        """The folders of all runs, oldest first."""
        return sorted(path for path in (self.home / "runs").glob("*") if not path.name.startswith("."))


def wait_for(condition: Callable[[], T | None], seconds: float = PATIENCE) -> T:
    """The first true value of ``condition``, which may fail until then."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            if value := condition():
                return value
        except (OSError, ValueError):
            pass
        time.sleep(0.05)
    raise AssertionError("waited in vain")


@contextmanager
def within(seconds: float) -> Iterator[None]:
    """Assert that the block takes no longer; on a busy machine, as many times longer as any other work."""
    before, begin = _busy(), time.monotonic()
    yield
    took = time.monotonic() - begin
    assert took < seconds * max(before, _busy()), f"{took:.1f} s"


def _busy() -> float:
    """How many times as long as alone a process takes now; 1 where a core is free."""
    begin, used = time.monotonic(), time.process_time()
    while time.process_time() - used < 0.05:
        pass
    return max(1.0, (time.monotonic() - begin) / 0.05)


def address_in(printed: str, label: str = "Open:", token: str = "") -> str | None:
    """The address that a server printed, with the token: its own, or the one in the file that it names."""
    found = re.search(rf"^{label} +(\S+)\n", printed, re.MULTILINE)
    if found is None:
        return None
    named = re.search(r"^Token: +in (.+)\n", printed, re.MULTILINE)
    token = Path(named[1]).read_text().strip() if named else token
    return found[1] + (f"?token={token}" if token and "?" not in found[1] else "")


def in_a_loop(work: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine to its end; in a thread, since Playwright has a loop of its own in this one."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(asyncio.run, work).result()
