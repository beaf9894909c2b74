"""The dashboard's pages of runs with any content in any of their files.

A dashboard is started.  A trial mutates a run as `run_folders` does, and asks for the table, the run's page,
its comparison and its clone in the wizard.  Each answers with a page, and the good run is there.
"""

from __future__ import annotations

import os
import random
import re
import shutil
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from ravenml.config.home import runs_dir
from torture.run_folders import GOOD, RECORD, TRIED, damaged_files, write_run
from torture.runner import Missing

TRIALS = 300
SECONDS_PER_TRIAL = 60
PAGES = (
    "/runs",
    f"/runs/{TRIED}",
    f"/runs/{TRIED}?fold=0",
    f"/runs/compare?ids={TRIED},{GOOD}",
    f"/train?from={TRIED}",
)


@contextmanager
def campaign(folder: Path) -> Iterator[Callable[[random.Random], str]]:
    """A dashboard on a home with one good run."""
    try:
        import nicegui  # noqa: F401
    except ImportError:
        raise Missing("install the extra `dashboard`") from None
    write_run(GOOD, {"run.json": RECORD | {"id": GOOD, "kfold": None, "fold": None}})
    log = folder / "dashboard.log"
    command = [sys.executable, "-m", "ravenml", "dashboard", "--no-browser", "--no-token", "--port", "0"]
    with log.open("wb") as file:
        process = subprocess.Popen(command, stdout=file, stderr=subprocess.STDOUT, env=os.environ, cwd=folder)
    try:
        address = _address(log, process)

        def trial(rng: random.Random) -> str:
            try:
                write_run(TRIED, damaged_files(rng))
                pages = [_get(address + page) for page in PAGES]
                assert GOOD in pages[0], "the good run is not in the table"
                assert process.poll() is None, "the dashboard has ended"
                return "pages"
            finally:
                shutil.rmtree(runs_dir() / TRIED, ignore_errors=True)

        yield trial
    finally:
        process.terminate()
        process.wait(30)


def _address(log: Path, process: subprocess.Popen[bytes]) -> str:
    end = time.monotonic() + 120
    while time.monotonic() < end:
        assert process.poll() is None, log.read_text()
        if found := re.search(r"http://127\.0\.0\.1:\d+", log.read_text()):
            return found[0]
        time.sleep(0.2)
    raise AssertionError(f"the dashboard does not say its address: {log.read_text()}")


def _get(address: str) -> str:
    """A page; an error's answer has another status than 200."""
    with urllib.request.urlopen(address, timeout=50) as answer:
        return str(answer.read().decode())
