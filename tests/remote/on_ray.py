"""A real Ray of this machine, shared by the tests of a module, and ways to kill parts of it."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from as_user import Raven, wait_for
from checkouts import checkout
from simple_project import write_simple_project
from throwaway import LEARNS, SETTINGS, write_plugin

SCRIPT = {
    "train.py": """
import argparse, sys
from pathlib import Path
from lib.model import fit
parser = argparse.ArgumentParser()
parser.add_argument("--lr", type=float, default=0.1)
lr = parser.parse_args().lr
print("lines of data:", len((Path(__file__).parent / "data" / "numbers.txt").read_text().split()))
for step in range(3):
    print(f"step {step} loss {fit(lr, step):.2f}", flush=True)
print("to stderr", file=sys.stderr)
from tensorboardX import SummaryWriter
with SummaryWriter("logs") as board:
    board.add_scalar("loss", fit(lr, 3), 3)
""",
    "lib/__init__.py": "",
    "lib/model.py": "from .inner import half\ndef fit(lr, step): return half(lr) / (step + 1)\n",
    "lib/inner.py": "def half(x): return x / 2\n",
    "data/numbers.txt": "1\n2\n3\n",
    "loop.py": "import time\nfor i in range(600):\n    print(i, flush=True); time.sleep(0.5)\n",
}


class OnRay(Raven):
    """``raven`` whose queue ``local`` is one Ray for all tests of a module."""

    def send(self, *arguments: str | Path, **env: str) -> str:
        """Send something to the queue; the run's id."""
        said = self.ok(*arguments, **env)
        return next(line.split()[1] for line in said.splitlines() if line.startswith("Sent:"))

    def record(self, run_id: str) -> dict[str, object]:
        """What is known of a run here, after a look."""
        found: dict[str, object] = json.loads(self.ok("runs", "show", run_id, "--json"))
        return found

    def until(self, run_id: str, *states: str, seconds: float = 90) -> dict[str, object]:
        """Look until the run has one of these statuses."""

        def reached() -> dict[str, object] | None:
            record = self.record(run_id)
            return record if record["status"] in states else None

        return wait_for(reached, seconds)

    def events(self, run_id: str) -> list[dict[str, object]]:
        """The run's events, as they were brought here."""
        lines = (self.home / "runs" / run_id / "events.jsonl").read_text().splitlines()
        return [json.loads(line) for line in lines]

    def training(self, run_id: str) -> int:
        """The process that trains a run now."""
        return wait_for(lambda: process_with("RAVENML_RUN_FIELDS=", f"/{run_id}", run_id))

    def mirror(self, run_id: str) -> Path:
        """The run's part of the queue's store."""
        return self.home / "remote" / "mirror" / "remote" / run_id


def process_with(variable: str, *marks: str) -> int | None:
    """The process whose environment has the variable, and whose environment or command line has a mark."""
    for found in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            environment = (found / "environ").read_bytes().decode(errors="replace")
            if f"\0{variable}" in f"\0{environment}" and any(mark in environment for mark in marks):
                return int(found.name)
    return None


def parent_of(pid: int) -> int:
    """The number of a process's parent."""
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OnRay]:
    """The queue ``local`` of a home that has it for itself; stopped at the end."""
    pytest.importorskip("ray")
    root = tmp_path_factory.mktemp("ray")
    site = root / "site"
    site.mkdir()
    write_plugin(site, "learner", LEARNS, settings=SETTINGS)
    write_simple_project(root / "project", images=12, val=3)
    one = OnRay(root / "home", site, checkout(root / "code", SCRIPT))
    one.environment["RUNTIME_ENV_RETRY_TIMES"] = "1"  # Ray's: requirements that fail do so every time
    yield one
    one("remote", "stop-local")


def kill_ray(one: OnRay) -> None:
    """SIGKILL for every process of the cluster, its keeper first: as if its machine had lost power."""
    state = json.loads((one.home / "remote" / "local-ray.json").read_text())
    with suppress(ProcessLookupError):
        os.kill(state["pid"], signal.SIGKILL)
    mark = state["scratch"].encode()
    for _ in range(3):
        for found in Path("/proc").glob("[0-9]*"):
            with suppress(OSError):
                if mark in (found / "cmdline").read_bytes() or mark in (found / "environ").read_bytes():
                    os.kill(int(found.name), signal.SIGKILL)
