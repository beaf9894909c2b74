"""A run's mirror, and the leases of its attempts, in a bucket; moto's server knows ``If-None-Match: *``."""

from __future__ import annotations

import os
import sys
import threading
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest
from as_user import PATIENCE, wait_for
from buckets import OpenStore
from faults import FaultProxy, never
from jobs_server import jobs_server

from ravenml.config.config import config_path
from ravenml.config.home import runs_dir
from ravenml.errors import RavenError
from ravenml.remote.client.submit import submit
from ravenml.remote.job import Job
from ravenml.remote.layout import RemoteRun, code_key, known_runs
from ravenml.remote.mirror import PIECE, Mirror
from ravenml.remote.restore import fetch
from ravenml.remote.worker import worker
from ravenml.remote.worker.worker import Worker
from ravenml.runs.events import read_events
from ravenml.runs.record import read_record


def test_a_key_is_made_once_whoever_else_tries(open_store: OpenStore) -> None:
    remote_run, won = RemoteRun(open_store(), "r"), list[int]()
    together = threading.Barrier(12)

    def claim(number: int) -> None:
        together.wait()
        if remote_run.claim(2, {"by": number}):
            won.append(number)

    threads = [threading.Thread(target=claim, args=(number,)) for number in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(won) == 1 and remote_run.read("attempts/0002.json") == {"by": won[0]}
    assert remote_run.attempts() == 2 and not remote_run.claim(2, {"by": "late"})


def test_a_lost_answer_does_not_make_a_claim_somebody_elses(open_store: OpenStore, proxy: FaultProxy) -> None:
    remote_run, lost = RemoteRun(open_store(proxy), "r"), iter(["lost"])
    proxy.fault = lambda method, path, number: next(lost, None) if method == "PUT" else None
    assert remote_run.claim(1, {"by": "me"})
    assert not RemoteRun(open_store(), "r").claim(1, {"by": "another"})


def test_a_run_goes_to_the_bucket_and_comes_back_as_it_grows(open_store: OpenStore, tmp_path: Path) -> None:
    run, there, seen = tmp_path / "run", tmp_path / "there", dict[str, str]()
    (run / "checkpoints").mkdir(parents=True)
    (run / "run.json").write_text("{}")
    mirror, remote_run = Mirror(RemoteRun(open_store(), "r"), run), RemoteRun(open_store(), "r")
    for step in range(4):
        (run / "checkpoints" / f"model_{step:03d}.pth").write_bytes(bytes([step]) * 1000)
        with (run / "console.log").open("ab") as log, (run / "events.jsonl").open("ab") as events:
            log.write(bytes([65 + step]) * (PIECE // 2 + 7))
            events.write(b'{"step": %d}\n' % step)
        mirror.round()
        assert fetch(remote_run, there, seen)
        for name in ("console.log", "events.jsonl", f"checkpoints/model_{step:03d}.pth"):
            assert (there / name).read_bytes() == (run / name).read_bytes()
    (run / "checkpoints" / "model_000.pth").unlink()
    mirror.round(last=True)
    fetch(remote_run, there, seen)
    assert not (there / "checkpoints" / "model_000.pth").exists() and not fetch(remote_run, there, seen)


def test_one_file_with_two_names_goes_over_the_line_once(
    open_store: OpenStore, proxy: FaultProxy, tmp_path: Path
) -> None:
    folder = tmp_path / "run" / "checkpoints"
    folder.mkdir(parents=True)
    content = os.urandom(20 << 20)  # goes up in parts
    (folder / "model_002_best.pth").write_bytes(content)
    os.link(folder / "model_002_best.pth", folder / "model_002_last.pth")
    Mirror(RemoteRun(open_store(proxy), "r"), tmp_path / "run").round()
    sent = [one for one in proxy.seen if one.startswith("PUT") and "model_002_last" in one]
    assert len(sent) == 1 and "partNumber" not in sent[0]
    there = tmp_path / "there"
    assert fetch(RemoteRun(open_store(), "r"), there, {})
    for path in folder.iterdir():
        assert (there / "checkpoints" / path.name).read_bytes() == content


def test_a_bucket_that_does_not_copy_gets_the_file_again_and_is_not_asked_twice(
    open_store: OpenStore, proxy: FaultProxy, tmp_path: Path
) -> None:
    folder = tmp_path / "run" / "checkpoints"
    folder.mkdir(parents=True)
    (folder / "model_002_best.pth").write_bytes(b"weights")
    for name in ("model_002_last.pth", "model_002.pth"):
        os.link(folder / "model_002_best.pth", folder / name)
    proxy.refuses = b"x-amz-copy-source"
    Mirror(RemoteRun(open_store(proxy), "r"), tmp_path / "run").round()
    assert proxy.spoiled == 1
    for path in folder.iterdir():
        assert open_store().read(f"remote/r/files/checkpoints/{path.name}") == b"weights"


def test_a_copy_of_something_else_is_none(open_store: OpenStore) -> None:
    store = open_store()
    content = store.put_content("best", b"epoch 5")
    store.put_content("best", b"epoch 6")
    with pytest.raises(RavenError, match="not what was stored"):
        store.copy("best", "last", content)
    store.delete("best")
    with pytest.raises(RavenError):
        store.copy("best", "last", content)


def test_a_heartbeats_age_is_the_buckets_own(open_store: OpenStore) -> None:
    store = open_store()
    assert abs((store.now() - datetime.now(UTC)).total_seconds()) < 5
    remote_run = RemoteRun(store, "r")
    remote_run.write_heartbeat("heartbeat.json", 1, "running")
    remote_run.write("heartbeat.json", {"state": "running", "at": 0})  # a machine whose clock stands
    heard = remote_run.read_heartbeat("heartbeat.json")
    assert heard is not None and abs(heard["at"] - time.time()) < 5


def test_the_runs_of_a_bucket_are_listed_without_their_files(open_store: OpenStore) -> None:
    store = open_store(prefix="models")
    assert known_runs(store) == []
    for name in ("20261121-b", "20261121-a"):
        RemoteRun(store, name).write("job.json", {})
        RemoteRun(store, name).write("files/run.json", {})
    store.put_content(code_key("c0de"), b"zip")
    assert known_runs(store) == ["20261121-a", "20261121-b"] and list(store.folders()) == ["remote"]


def test_a_bucket_without_permission_is_one_sentence_before_anything_is_submitted(
    proxy: FaultProxy, bucket: str, tmp_path: Path
) -> None:
    proxy.fault = lambda method, path, number: "AccessDenied 403" if method == "PUT" else None
    with jobs_server() as jobs:
        queue = f"{{address: '{jobs.address}', store: 's3://{proxy.address}/{bucket}', requirements: none}}"
        config_path().parent.mkdir(parents=True)
        config_path().write_text(f"queues: {{gpu: {queue}}}")
        with pytest.raises(RavenError, match=r"^[^\n]*no permission for storing[^\n]*$"):
            submit(["run", "--", "true"], "gpu", needs_code=False, cwd=tmp_path)
        assert not jobs.submitted and not runs_dir().exists()


STEPS = """
import json, pathlib, sys, time
for step in range(30):
    event = {"message": "metrics", "event_type": "EventType.METRICS", "type": "train", "step": step}
    print(json.dumps({**event, "metrics": {"loss": 1 / (step + 1)}}), flush=True)
    while step == 9 and not pathlib.Path(sys.argv[1]).exists():
        time.sleep(0.02)
    time.sleep(0.05)
"""


def test_a_bucket_that_is_away_in_mid_training_costs_nothing_once_it_is_back(
    proxy: FaultProxy, bucket: str, open_store: OpenStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker, "PERIOD", 0.2)
    monkeypatch.setenv("RAVENML_STORAGE_PATH", str(tmp_path / "home"))
    monkeypatch.setenv("RAVENML_TRACK", "none")
    program = [sys.executable, "-c", STEPS, str(tmp_path / "go")]
    job = Job("20261121-r", "gpu", f"s3://{proxy.address}/{bucket}", ["run", "--", *program], None, "0")
    codes: list[int] = []
    working = threading.Thread(target=lambda: codes.append(Worker(job, 1).run()))
    working.start()
    remote_run = RemoteRun(open_store(), job.id)
    wait_for(lambda: remote_run.store.head(remote_run.key("grow/events.jsonl@000000000000")))
    proxy.fault = lambda method, path, number: "reset"
    (tmp_path / "go").touch()
    wait_for(lambda: proxy.spoiled > 3)
    time.sleep(2)  # the program ends while nothing can be stored
    proxy.fault = never
    working.join(PATIENCE)
    assert codes == [0]
    fetch(remote_run, tmp_path / "here", {})
    steps = [event.fields["step"] for event in read_events(tmp_path / "here" / "events.jsonl", "METRICS")]
    assert steps == list(range(30))
    assert read_record(tmp_path / "here")["result"]["status"] == "completed"
