"""Four folds on a cluster of two one-core workers, beside the same folds one after another on one core.

    python benchmarks/remote_folds.py PROJECT [--epochs 30] [--rounds 1] [--only-two]

The cluster is a Ray of this machine: a head without a CPU and two nodes with one each, so that two folds
train at a time, each with one thread.  The other side is the same command without ``--remote``, held to one
core and one thread.  Both times are from the command to the run's end, with all starting, mirroring and
adding up.  The limit is 1.15 times half of the one after another; it needs a machine with two idle cores.

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
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path

import yaml
from paired import load

from ravenml.errors import RavenError
from ravenml.remote.ray_api import RayJobs

LIMIT = 1.15
OBJECT_STORE = 128 << 20
RAVEN = [sys.executable, "-m", "ravenml"]


def free_port() -> int:
    """A port of loopback that nobody has."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


@contextmanager
def ray(scratch: Path) -> Iterator[RayJobs]:
    """A head without CPUs and two nodes with one each, on loopback."""
    port, dashboard, token = free_port(), free_port(), secrets.token_hex(16)
    start = [sys.executable, "-m", "ray.scripts.scripts", "start", "--block", "--disable-usage-stats"]
    here = ["--node-ip-address=127.0.0.1", f"--object-store-memory={OBJECT_STORE}"]
    head = [
        *(*start, *here, "--head", f"--port={port}", "--num-cpus=0", f"--temp-dir={scratch}"),
        *("--dashboard-host=127.0.0.1", f"--dashboard-port={dashboard}"),
        f"--ray-client-server-port={free_port()}",
    ]
    node = [*start, *here, f"--address=127.0.0.1:{port}", "--num-cpus=1"]
    kept = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    environment = {**kept, "RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": token}
    log = (scratch.parent / "ray.log").open("wb")
    jobs = RayJobs(f"http://127.0.0.1:{dashboard}", token)
    with ExitStack() as stack:

        def begin(command: list[str]) -> None:
            process = subprocess.Popen(
                command, env=environment, stdout=log, stderr=log, start_new_session=True
            )
            stack.callback(process.wait)
            stack.callback(os.killpg, process.pid, signal.SIGTERM)

        begin(head)
        until_answered(jobs)
        for number in range(2):  # a folder each: in one, a node unpacks code over the other's
            begin([*node, f"--temp-dir={scratch.parent / f'node{number}'}"])
        time.sleep(5)  # until the nodes are known
        os.environ["RAY_AUTH_TOKEN"] = token
        yield jobs


def until_answered(jobs: RayJobs) -> None:
    """Wait for the cluster, at most a minute."""
    for _ in range(300):
        try:
            jobs.jobs()
            return
        except RavenError:
            time.sleep(0.2)
    raise SystemExit("Ray did not come up.")


def one_after_another(words: list[str]) -> float:
    """Seconds of the folds on one core, with one thread."""
    begin = time.perf_counter()
    subprocess.run([*RAVEN, "train", *words], check=True, stdout=subprocess.DEVNULL, preexec_fn=on_one_core)
    return time.perf_counter() - begin


def two_at_a_time(words: list[str]) -> float:
    """Seconds of the folds, two at a time and with a thread each, without a cluster."""
    begin = time.perf_counter()
    subprocess.run([*RAVEN, "train", *words, "--jobs", "2"], check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - begin


def on_one_core() -> None:
    """Hold this process and its children to one core."""
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})


def on_the_cluster(mirror: Path, words: list[str]) -> float:
    """Seconds of the folds on the cluster."""
    begin = time.perf_counter()
    sent = subprocess.run(
        [*RAVEN, "train", "--remote", "bench", *words], check=True, capture_output=True, text=True
    )
    run_id = next(line.split()[1] for line in sent.stdout.splitlines() if line.startswith("Sent:"))
    # The run's last word is awaited in the mirror: a command that asks again and again would take the
    # processors that are being measured.
    while not _has_ended(mirror / "remote" / run_id / "heartbeat.json"):
        time.sleep(0.5)
    seconds = time.perf_counter() - begin
    shown = subprocess.run([*RAVEN, "runs", "show", run_id, "--json"], capture_output=True, text=True)
    if shown.returncode or json.loads(shown.stdout)["status"] != "completed":
        raise SystemExit(f"{run_id} was not completed: {shown.stdout}{shown.stderr}")
    return seconds


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
    with tempfile.TemporaryDirectory(prefix="rf-", dir="/tmp") as folder:  # Ray's sockets need a short path
        home = Path(folder) / "home"
        home.mkdir()
        os.environ["RAVENML_STORAGE_PATH"] = str(home)
        size = ["--input-width", "128", "--input-height", "96", "--previews", "0"]
        train = ["--dataset", str(given.project.absolute()), "unet", "train", *size]
        words = [*train, "--kfold", "--folds", "4", "--epochs", str(given.epochs)]
        one_after_another([*train, "--epochs", "1"])
        print(f"four folds of {given.epochs} epochs; before: {load()}", flush=True)
        with ray(Path(folder) / "ray") as jobs:
            queue = {"address": jobs.address, "store": str(home / "mirror"), "requirements": "none"}
            (home / "config.yaml").write_text(yaml.safe_dump({"queues": {"bench": queue}}))
            ratios, added = [], []
            for number in range(given.rounds):
                sides: dict[str, Callable[[list[str]], float]] = {
                    "one after another": one_after_another,
                    "two at a time": two_at_a_time,
                    "on two workers": partial(on_the_cluster, home / "mirror"),
                }
                if given.only_two:
                    del sides["two at a time"]
                turns = list(sides) if number % 2 else list(sides)[::-1]
                seconds = {side: sides[side](words) for side in turns}
                spread = seconds["on two workers"]
                ratios.append(spread / (seconds["one after another"] / 2))
                if not given.only_two:
                    added.append(spread / seconds["two at a time"])
                print(", ".join(f"{side} {seconds[side]:.1f} s" for side in sides), flush=True)
        ratio = statistics.median(ratios)
        print(f"after: {load()}")
        kept = ratio <= LIMIT
        print(f"{ratio:.3f} times half of it ({'within' if kept else 'NOT within'} {LIMIT})")
        if added:
            print(f"{statistics.median(added):.3f} times two at a time, without a cluster")
        return 0 if kept else 1


if __name__ == "__main__":
    sys.exit(main())
