"""What a metric event costs, beside TensorBoard's writer, trackio, MLflow on sqlite and ClearML offline.

    python benchmarks/events.py [--rounds 3] [--python PYTHON]

Each side reports the same numbers, ``{"loss": …}`` with a step, from a process of its own, taking turns:

- ravenML: ``Run.metrics``; the line is in the file when the call returns.  A second figure adds the reader
  that brings the same events to TensorBoard's files, in another process;
- TensorBoard: ``add_scalar`` of torch's ``SummaryWriter``, or of tensorboardX where torch's is not installed;
- trackio: ``trackio.log``;  MLflow: ``log_metric`` on sqlite;  ClearML: ``report_scalar`` of an offline task.

"caller" is the time that the caller waits per event; "all work" the processor time of the process and its
children per event, until everything is on disk.  ``--python`` names a Python for trackio and MLflow, whose
requirements differ from ours.  A side that is not installed is left out, and said so.

Limits: the caller waits at most 8 µs; all work at most 24 µs, at most a third of TensorBoard's, not more than
trackio's, and a 500th of MLflow's.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from paired import load

ROOT = Path(__file__).resolve().parent.parent
EVENTS = {"ravenML": 20_000, "TensorBoard": 5_000, "trackio": 2_000, "MLflow": 200, "ClearML": 2_000}


def processor() -> float:
    """Seconds of processor time of this process and its children that have ended."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)


def measure(report: Callable[[int], object], finish: Callable[[], object], count: int) -> dict[str, float]:
    """Microseconds per event, for the caller and for all work until ``finish`` returns."""
    for step in range(count // 10):
        report(step)
    before, begin = processor(), time.perf_counter()
    for step in range(count // 10, count + count // 10):
        report(step)
    caller = time.perf_counter() - begin
    finish()
    return {"caller": 1e6 * caller / count, "all": 1e6 * (processor() - before) / count}


def ravenml(folder: Path, count: int) -> dict[str, float]:
    from ravenml.runs.run import Run

    run = Run.begin(folder / "run", "run", {})
    figures = measure(
        lambda step: run.metrics("train", step / 100, {"loss": 0.001 * step}, step=step), lambda: None, count
    )
    run.finish("completed")
    lines = sum(1 for _ in (folder / "run" / "events.jsonl").open("rb"))
    assert lines == count + count // 10 + 2, lines
    source = (
        "import sys, time; from pathlib import Path; from ravenml.config.config import Config\n"
        "from ravenml.runs.exporters.registry import load_exporter\n"
        "from ravenml.runs.exporters.cursor import ExportCursor\n"
        "reader = ExportCursor('tensorboard', load_exporter('tensorboard'), Path(sys.argv[1]), Config())\n"
        "begin = time.process_time()\n"
        "while reader.bring(): pass\n"
        "reader.close('completed'); print(time.process_time() - begin)"
    )
    done = subprocess.run(
        [sys.executable, "-c", source, str(folder / "run")], capture_output=True, text=True, check=True
    )
    return {**figures, "with reader": figures["all"] + 1e6 * float(done.stdout) / (count + count // 10)}


def tensorboard(folder: Path, count: int) -> dict[str, float]:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        from tensorboardX import SummaryWriter
    writer = SummaryWriter(str(folder))
    return measure(lambda step: writer.add_scalar("train/loss", 0.001 * step, step), writer.close, count)


def trackio(folder: Path, count: int) -> dict[str, float]:
    os.environ["TRACKIO_DIR"] = str(folder)
    import trackio as library

    library.init(project="p", name="n")
    return measure(lambda step: library.log({"train/loss": 0.001 * step}, step=step), library.finish, count)


def mlflow(folder: Path, count: int) -> dict[str, float]:
    import mlflow as library

    library.set_tracking_uri(f"sqlite:///{folder / 'mlflow.db'}")
    library.start_run()
    return measure(
        lambda step: library.log_metric("train/loss", 0.001 * step, step=step), library.end_run, count
    )


def clearml(folder: Path, count: int) -> dict[str, float]:
    os.environ["CLEARML_CACHE_DIR"] = str(folder)
    from clearml import Task

    Task.set_offline(True)
    off = {f"auto_connect_{name}": False for name in ("arg_parser", "frameworks", "streams")}
    task = Task.init("p", "n", reuse_last_task_id=False, auto_resource_monitoring=False, **off)
    logger = task.get_logger()
    return measure(lambda step: logger.report_scalar("train", "loss", 0.001 * step, step), task.close, count)


SIDES: dict[str, Callable[[Path, int], dict[str, float]]] = {
    "ravenML": ravenml,
    "TensorBoard": tensorboard,
    "trackio": trackio,
    "MLflow": mlflow,
    "ClearML": clearml,
}


def in_a_process(name: str, python: str) -> dict[str, float] | None:
    """One measurement of a side; None where it is not installed."""
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(
            [python, __file__, "--side", name, folder],
            capture_output=True,
            text=True,
            env={**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])},
        )
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["?"])[-1]
        print(f"{name} is left out: {last}", file=sys.stderr)
        return None
    figures: dict[str, float] = json.loads(done.stdout.strip().splitlines()[-1])
    return figures


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3, help="measurements of each side (3)")
    parser.add_argument("--python", default=sys.executable, help="a Python that has trackio and MLflow")
    parser.add_argument("--side", nargs=2, help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.side:
        name, folder = chosen.side
        print(json.dumps(SIDES[name](Path(folder), EVENTS[name])))
        return 0
    found: dict[str, list[dict[str, float]]] = {name: [] for name in SIDES}
    for _ in range(chosen.rounds):
        for name in list(found):
            python = chosen.python if name in ("trackio", "MLflow") else sys.executable
            figures = in_a_process(name, python)
            if figures is None:
                del found[name]
            else:
                found[name].append(figures)
    middle = {
        name: {key: statistics.median(one[key] for one in values) for key in values[0]}
        for name, values in found.items()
    }
    print(f"{'µs per event':14} {'caller':>10} {'all work':>10}")
    for name, figures in middle.items():
        more = f"   {figures['with reader']:.1f} with TensorBoard's files" if "with reader" in figures else ""
        print(f"{name:14} {figures['caller']:10.1f} {figures['all']:10.1f}{more}")
    print(load())
    return 0 if kept(middle) else 1


def kept(middle: dict[str, dict[str, float]]) -> bool:
    """Print and check every limit."""
    ours = middle["ravenML"]
    limits = [("caller", ours["caller"], 8.0), ("all work", ours["all"], 24.0)]
    for name, share in (("TensorBoard", 3), ("trackio", 1), ("MLflow", 500)):
        if name in middle:
            limits.append((f"all work, {name}'s / {share}", ours["all"], middle[name]["all"] / share))
    for name, value, limit in limits:
        print(f"{name:28} {value:6.2f} µs, limit {limit:8.2f} µs: {'kept' if value <= limit else 'NOT KEPT'}")
    return all(value <= limit for _, value, limit in limits)


if __name__ == "__main__":
    sys.exit(main())
