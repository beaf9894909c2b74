"""A run of which nothing is heard: what is believed of it, and when it is sent again."""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from jobs_server import Jobs, jobs_server

from ravenml.common.io import read_json, write_json
from ravenml.config.config import config_path
from ravenml.config.home import runs_dir
from ravenml.errors import InputError, RavenError
from ravenml.remote.client.foreign_runs import ForeignRuns, fetch_run
from ravenml.remote.client.ray_api import RayJobs
from ravenml.remote.client.submit import REMOTE
from ravenml.remote.client.sync import refresh
from ravenml.remote.job import Job, submission_id
from ravenml.remote.layout import RemoteRun, attempt_name, code_key, open_store
from ravenml.runs.layout import find_run
from ravenml.runs.overview import details
from ravenml.runs.record import read_record, status

ID = "20261121-0412-abcd"


@pytest.fixture
def cluster(home: Path) -> Iterator[Jobs]:
    with jobs_server() as jobs:
        config_path().parent.mkdir(parents=True, exist_ok=True)
        config_path().write_text(f"queues: {{gpu: {{address: '{jobs.address}', requirements: none}}}}")
        yield jobs


@pytest.fixture
def run(home: Path, tmp_path: Path) -> Path:
    """A run that was sent to the queue, whose supervisor has been silent for an hour."""
    store = tmp_path / "shared"
    job = Job(ID, "gpu", str(store), ["run", "--", "true"], None, "c0de", retries=2)
    remote_run = RemoteRun(open_store(str(store)), ID)
    remote_run.write("job.json", job.as_json())
    remote_run.claim(1, {"by": "me", "at": 0, "retry": 0})
    remote_run.write("waiting.json", {"attempt": 1, "state": "running", "at": 0})
    remote_run.store.put_content(code_key("c0de"), b"zip")
    folder = home / "runs" / ID
    write_json(folder / REMOTE, {"v": 1, "id": ID, "queue": "gpu", "store": str(store)})
    write_json(folder / "run.json", job.first_record())
    age(remote_run, 3600)
    return folder


def age(remote_run: RemoteRun, seconds: float) -> None:
    """Have everything in the store be this old."""
    for path in Path(remote_run.store.name).rglob("*.json"):
        os.utime(path, (time.time() - seconds,) * 2)


def remote_run_of(folder: Path) -> RemoteRun:
    return RemoteRun(open_store(read_json(folder / REMOTE)["store"]), ID)


def test_a_run_that_its_cluster_does_not_know_is_sent_again_once(run: Path, cluster: Jobs) -> None:
    refresh(run)
    refresh(run)
    assert [asked["submission_id"] for asked in cluster.submitted] == [submission_id(ID, 2)]
    claim = remote_run_of(run).read(attempt_name(2))
    assert claim and claim["retry"] == 1
    assert status(run, read_record(run)) == "waiting"


def test_a_cluster_that_is_away_or_refuses_uses_up_no_retry(run: Path, cluster: Jobs) -> None:
    remote_run, said = remote_run_of(run), list[str]()
    cluster.answer = b"nonsense\r\n\r\n"  # something else listens there
    for _ in range(5):
        refresh(run, said.append)
    assert remote_run.attempts() == 1 and "does not answer" in said[0]
    cluster.answer, cluster.refuses = None, True
    for _ in range(5):
        refresh(run, said.append)
        age(remote_run, 3600)
    assert remote_run.attempts() == 6 and not read_record(run)["result"]
    cluster.refuses = False
    refresh(run)
    assert [asked["submission_id"] for asked in cluster.submitted] == [submission_id(ID, 7)]
    claim = remote_run.read(attempt_name(7))
    assert claim and claim["retry"] == 1


@pytest.fixture
def elsewhere(
    run: Path, cluster: Jobs, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Iterator[RemoteRun]:
    """The run's part of the store, as another machine sees it that knows the queue and has sent nothing."""
    remote_run = remote_run_of(run)
    monkeypatch.setenv("RAVENML_STORAGE_PATH", str(tmp_path / "other home"))
    queue = f"{{address: '{cluster.address}', requirements: none, store: '{remote_run.store.name}'}}"
    config_path().parent.mkdir(parents=True)
    config_path().write_text(f"queues: {{gpu: {queue}}}")
    yield remote_run


def test_any_machine_that_knows_the_queue_may_watch_over_what_others_sent(
    elsewhere: RemoteRun, cluster: Jobs
) -> None:
    others, said = ForeignRuns(), list[str]()
    assert [others.check_all(said.append) for _ in range(2)] == [1, 1]
    assert [asked["submission_id"] for asked in cluster.submitted] == [submission_id(ID, 2)]
    assert said == [f"{ID} was lost with its cluster; it is submitted again (retry 1 of 2)."]
    assert not runs_dir().exists(), "the run's folder stays where it is wanted"
    elsewhere.write("files/run.json", {"id": ID, "result": {"status": "completed"}})
    assert others.check_all(said.append) == 0


def test_what_another_machine_sent_is_brought_and_followed(elsewhere: RemoteRun, cluster: Jobs) -> None:
    with pytest.raises(InputError, match="`raven remote pull ID` fetches"):
        find_run(ID[:6])
    with pytest.raises(InputError, match="No run begins with '2030'"):
        fetch_run("2030")
    cluster.status[submission_id(ID, 1)] = "RUNNING"
    elsewhere.store.put_content(elsewhere.key("grow/console.log@000000000000"), b"epoch 1\n")
    assert fetch_run(ID[:6]) == ID
    folder = find_run(ID[:6])
    assert refresh(folder) is False and (folder / "console.log").read_text() == "epoch 1\n"
    assert status(folder, read_record(folder)) == "running"
    elsewhere.write("files/run.json", {**read_json(folder / "run.json"), "result": {"status": "completed"}})
    assert refresh(folder) is True and read_record(folder)["result"]["status"] == "completed"


def test_after_its_retries_it_is_given_up(run: Path, cluster: Jobs) -> None:
    remote_run = remote_run_of(run)
    for _ in range(3):
        refresh(run)
        cluster.status.clear()  # the cluster is lost once more
        age(remote_run, 3600)
    refresh(run)
    assert len(cluster.submitted) == 2
    assert read_record(run)["result"]["error"] == "its cluster was lost 3 times, and 2 retries are over"


def test_what_its_user_resumed_many_times_has_all_its_retries(run: Path, cluster: Jobs) -> None:
    remote_run = remote_run_of(run)
    for attempt in range(2, 9):
        remote_run.claim(attempt, {"by": "me", "at": 0, "retry": 0})
    age(remote_run, 3600)
    refresh(run)
    assert [asked["submission_id"] for asked in cluster.submitted] == [submission_id(ID, 9)]


@pytest.mark.parametrize(("said", "state"), [("RUNNING", "running"), ("PENDING", "waiting")])
def test_the_cluster_is_believed_that_it_has_the_job(run: Path, cluster: Jobs, said: str, state: str) -> None:
    cluster.status[submission_id(ID, 1)] = said
    assert refresh(run) is False
    assert status(run, read_record(run)) == state and not cluster.submitted


def test_a_run_whose_store_does_not_answer_is_unreachable_and_not_lost(run: Path, cluster: Jobs) -> None:
    remote_run = remote_run_of(run)
    remote_run.write_heartbeat("waiting.json", 1, "running")
    refresh(run)
    assert status(run, read_record(run)) == "running"
    away = Path(remote_run.store.name).rename(run.parent.parent / "unplugged")
    refresh(run)
    refresh(run)  # what was last heard stays
    assert status(run, read_record(run)) == "unreachable" and not cluster.submitted
    shown = "\n".join(details(run))
    assert re.search(r"Last heard: +running, \d+ s ago; .* holds nothing of it", shown), shown
    away.rename(remote_run.store.name)
    remote_run.write("files/run.json", {**read_json(run / "run.json"), "result": {"status": "completed"}})
    assert refresh(run) is True and status(run, read_record(run)) == "completed"


def test_a_run_whose_bucket_refuses_is_unreachable(run: Path, cluster: Jobs) -> None:
    write_json(run / REMOTE, {"v": 1, "id": ID, "queue": "gpu", "store": "s3://127.0.0.1:9/bucket/runs"})
    with pytest.raises(RavenError):
        refresh(run)
    assert status(run, read_record(run)) == "unreachable"


def test_a_run_whose_cluster_died_is_said_to_be_unreachable_within_seconds(run: Path, cluster: Jobs) -> None:
    remote_run = remote_run_of(run)
    remote_run.write_heartbeat("waiting.json", 1, "running")
    age(remote_run, 20)
    config_path().write_text("queues: {gpu: {address: 'http://127.0.0.1:9', requirements: none}}")
    refresh(run)
    assert status(run, read_record(run)) == "unreachable"
    assert "its queue 'gpu' does not answer" in "\n".join(details(run))


def test_a_job_that_was_stopped_on_the_cluster_stays_stopped(run: Path, cluster: Jobs) -> None:
    cluster.status[submission_id(ID, 1)] = "STOPPED"
    assert refresh(run) is True
    result = read_record(run)["result"]
    assert (result["status"], result["reason"]) == ("interrupted", "its job was stopped on the cluster")
    assert not cluster.submitted


def test_a_job_that_failed_says_why(run: Path, cluster: Jobs) -> None:
    cluster.status[submission_id(ID, 1)] = "FAILED"
    assert refresh(run) is True
    assert "ValueError: it broke" in read_record(run)["result"]["error"]


def test_a_clock_that_goes_wrong_there_makes_no_run_lost(run: Path, cluster: Jobs) -> None:
    remote_run = remote_run_of(run)
    remote_run.write(
        "heartbeat.json", {"attempt": 1, "state": "running", "at": time.time() - 7200, "by": "w"}
    )
    assert refresh(run) is False
    assert status(run, read_record(run)) == "running" and not cluster.submitted


@pytest.mark.parametrize(
    "answer",
    [
        b"nonsense\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{",
        b"HTTP/1.1 200 OK\r\n\r\n<html>",
    ],
)
def test_whatever_listens_at_the_address_is_one_sentence(cluster: Jobs, answer: bytes) -> None:
    cluster.answer = answer
    with pytest.raises(RavenError, match=r"does not answer|is not a Ray cluster") as caught:
        RayJobs(cluster.address).version()
    assert "\n" not in str(caught.value) and json.dumps(str(caught.value))
