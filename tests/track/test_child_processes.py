"""Processes that a program starts or forks: rank 0 reports, others do not double, one process writes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest
from as_user import Raven

from ravenml.runs.events import read_events

TRAIN = """
import os
from ravenml import Task
task = Task.init("p", "n")
logger = task.get_logger()
rank = os.environ.get("RANK", "0")
for step in range(3):
    logger.report_scalar("train", "loss", 1.0 + int(rank), step)
    logger.report_scalar("workers", f"rank {rank}", 1.0, step)
"""


def metrics(folder: Path) -> list[tuple[str, int | None, Any]]:
    """Name, step and value of each number of a run, in order of name and step."""
    events = [event.fields for event in read_events(folder / "events.jsonl", "METRICS")]
    return sorted(
        (f"{one['type']}/{name}", one["step"], value)
        for one in events
        for name, value in one["metrics"].items()
    )


def run(raven: Raven, *command: str, recorded: bool) -> Path:
    """The folder of the one run of a command, below `raven run` or by itself."""
    words = ["-m", "ravenml", "run", "--", sys.executable] if recorded else []
    done = subprocess.run(
        [sys.executable, *words, *command], cwd=raven.cwd, env=raven.env(), capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    (folder,) = raven.runs()
    numbers = [event.fields["seq"] for event in read_events(folder / "events.jsonl")]
    assert numbers == [*range(1, len(numbers) + 1)]
    return folder


BARRIER = """
import time
open(f"done-{rank}", "w").close()
while not (os.path.exists("done-0") and os.path.exists("done-1")): time.sleep(0.02)
"""
LAUNCHER = """
import os, subprocess, sys
env = {**os.environ, "WORLD_SIZE": "2", "MASTER_PORT": "29500"}
started = [
    subprocess.Popen([sys.executable, "train.py"], env={**env, "RANK": rank}) for rank in ("1", "0")
]
sys.exit(max(process.wait() for process in started))
"""
EXPECTED = [
    *(("train/loss", step, 1.0) for step in range(3)),
    *(("workers/rank 0", step, 1.0) for step in range(3)),
    *(("workers/rank 1", step, 1.0) for step in range(3)),
]


@pytest.mark.parametrize("recorded", [True, False])
def test_of_what_all_ranks_report_rank_0s_counts_and_nothing_else_is_lost(
    raven: Raven, recorded: bool
) -> None:
    (raven.cwd / "train.py").write_text(TRAIN + BARRIER)
    (raven.cwd / "launch.py").write_text(LAUNCHER)
    assert metrics(run(raven, "launch.py", recorded=recorded)) == EXPECTED


@pytest.mark.slow
@pytest.mark.parametrize("recorded", [True, False])
def test_torchruns_ranks_are_one_run(raven: Raven, recorded: bool) -> None:
    pytest.importorskip("torch")
    joins = "import torch.distributed as dist\ndist.init_process_group('gloo')\n"
    (raven.cwd / "train.py").write_text(joins + TRAIN + "dist.barrier()\ndist.destroy_process_group()\n")
    launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "train.py"]
    assert metrics(run(raven, *launcher, recorded=recorded)) == EXPECTED


@pytest.mark.parametrize("method", ["fork", "spawn"])
@pytest.mark.parametrize("recorded", [True, False])
def test_children_of_multiprocessing_speak_into_their_parents_run(
    raven: Raven, method: str, recorded: bool
) -> None:
    source = f"""
        import multiprocessing
        from ravenml import Task
        def work(number):
            task = Task.current_task() or Task.init("p", "n")
            for step in range(20):
                task.get_logger().report_scalar("child", str(number), number, step)
        if __name__ == "__main__":
            task = Task.init("p", "n")
            context = multiprocessing.get_context({method!r})
            children = [context.Process(target=work, args=(number,)) for number in range(3)]
            for child in children: child.start()
            for step in range(20): task.get_logger().report_scalar("parent", "x", 1.0, step)
            for child in children: child.join()
    """
    (raven.cwd / "train.py").write_text(dedent(source))
    found = metrics(run(raven, "train.py", recorded=recorded))
    assert len(found) == 80 and len({(name, step) for name, step, _ in found}) == 80


def test_forked_children_do_not_take_each_others_figures(raven: Raven) -> None:
    pytest.importorskip("matplotlib")
    source = """
        import os
        import matplotlib; matplotlib.use("agg")
        import matplotlib.pyplot as plt
        plt.plot([1, 2])
        plt.savefig("curve.png")
        children = []
        for _ in range(2):
            child = os.fork()
            if not child:
                plt.savefig("curve.png")
                os._exit(0)
            children.append(child)
        for child in children: os.waitpid(child, 0)
    """
    (raven.cwd / "train.py").write_text(dedent(source))
    folder = run(raven, "train.py", recorded=True)
    names = {event.fields["file"] for event in read_events(folder / "events.jsonl", "IMAGE")}
    assert names == {f"previews/figures/curve_{step:06d}.png" for step in range(3)}
    assert all((folder / name).read_bytes().startswith(b"\x89PNG") for name in names)
