"""How long the dashboard's table and charts take to be usable in Chromium, beside MLflow's UI.

    python benchmarks/dashboard.py [--runs 1000] [--points 10000] [--rounds 5] [--mlflow PYTHON]

Writes a home with runs of ``--points`` values of a metric each (2 MB of events a run), starts ``raven
dashboard`` on it and opens the table of runs and a run's charts in Debian's Chromium:

- *first*: the dashboard has just been started and its cache is empty; the browser's, too,
- *cold*: a new browser with an empty cache,
- *warm*: the same browser once more.

``--mlflow`` names a Python that has MLflow, in an environment of its own; its UI shows ``--mlflow-runs 200``
runs of ``--mlflow-points 1000`` values, in the same rounds, and the figures that count are medians of the
paired ratios dashboard / MLflow.  The table is usable when its first run can be clicked, a chart when its
line is drawn and two frames have passed.  Every look at a chart is at another run.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from paired import load, median_ratio

LIMIT = 0.5  # of MLflow's time
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
TWO_FRAMES = "await new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))"
TABLE = "document.querySelector('.runs-table tbody a')?.getBoundingClientRect().width > 0"
CHART = """(() => {
  const element = document.querySelector('.nicegui-echart');
  const chart = element && typeof getElement === 'function' ? getElement(element)?.chart : null;
  return chart?.getOption()?.series?.some((one) => one.data?.length > 10) ?? false;
})()"""
THEIR_TABLE = "[...document.querySelectorAll('a')].some((a) => /runs\\/[0-9a-f]{32}/.test(a.href))"
THEIR_CHART = "!!document.querySelector('.js-plotly-plot .scatterlayer path.js-line[d]')"
FILL = """
import sys, time
from mlflow import MlflowClient
from mlflow.entities import Metric
uri, runs, points = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
client = MlflowClient(uri)
experiment = client.create_experiment("bench")
ids = []
for number in range(runs):
    run = client.create_run(experiment, run_name=f"run-{number}")
    values = [Metric("loss", 2 / (1 + s / 500) ** 0.5, 1700000000000 + s, s) for s in range(points)]
    for begin in range(0, points, 1000):
        client.log_batch(run.info.run_id, metrics=values[begin:begin + 1000])
    client.log_param(run.info.run_id, "lr", 0.1)
    client.set_terminated(run.info.run_id)
    ids.append(run.info.run_id)
print("FILLED", experiment, *ids)
"""


def write_home(home: Path, runs: int, points: int) -> list[str]:
    """Write the runs; their ids, newest first."""
    names = []
    for number in range(runs):
        stamp = time.strftime("%Y%m%d-%H%M%S", time.gmtime(1_700_000_000 + 600 * number))
        name = f"{stamp}-{number:06d}"
        folder = home / "runs" / name
        folder.mkdir(parents=True)
        created = f"{stamp[:4]}-{stamp[4:6]}-{stamp[6:8]}T{stamp[9:11]}:{stamp[11:13]}:{stamp[13:15]}.000Z"
        record = {
            **{"v": 1, "id": name, "created": created, "plugin": "unet", "plugin_version": "1.0"},
            "command": ["raven", "train", "--dataset", "demo", "unet", "train"],
            "config": {"v": 1, "dataset": "demo", "plugin": {"lr": 0.1 / (1 + number % 7), "epochs": 20}},
            "dataset": {"name": "demo", "path": "/data/demo", "images": 240},
            "attempts": [{"started": created}],
            "process": {"host": socket.gethostname(), "pid": 1},
            "result": {
                "status": "completed",
                "finished": created,
                "metrics": {"train/loss": 1 / (1 + number)},
            },
        }
        (folder / "run.json").write_text(json.dumps(record, indent=2))
        (folder / "events.jsonl").write_text(events(number, points))
        names.append(name)
    return names[::-1]


def events(number: int, points: int) -> str:
    """As the writer of events writes them."""
    lines = []
    for step in range(points):
        loss = (2 + number / 1000) / (1 + step / 500) ** 0.5
        event = {
            **{"message": "metrics", "event_type": "EventType.METRICS", "type": "train", "epoch": step / 500},
            **{"metrics": {"loss": loss}, "step": step, "timestamp": "2026-11-21T06:33:16.788Z"},
            **{"level": "info", "v": 1, "attempt": 1, "seq": step + 1},
        }
        lines.append(json.dumps(event, separators=(",", ":")) + "\n")
    return "".join(lines)


class Server:
    """A server as a process, ended by :meth:`stop`."""

    def __init__(
        self, command: list[str], ready: Callable[[str], str | None], env: dict[str, str], log: Path
    ) -> None:
        with log.open("wb") as file:
            self.process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
                env=env,
                start_new_session=True,
            )
        end = time.monotonic() + 180
        self.address = ""
        while not self.address:
            if self.process.poll() is not None or time.monotonic() > end:
                sys.exit(f"{' '.join(command)} did not start:\n{log.read_text()[-2000:]}")
            self.address = ready(log.read_text()) or ""
            time.sleep(0.1)

    def stop(self) -> None:
        """End it, and what it has started."""
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGTERM)
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()


def start_dashboard(home: Path, folder: Path) -> Server:
    """``raven dashboard`` on this home."""

    def ready(log: str) -> str | None:
        found = re.search(r"Dashboard: (http\S+)\n", log)
        return found[1].rstrip("/") if found else None

    command = [sys.executable, "-m", "ravenml", "dashboard", "--no-browser", "--no-token", "--port", "0"]
    return Server(command, ready, {**os.environ, "RAVENML_STORAGE_PATH": str(home)}, folder / "dashboard.log")


def start_mlflow(python: str, folder: Path, runs: int, points: int) -> tuple[Server, str, list[str]]:
    """MLflow's UI on a database with runs in it; the experiment's and the runs' ids."""
    database = f"sqlite:///{folder / 'mlflow.db'}"
    done = subprocess.run(
        [python, "-c", FILL, database, str(runs), str(points)], capture_output=True, text=True, cwd=folder
    )
    filled = [line for line in done.stdout.splitlines() if line.startswith("FILLED")]
    if not filled:
        sys.exit(f"MLflow could not be filled:\n{done.stderr[-2000:]}")
    _, experiment, *ids = filled[0].split()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    address = f"http://127.0.0.1:{port}"

    def ready(log: str) -> str | None:
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return address
        return None

    command = [python, "-m", "mlflow", "server", "--backend-store-uri", database, "--host", "127.0.0.1"]
    command += ["--port", str(port), "--workers", "1"]
    return Server(command, ready, dict(os.environ), folder / "mlflow.log"), experiment, ids[::-1]


def opened(page: Any, address: str, usable: str) -> float:
    """Seconds until a page is usable."""
    page.goto("about:blank")
    begin = time.perf_counter()
    page.goto(address, wait_until="commit")
    page.wait_for_function(f"() => {usable}", timeout=120_000, polling="raf")
    page.evaluate(f"async () => {{ {TWO_FRAMES} }}")
    return time.perf_counter() - begin


def looks(chromium: Any, table: str, chart: Callable[[], str], ready: tuple[str, str]) -> dict[str, float]:
    """A new browser's first and second look at the table and at a chart."""
    took = {}
    for what, address, usable in (("table", lambda: table, ready[0]), ("chart", chart, ready[1])):
        context = chromium.new_context(viewport={"width": 1280, "height": 900})
        page = context.new_page()
        took[f"{what}, cold"] = opened(page, address(), usable)
        took[f"{what}, warm"] = opened(page, address(), usable)
        context.close()
    return took


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--runs", type=int, default=1000, help="runs in the home (1000)")
    parser.add_argument("--points", type=int, default=10_000, help="values of each (10000)")
    parser.add_argument("--rounds", type=int, default=5, help="measurements of each kind (5)")
    parser.add_argument(
        "--mlflow", metavar="PYTHON", help="a Python that has MLflow; without it, no comparison"
    )
    parser.add_argument("--mlflow-runs", type=int, default=200, help="runs in MLflow (200)")
    parser.add_argument("--mlflow-points", type=int, default=1000, help="values of each (1000)")
    chosen = parser.parse_args()
    from playwright.sync_api import sync_playwright

    browser = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    folder = Path(tempfile.mkdtemp(prefix="raven-bench-"))
    home, servers = folder / "home", []
    try:
        print(f"Writing {chosen.runs:,} runs of {chosen.points:,} points.", flush=True)
        ids = write_home(home, chosen.runs, chosen.points)
        theirs: tuple[str, list[str]] | None = None
        if chosen.mlflow:
            print(
                f"Filling MLflow with {chosen.mlflow_runs} runs of {chosen.mlflow_points} points.", flush=True
            )
            mlflow, experiment, known = start_mlflow(
                chosen.mlflow, folder, chosen.mlflow_runs, chosen.mlflow_points
            )
            servers.append(mlflow)
            theirs = (
                f"{mlflow.address}/#/experiments/{experiment}/runs",
                [f"{mlflow.address}/#/experiments/{experiment}/runs/{one}/model-metrics" for one in known],
            )
        with sync_playwright() as playwright:
            chromium = playwright.chromium.launch(executable_path=browser, args=FLAGS)
            kept = measure(chosen.rounds, home, folder, ids, theirs, chromium, servers)
            chromium.close()
    finally:
        for server in servers:
            server.stop()
        shutil.rmtree(folder)
    return 0 if kept else 1


def measure(
    rounds: int,
    home: Path,
    folder: Path,
    ids: list[str],
    theirs: tuple[str, list[str]] | None,
    chromium: Any,
    servers: list[Server],
) -> bool:
    """All rounds, and their report: whether every figure is within the limit."""
    kept = True
    first: dict[str, list[float]] = {}
    for _ in range(2):  # the dashboard's own first look
        shutil.rmtree(home / "cache", ignore_errors=True)
        fresh = start_dashboard(home, folder)
        chart = f"{fresh.address}/runs/{ids[0]}"
        took = looks(chromium, f"{fresh.address}/runs", lambda chart=chart: chart, (TABLE, CHART))
        for name in ("table, cold", "chart, cold"):
            first.setdefault(name.replace("cold", "first"), []).append(took[name])
        fresh.stop()
    server = start_dashboard(home, folder)
    servers.append(server)
    next_id, next_theirs = iter(ids * 99), iter((theirs[1] if theirs else []) * 99)
    sides: dict[str, Callable[[], dict[str, float]]] = {
        "dashboard": lambda: looks(
            chromium,
            f"{server.address}/runs",
            lambda: f"{server.address}/runs/{next(next_id)}",
            (TABLE, CHART),
        )
    }
    if theirs:
        address = theirs[0]
        sides["MLflow"] = lambda: looks(
            chromium, address, lambda: next(next_theirs), (THEIR_TABLE, THEIR_CHART)
        )
    seconds: dict[str, dict[str, list[float]]] = {name: {} for name in sides}
    print(f"before: {load()}", flush=True)
    for number in range(-1, rounds):
        for name in list(sides) if number % 2 else list(reversed(sides)):
            for what, took_seconds in sides[name]().items():
                if number >= 0:
                    seconds[name].setdefault(what, []).append(took_seconds)
    print(f"after:  {load()}\n")
    for name, values in first.items():
        print(f"dashboard  {name:14s}  {statistics.median(values):5.2f} s")
    for what in seconds["dashboard"]:
        for name in sides:
            values = seconds[name][what]
            middle = statistics.median(values)
            line = f"{name:9s}  {what:14s}  {middle:5.2f} s  ({min(values):.2f} … {max(values):.2f})"
            if name == "dashboard" and theirs:
                ratio = median_ratio(values, seconds["MLflow"][what])
                kept &= ratio <= LIMIT
                line += (
                    f"  ratio {ratio:.2f}, {'within' if ratio <= LIMIT else 'ABOVE'} the limit of {LIMIT:g}"
                )
            print(line)
    return kept


if __name__ == "__main__":
    sys.exit(main())
