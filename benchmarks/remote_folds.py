"""Four folds on a cluster of two one-core workers, beside the same folds one after another on one core.

    python benchmarks/remote_folds.py PROJECT [--epochs 30] [--rounds 1] [--only-two]

The cluster is a Ray of this machine: two nodes with one CPU each, one of which is the head, so that two folds
train at a time, each with one thread; it has no log monitors, as docs/remote.md advises.  The other side is
the same command without ``--remote``, held to one core and one thread.  Both times are from the command to
the run's end, with all starting, mirroring and adding up.  The limit is 1.15 times half of the one after
another; it needs a machine with two idle cores.

A side takes minutes, in which the speed of a machine that others use too changes.  So the sides are under way
together, a slice of some seconds of each after another, and only one at a time (see ``slices.py``); Ray's own
processes are stopped too while the other side runs.

Two cores of one machine share memory and caches, and two trainings side by side may each be slower than one
alone.  How much, a third side tells: the same folds, two at a time (``--jobs 2``), with no cluster;
``--only-two`` leaves it out.  The images are decoded before, so that no side finds them so and another not.
"""

from __future__ import annotations

import argparse
import json
import os
import secrets
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import yaml
from paired import load
from slices import Side, in_slices, kill_all

from ravenml.errors import RavenError
from ravenml.remote.client.ray_api import RayJobs

LIMIT = 1.15
SLICE = 40.0  # seconds: what was stopped for long has some catching up to do
OBJECT_STORE = 128 << 20
RAVEN = [sys.executable, "-m", "ravenml"]


def free_port() -> int:
    """A port of loopback that nobody has."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


@contextmanager
def ray(scratch: Path) -> Iterator[tuple[RayJobs, list[int]]]:
    """Two nodes with a CPU each, one of them the head, on loopback; the jobs, and the two processes."""
    port, dashboard, token = free_port(), free_port(), secrets.token_hex(16)
    start = [sys.executable, "-m", "ray.scripts.scripts", "start", "--block", "--disable-usage-stats"]
    here = ["--node-ip-address=127.0.0.1", f"--object-store-memory={OBJECT_STORE}"]
    here += ["--num-cpus=1", "--include-log-monitor=false"]  # as docs/remote.md says of nodes with few cores
    head = [
        *(*start, *here, "--head", f"--port={port}", f"--temp-dir={scratch}"),
        *("--dashboard-host=127.0.0.1", f"--dashboard-port={dashboard}"),
        f"--ray-client-server-port={free_port()}",
    ]
    kept = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    environment = {**kept, "RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": token}
    log = (scratch.parent / "ray.log").open("wb")
    jobs = RayJobs(f"http://127.0.0.1:{dashboard}", token)
    cluster: list[int] = []
    with ExitStack() as stack:

        def begin(command: list[str]) -> None:
            process = subprocess.Popen(
                command, env=environment, stdout=log, stderr=log, start_new_session=True
            )
            cluster.append(process.pid)
            stack.callback(process.wait)
            stack.callback(os.killpg, process.pid, signal.SIGTERM)

        begin(head)
        until_answered(jobs)
        # A folder of its own: in one, a node unpacks code over the other's.
        begin([*start, *here, f"--address=127.0.0.1:{port}", f"--temp-dir={scratch.parent / 'node'}"])
        time.sleep(5)  # until the node is known
        os.environ["RAY_AUTH_TOKEN"] = token
        yield jobs, cluster


def until_answered(jobs: RayJobs) -> None:
    """Wait for the cluster, at most a minute."""
    for _ in range(300):
        try:
            jobs.jobs()
            return
        except RavenError:
            time.sleep(0.2)
    raise SystemExit("Ray did not come up.")


class Command:
    """``raven train`` as one side.

    Args:
        words: behind ``raven train``.
        on_one_core: whether the process and its children are held to one core.
    """

    def __init__(self, words: list[str], on_one_core: bool = False) -> None:
        self._words, self._on_one_core = words, on_one_core
        self._process: subprocess.Popen[bytes] | None = None

    def side(self, share: float) -> Side:
        """For ``in_slices``."""
        return Side(self.begin, self.ended, lambda: _living(self._process), self.end, share)

    def end(self) -> None:
        kill_all(_living(self._process))

    def begin(self) -> None:
        self._process = subprocess.Popen(
            [*RAVEN, "train", *self._words],
            stdout=subprocess.DEVNULL,
            preexec_fn=_hold_to_one_core if self._on_one_core else None,
        )

    def ended(self) -> bool:
        """Whether it has.

        Raises:
            SystemExit: it has failed.
        """
        assert self._process is not None
        code = self._process.poll()
        if code:
            raise SystemExit(f"raven train {' '.join(self._words)} ended with {code}.")
        return code == 0


def _hold_to_one_core() -> None:
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})


class Sent:
    """The same, sent to the cluster.

    The run's last word is awaited in the mirror: a command that asks again and again would take the
    processors that are being measured.
    """

    def __init__(self, words: list[str], mirror: Path, cluster: list[int]) -> None:
        self._words, self._mirror, self._cluster = words, mirror, cluster
        self._process: subprocess.Popen[str] | None = None
        self._run_id = ""

    def side(self, share: float) -> Side:
        """For ``in_slices``."""
        return Side(self.begin, self.ended, self._roots, self.end, share)

    def end(self) -> None:
        kill_all(_living(self._process))  # what it has sent goes with its cluster

    def _roots(self) -> list[int]:
        return [*self._cluster, *_living(self._process)]

    def begin(self) -> None:
        words = [*RAVEN, "train", "--remote", "bench", *self._words]
        self._process = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)

    def ended(self) -> bool:
        """Whether the run has.

        Raises:
            SystemExit: it could not be sent.
        """
        assert self._process is not None and self._process.stdout is not None
        code = self._process.poll()
        if code:
            raise SystemExit(f"raven train --remote ended with {code}.")
        if code == 0 and not self._run_id:
            said = self._process.stdout.read().splitlines()
            self._run_id = next(line.split()[1] for line in said if line.startswith("Sent:"))
        return bool(self._run_id) and _has_ended(self._mirror / "remote" / self._run_id / "heartbeat.json")

    def check(self) -> None:
        """Look whether the run was completed.

        Raises:
            SystemExit: it was not.
        """
        shown = subprocess.run(
            [*RAVEN, "runs", "show", self._run_id, "--json"], capture_output=True, text=True
        )
        if shown.returncode or json.loads(shown.stdout)["status"] != "completed":
            raise SystemExit(f"{self._run_id} was not completed: {shown.stdout}{shown.stderr}")


def _living(process: subprocess.Popen[Any] | None) -> list[int]:
    """Its number, which another process may have after its end."""
    return [process.pid] if process is not None and process.poll() is None else []


def _has_ended(heartbeat: Path) -> bool:
    try:
        return json.loads(heartbeat.read_text())["state"] in ("ended", "sealed")
    except (OSError, ValueError):
        return False  # not there yet, or just being replaced


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("project", type=Path)
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--only-two", action="store_true")
    given = parser.parse_args()
    if len(os.sched_getaffinity(0)) < 2:
        raise SystemExit("This measurement needs two cores.")
    os.environ["OMP_NUM_THREADS"] = "1"
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # nothing stays stopped
    with tempfile.TemporaryDirectory(prefix="rf-", dir="/tmp") as folder:  # Ray's sockets need a short path
        home = Path(folder) / "home"
        home.mkdir()
        os.environ["RAVENML_STORAGE_PATH"] = str(home)
        size = ["--input-width", "128", "--input-height", "96", "--previews", "0"]
        train = ["--dataset", str(given.project.absolute()), "unet", "train", *size]
        # By custom a checkpoint comes after 15 s, and the clock runs on while a side is stopped.
        folds = ["--checkpoint-every", "2", "--kfold", "--folds", "4", "--epochs", str(given.epochs)]
        words = [*train, *folds]
        subprocess.run([*RAVEN, "train", *train, "--epochs", "1"], check=True, stdout=subprocess.DEVNULL)
        print(f"four folds of {given.epochs} epochs; before: {load()}", flush=True)
        with ray(Path(folder) / "ray") as (jobs, cluster):
            queue = {"address": jobs.address, "store": str(home / "mirror"), "requirements": "none"}
            (home / "config.yaml").write_text(yaml.safe_dump({"queues": {"bench": queue}}))
            ratios, added = [], []
            for _ in range(given.rounds):
                sent = Sent(words, home / "mirror", cluster)
                sides = {
                    "on two workers": sent.side(1),
                    "one after another": Command(words, on_one_core=True).side(2),
                }
                if not given.only_two:
                    sides["two at a time"] = Command([*words, "--jobs", "2"]).side(1)
                seconds = in_slices(sides, SLICE)
                sent.check()
                spread = seconds["on two workers"]
                ratios.append(spread / (seconds["one after another"] / 2))
                if not given.only_two:
                    added.append(spread / seconds["two at a time"])
                times = ", ".join(f"{side} {spent:.1f} s" for side, spent in seconds.items())
                print(f"{times}: {ratios[-1]:.3f}", flush=True)
        ratio = statistics.median(ratios)
        print(f"after: {load()}")
        kept = ratio <= LIMIT
        print(f"{ratio:.3f} times half of it ({'within' if kept else 'NOT within'} {LIMIT})")
        if added:
            print(f"{statistics.median(added):.3f} times two at a time, without a cluster")
        return 0 if kept else 1


if __name__ == "__main__":
    sys.exit(main())
