"""Runs on a real Ray of this machine: whatever is lost on the way, the result is the same."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest
from as_user import wait_for
from on_ray import OnRay, kill_ray, parent_of

from ravenml.runs.events import MetricsEvent, effective, read_event

pytestmark = pytest.mark.timeout(400)
TRAIN = ("train", "--remote", "local", "--dataset", "../project", "learner", "train")


def told(cluster: OnRay, run_id: str) -> list[object]:
    """What a reader sees of a run: its metrics by step, whatever was overtaken."""
    kept = effective(map(read_event, cluster.events(run_id)))
    return [(e.kind, e.step, e.fields["metrics"]) for e in kept if isinstance(e, MetricsEvent)]


def test_a_third_partys_script_runs_there_untouched(cluster: OnRay) -> None:
    run_id = cluster.send("run", "--remote", "local", "--", "python", "train.py", "--lr", "0.5")
    record = cluster.until(run_id, "completed", "failed")
    log = (cluster.home / "runs" / run_id / "console.log").read_text()
    assert record["status"] == "completed", log
    assert "lines of data: 3" in log and "step 2 loss 0.08" in log and "to stderr" in log
    assert any(e["event_type"] == "EventType.METRICS" for e in cluster.events(run_id))
    assert record["command"][-4:] == ["python", "train.py", "--lr", "0.5"]  # type: ignore[index]
    assert record["provenance"]["code"]["working folder"]["commit"]  # type: ignore[index,call-overload]


@pytest.mark.slow  # 50 s: Ray notices the death, restarts the worker, and the training runs twice
def test_a_worker_killed_in_mid_training_changes_nothing_of_the_result(cluster: OnRay) -> None:
    whole = cluster.send(*TRAIN, "--epochs", "6")
    cluster.until(whole, "completed")
    killed = cluster.send(*TRAIN, "--epochs", "6", "--seconds", "1.5")
    wait_for(lambda: cluster.record(killed) and len(told(cluster, killed)) >= 4)
    os.kill(parent_of(cluster.training(killed)), signal.SIGKILL)
    record = cluster.until(killed, "completed", "failed", seconds=120)
    assert record["status"] == "completed" and len(record["attempts"]) == 2  # type: ignore[arg-type]
    assert told(cluster, killed) == told(cluster, whole)
    assert any(e["event_type"] == "EventType.RESUMED" for e in cluster.events(killed))


@pytest.mark.slow  # 12 to 30 s: Ray starts a job for a process of its own
def test_the_submitting_process_may_die_once_it_has_submitted(cluster: OnRay) -> None:
    watching = cluster.start(*TRAIN, "--epochs", "3", "--seconds", "0.5")
    sent = watching.stdout.readline() if watching.stdout else ""
    watching.kill()
    watching.wait()
    assert cluster.until(sent.split()[1], "completed", "failed")["status"] == "completed"


def test_folds_are_spread_and_scored_as_here(cluster: OnRay) -> None:
    run_id = cluster.send(*TRAIN, "--kfold", "--folds", "3")
    record = cluster.until(run_id, "completed", "failed", seconds=120)
    assert record["status"] == "completed", (cluster.home / "runs" / run_id / "console.log").read_text()
    here = cluster.ok("train", "--dataset", "../project", "learner", "train", "--kfold", "--folds", "3")
    assert "out of fold" in here or here
    mine = max(path.name for path in (cluster.home / "runs").iterdir())
    assert cluster.record(mine)["summary"]["out_of_fold"] == record["summary"]["out_of_fold"]  # type: ignore[index]


@pytest.mark.slow  # 11 s of Ray's own waiting
def test_a_job_that_has_to_wait_says_what_for_and_can_be_stopped(cluster: OnRay) -> None:
    every = str(os.cpu_count())
    first = cluster.send("run", "--remote", "local", "--cpus", every, "--", "python", "loop.py")
    cluster.until(first, "running")
    second = cluster.send("run", "--remote", "local", "--", "python", "loop.py")
    third = cluster.send("run", "--remote", "local", "--", "python", "loop.py")
    cluster.until(third, "waiting")
    wait_for(lambda: f"1 CPU, of which 0 of {every} are free" in cluster.ok("runs", "show", second))
    assert "(number 2 of 2 in this queue)" in cluster.ok("runs", "show", third)
    for run_id in (third, second, first):
        stopped = cluster("runs", "stop", run_id)
        assert "is interrupted" in stopped.stdout, stopped.stderr


@pytest.mark.slow
def test_of_processes_that_train_together_the_one_that_failed_says_why(cluster: OnRay) -> None:
    run_id = cluster.send("run", "--remote", "local", "--processes", "2", "--", "python", "-c", SECOND_FAILS)
    record = cluster.until(run_id, "completed", "failed", seconds=180)
    why = record["result"]["error"]  # type: ignore[index]
    assert why.startswith("Process 1 of 2 failed on ") and why.endswith("ValueError: no such class"), why
    assert "the first gives up" in (cluster.home / "runs" / run_id / "console.log").read_text()


SECOND_FAILS = """
import os, sys, time
if os.environ["RANK"] == "1":
    raise ValueError("no such class")
time.sleep(8)
print("the first gives up", flush=True)
sys.exit("Connection closed by peer")
"""


def test_a_job_larger_than_this_machine_is_refused(cluster: OnRay) -> None:
    refused = cluster("run", "--remote", "local", "--gpus", "40", "--", "python", "loop.py")
    assert refused.returncode == 2 and "This machine does not have 40 GPU" in refused.stderr


@pytest.mark.slow  # Ray makes an environment with pip before it fails: 50 s
def test_requirements_that_cannot_be_installed_are_one_sentence(cluster: OnRay) -> None:
    said = subprocess.run(
        [sys.executable, "-c", IMPOSSIBLE],
        env=cluster.env(),
        cwd=cluster.cwd,
        capture_output=True,
        text=True,
    )
    assert said.returncode == 0, said.stderr
    record = cluster.until(said.stdout.strip(), "failed", seconds=180)
    assert "requirements cannot be installed" in record["result"]["error"]  # type: ignore[index]
    assert "\n" not in record["result"]["error"]  # type: ignore[index]


IMPOSSIBLE = """
import ravenml.remote.client.submit as s
s.requirements = lambda *more: ["ravenml-no-such-package==99"]
print(s.submit(["run", "--", "true"], "local"))
"""


@pytest.mark.slow
def test_a_cluster_lost_in_mid_training_is_made_up_for_exactly_once(cluster: OnRay) -> None:
    whole = cluster.send(*TRAIN, "--epochs", "6")
    cluster.until(whole, "completed")
    lost = cluster.send(*TRAIN, "--epochs", "6", "--seconds", "1.5")
    wait_for(lambda: cluster.record(lost) and len(told(cluster, lost)) >= 4)
    kill_ray(cluster)
    lookers = [cluster.start("remote", "watch") for _ in range(3)]
    try:
        record = cluster.until(lost, "completed", "failed", seconds=240)
    finally:
        for looker in lookers:
            looker.kill()
            looker.wait()
    assert record["status"] == "completed"
    assert sorted(p.name for p in (cluster.mirror(lost) / "attempts").iterdir()) == ["0001.json", "0002.json"]
    assert told(cluster, lost) == told(cluster, whole)


@pytest.mark.slow
def test_thirty_jobs_at_once_all_end_well(cluster: OnRay) -> None:
    sent = [cluster.send("run", "--remote", "local", "--", "python", "-c", f"print({n})") for n in range(30)]
    for number, run_id in enumerate(sent):
        record = cluster.until(run_id, "completed", "failed", seconds=300)
        assert record["status"] == "completed", record
        assert (cluster.home / "runs" / run_id / "console.log").read_text() == f"{number}\n"
