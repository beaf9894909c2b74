"""``raven`` as the tests call it: a process of its own."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

T = TypeVar("T")

ROOT = Path(__file__).resolve().parent.parent
CLEAN = {k: v for k, v in os.environ.items() if not k.startswith(("RAVENML_", "OMP_", "MKL_"))}


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
        self, *arguments: str | Path, timeout: float = 120, **env: str
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "ravenml", *map(str, arguments)],
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
            env=self.env(**env),
            cwd=self.cwd,
            timeout=timeout,
        )

    def start(self, *arguments: str | Path, **env: str) -> subprocess.Popen[str]:
        """Start ``raven`` without waiting for its end."""
        return subprocess.Popen(
            [sys.executable, "-m", "ravenml", *map(str, arguments)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            stdin=subprocess.DEVNULL,
            env=self.env(**env),
            cwd=self.cwd,
            start_new_session=True,
        )

    def ok(self, *arguments: str | Path, **env: str) -> str:
        """What ``raven`` printed on stdout; it must have ended well."""
        done = self(*arguments, **env)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def runs(self) -> list[Path]:
        """The folders of all runs, oldest first."""
        return sorted((self.home / "runs").iterdir()) if (self.home / "runs").is_dir() else []


def wait_for(condition: Callable[[], T | None], seconds: float = 30) -> T:
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


def in_a_loop(work: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine to its end; in a thread, since Playwright has a loop of its own in this one."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(asyncio.run, work).result()
