"""The worker's side of a run: it is heard whatever it does, and what a run was asked for reaches it whole."""

from __future__ import annotations

import errno
import json
import os
import resource
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from as_user import PATIENCE, wait_for, within
from simple_project import write_simple_project
from throwaway import GROUP, write_plugin

from ravenml.remote import mirror
from ravenml.remote.job import Job
from ravenml.remote.layout import RemoteRun, is_written_once
from ravenml.remote.worker import heartbeat, worker
from ravenml.remote.worker.heartbeat import Heartbeat, Superseded
from ravenml.remote.worker.process import exit_code
from ravenml.remote.worker.worker import Worker, scratch_folder
from ravenml.store.local_store import FolderStore

SAVES_SLOWLY = (
    GROUP
    + """
@my_plugin.command()
@pass_train
@click.pass_context
def train(ctx, train: TrainInput):
    import time
    run = train.run
    run.metrics("train", 1, {"loss": 1.0}, step=1)
    while not run.should_stop():
        time.sleep(0.05)
    last = run.path / "checkpoints" / "last.bin"
    for part in range(40):
        with last.open("ab") as file:
            file.write(bytes(1000))
        time.sleep(0.1)
    run.checkpoint(2, [last], epoch=2)
    return None
"""
)


@pytest.fixture
def remote_run(tmp_path: Path) -> RemoteRun:
    return RemoteRun(FolderStore(tmp_path / "store", links=is_written_once), "20261121-r")


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker that looks more often, and is less patient."""
    monkeypatch.setattr(worker, "PERIOD", 0.2)
    monkeypatch.setattr(heartbeat, "PERIOD", 0.1)
    monkeypatch.setattr(heartbeat, "ALIVE", 0.4)
    monkeypatch.setattr(worker, "_TERMINATE_AFTER", 0.5)


def test_a_worker_is_heard_while_it_is_busy_with_a_long_upload(remote_run: RemoteRun, quick: None) -> None:
    with Heartbeat(remote_run, "heartbeat.json", 1) as alive:
        first = remote_run.read("heartbeat.json")
        assert first and first["state"] == "running"
        time.sleep(0.5)  # the main thread does something else
        later = remote_run.read("heartbeat.json")
        assert later and later["at"] > first["at"]
        alive.end()
    ended = remote_run.read("heartbeat.json")
    assert ended and ended["state"] == "ended"


def test_a_worker_that_was_replaced_writes_nothing_more(
    remote_run: RemoteRun, quick: None, tmp_path: Path
) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "weights.bin").write_bytes(b"old")
    with Heartbeat(remote_run, "heartbeat.json", 1) as old:
        sends = mirror.Mirror(remote_run, tmp_path / "run", check=old.check)
        with Heartbeat(remote_run, "heartbeat.json", 2) as new:
            wait_for(lambda: _superseded(old))
            with pytest.raises(Superseded):
                sends.round()
            new.check()
        old.end()
    assert list(remote_run.store.list(remote_run.key("files/"))) == []
    beaten = remote_run.read("heartbeat.json")
    assert beaten and beaten["attempt"] == 2 and beaten["state"] == "running"


def _superseded(one: Heartbeat) -> bool:
    try:
        one.check()
    except Superseded:
        return True
    return False


def test_a_heartbeats_age_is_told_by_the_stores_clock(
    remote_run: RemoteRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    true_time = time.time
    monkeypatch.setattr(time, "time", lambda: true_time() - 3600)  # this worker's clock is an hour slow
    remote_run.write_heartbeat("heartbeat.json", 1, "running")
    monkeypatch.undo()
    heard = remote_run.read_heartbeat("heartbeat.json")
    assert heard and abs(heard["at"] - time.time()) < 2


def test_only_folders_that_no_worker_uses_are_swept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker.tempfile, "gettempdir", lambda: str(tmp_path))
    monkeypatch.setattr(worker.tempfile, "tempdir", str(tmp_path))
    killed, begun = tmp_path / "raven-work-killed", tmp_path / "raven-work-begun"
    killed.mkdir()
    (killed / "in-use").touch()
    begun.mkdir()  # another worker has just made it, and holds no lock yet
    with scratch_folder() as one, scratch_folder() as other:
        assert one.is_dir() and other.is_dir() and not killed.exists() and begun.is_dir()
    assert not one.exists() and not other.exists()


@pytest.mark.parametrize("system", ["as it is", "an older kernel", "an older Python"])
def test_a_process_is_waited_for_until_it_ends_or_the_time_is_over(
    system: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if system == "an older Python":
        monkeypatch.delattr(os, "pidfd_open", raising=False)
    if system == "an older kernel":
        monkeypatch.setattr(os, "pidfd_open", _fail, raising=False)
    with subprocess.Popen(["sleep", "600"]) as process:
        assert exit_code(process, 0.2) is None
        killing = threading.Timer(0.2, process.kill)
        killing.start()
        with within(10):
            assert exit_code(process, 50.0) == -signal.SIGKILL
        assert exit_code(process, 50.0) == -signal.SIGKILL  # and again, when it is long over


@pytest.mark.skipif(not hasattr(os, "pidfd_open"), reason="no process can wake this Python")
def test_who_waits_for_a_process_sleeps() -> None:
    with subprocess.Popen(["sleep", "600"]) as process:
        before = _wakings()
        assert exit_code(process, 2.0) is None
        woken = _wakings() - before
        process.kill()
    assert woken < 20  # `process.wait` wakes forty times


def _wakings() -> int:
    return resource.getrusage(resource.RUSAGE_THREAD).ru_nvcsw


def _fail(pid: int) -> int:
    raise OSError(errno.ENOSYS, "Function not implemented")


def test_the_last_checkpoint_of_a_stopped_run_is_whole_however_long_it_takes(
    tmp_path: Path, remote_run: RemoteRun, quick: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_plugin(tmp_path / "site", "slow", SAVES_SLOWLY)
    write_simple_project(tmp_path / "project", images=4, val=1)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "site"))
    monkeypatch.setenv("RAVENML_STORAGE_PATH", str(tmp_path / "home"))
    monkeypatch.setenv("RAVENML_TRACK", "none")
    arguments = ["train", "--dataset", str(tmp_path / "project"), "slow", "train"]
    job = Job(remote_run.run_id, "local", str(tmp_path / "store"), arguments, None, "0")
    codes: list[int] = []
    working = threading.Thread(target=lambda: codes.append(Worker(job, 1).run()))
    working.start()
    wait_for(lambda: remote_run.store.head(remote_run.key("grow/events.jsonl@000000000000")))
    remote_run.write("control.json", {"request": "stop"})
    working.join(PATIENCE)
    record = remote_run.read("files/run.json")
    assert codes and record and record["result"]["status"] == "interrupted", record
    assert len(remote_run.store.read(remote_run.key("files/checkpoints/last.bin"))) == 40_000
    events = remote_run.store.read(remote_run.key("grow/events.jsonl@000000000000")).decode().splitlines()
    assert any(json.loads(line)["event_type"] == "EventType.CHECKPOINT" for line in events)


def test_a_program_that_does_not_stop_is_ended_and_its_run_is_interrupted_not_tried_again(
    tmp_path: Path, remote_run: RemoteRun, quick: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker, "_KILL_AFTER", 1.5)
    monkeypatch.setenv("RAVENML_STORAGE_PATH", str(tmp_path / "home"))
    monkeypatch.setenv("RAVENML_TRACK", "none")
    deaf = (
        "import signal, time; signal.signal(15, signal.SIG_IGN); print('deaf', flush=True); time.sleep(600)"
    )
    job = Job(
        remote_run.run_id,
        "local",
        str(tmp_path / "store"),
        ["run", "--", sys.executable, "-c", deaf],
        None,
        "0",
    )
    codes: list[int] = []
    working = threading.Thread(target=lambda: codes.append(Worker(job, 1).run()))
    working.start()
    said = remote_run.key("grow/console.log@000000000000")
    wait_for(lambda: remote_run.store.head(said) is not None and b"deaf" in remote_run.store.read(said))
    remote_run.write("control.json", {"request": "stop"})
    working.join(PATIENCE)
    record = remote_run.read("files/run.json")
    assert codes and record and record["result"]["status"] == "interrupted"


def test_files_that_a_program_leaves_in_its_working_folder_come_back_up_to_a_limit(
    tmp_path: Path, remote_run: RemoteRun, quick: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RAVENML_STORAGE_PATH", str(tmp_path / "home"))
    monkeypatch.setenv("RAVENML_TRACK", "none")
    writes = """
from pathlib import Path
Path("out").mkdir()
Path("out/scores.csv").write_text("1,2")
Path("big.bin").write_bytes(bytes(200_000))
"""
    limit = f"{100_000 / 2**30:f}"
    for run, options in (("20261121-r", []), ("20261121-s", ["--keep-new", limit])):
        command = ["run", *options, "--", sys.executable, "-c", writes]
        assert Worker(Job(run, "local", str(tmp_path / "store"), command, None, "0"), 1).run() == 0
    assert _artifacts(tmp_path / "store", "20261121-r") == {"big.bin": 200_000, "out/scores.csv": 3}
    assert _artifacts(tmp_path / "store", "20261121-s") == {"out/scores.csv": 3}
    record = RemoteRun(remote_run.store, "20261121-s").read("files/run.json")
    assert record and "big.bin (195.3 KiB) was not kept" in record["result"]["faults"][0]


def _artifacts(store: Path, run: str) -> dict[str, int]:
    """Path below ``artifacts/files`` and size of a run's files in a store."""
    (folder,) = (path for path in store.rglob("artifacts/files") if run in str(path))
    return {
        path.relative_to(folder).as_posix(): path.stat().st_size
        for path in folder.rglob("*")
        if path.is_file()
    }
