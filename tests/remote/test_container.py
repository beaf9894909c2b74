"""The command line that runs a job in its image."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
from as_user import PATIENCE, wait_for

from ravenml.errors import RavenError
from ravenml.remote.client.execute_remotely import hide_values
from ravenml.remote.job import Job
from ravenml.remote.layout import RemoteRun
from ravenml.remote.worker import worker
from ravenml.remote.worker.container import container_command, find_engine, first_complaint
from ravenml.remote.worker.folds import cluster_folds
from ravenml.remote.worker.worker import Worker
from ravenml.store.local_store import FolderStore


def test_code_and_run_are_mounted_and_secrets_go_by_name_alone() -> None:
    words = container_command(
        "docker",
        "repo/img:3",
        ["python", "-m", "ravenml", "run"],
        Path("/scratch/code"),
        [Path("/scratch"), Path("/lib")],
        {
            "RAVENML_RUN_ID": "x",
            "HOME": "/home/me",
            "CUDA_VISIBLE_DEVICES": "0",
            "AWS_SECRET_ACCESS_KEY": "s3cr3t",
        },
        ["AWS_SECRET_ACCESS_KEY", "/etc/key.pem"],
        gpus=True,
        user="1000:1000",
    )
    assert words[:3] == ["docker", "run", "--rm"]
    assert "--volume=/scratch:/scratch" in words and "--volume=/etc/key.pem:/etc/key.pem:ro" in words
    assert "--env=RAVENML_RUN_ID=x" in words and "--env=AWS_SECRET_ACCESS_KEY" in words
    assert not any("s3cr3t" in word or "HOME" in word for word in words)
    assert "--gpus=all" in words and "--user=1000:1000" in words
    assert words[-6:] == ["--workdir=/scratch/code", "repo/img:3", "python", "-m", "ravenml", "run"]


def test_of_a_container_that_cannot_be_made_the_engines_first_complaint_is_the_reason() -> None:
    output = """Unable to find image 'repo/img:3' locally
docker: Cannot connect to the Docker daemon at unix:///var/run/docker.sock. Is the docker daemon running?

Run 'docker run --help' for more information
"""
    assert first_complaint(output).startswith("Cannot connect to the Docker daemon")
    assert first_complaint("Error: short-name resolution\nsecond\n") == "short-name resolution"


def test_podman_is_told_of_gpus_in_its_own_words() -> None:
    words = container_command("podman", "i", ["x"], Path("/s"), [Path("/s")], {}, gpus=True, user="1:1")
    assert "--device=nvidia.com/gpu=all" in words and "--user=1:1" not in words


def test_without_an_engine_the_job_is_refused_with_a_sentence(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(RavenError, match="no container engine"):
        find_engine()


# An engine whose containers are processes without anything of their caller's environment, which outlive the
# command that has started them, as containers do.
ENGINE = """#!{python}
import os, signal, subprocess, sys
place, (verb, *words) = {place!r}, sys.argv[1:]
if verb == "rm":
    try:
        os.killpg(int(open(f"{{place}}/{{words[-1]}}").read()), signal.SIGKILL)
    except OSError:
        sys.exit(1)
    sys.exit(0)
env, name, cwd = {{}}, None, None
while words[0].startswith("-"):
    option, _, value = words.pop(0).partition("=")
    if option == "--env" and ("=" in value or value in os.environ):
        env |= dict([value.split("=", 1)]) if "=" in value else {{value: os.environ[value]}}
    name, cwd = (value if option == "--name" else name), (value if option == "--workdir" else cwd)
image, command = words[0], words[1:]
env["PATH"] = f"{{place}}/bin:/usr/bin:/bin"
inside = subprocess.Popen(command, env=env, cwd=cwd, start_new_session=True)
open(f"{{place}}/{{name}}", "w").write(str(inside.pid))
sys.exit(inside.wait())
"""


@pytest.fixture
def engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder in which the engine notes its containers; its images have this Python."""
    place = tmp_path / "engine"
    (place / "bin").mkdir(parents=True)
    (place / "docker").write_text(ENGINE.format(python=sys.executable, place=str(place)))
    (place / "docker").chmod(0o755)
    (place / "bin" / "python").write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    (place / "bin" / "python").chmod(0o755)
    monkeypatch.setenv("PATH", f"{place}:/usr/bin:/bin")
    monkeypatch.setenv("RAVENML_STORAGE_PATH", str(tmp_path / "home"))
    monkeypatch.setenv("RAVENML_TRACK", "none")
    monkeypatch.setenv("OF_THE_WORKER", "stays outside")
    return place


SHOW = "import json, os; print(json.dumps(dict(os.environ)))"


def in_image(tmp_path: Path, program: str, **more: Any) -> Job:
    command = ["run", "--", "python", "-c", program]
    return Job("r1", "local", str(tmp_path / "store"), command, None, "0", image="img", **more)


def test_a_container_has_the_queues_variables_and_torchruns_but_none_of_the_worker(
    engine: Path, tmp_path: Path
) -> None:
    job = in_image(tmp_path, SHOW, env={"MODE": "fast"}, setup=["export PREPARED=yes", "true"])
    assert Worker(job, 1, environment={"RANK": "0", "MASTER_ADDR": "10.0.0.1"}).run() == 0
    remote_run = RemoteRun(FolderStore(tmp_path / "store"), "r1")
    seen = json.loads(remote_run.store.read(remote_run.key("grow/console.log@000000000000")))
    assert (seen["MODE"], seen["RANK"], seen["MASTER_ADDR"]) == ("fast", "0", "10.0.0.1")
    assert seen["PREPARED"] == "yes"
    assert "OF_THE_WORKER" not in seen and "RAVENML_PARENT_PID" not in seen


def test_a_setup_that_fails_ends_the_run_before_its_program(engine: Path, tmp_path: Path) -> None:
    assert Worker(in_image(tmp_path, "print('reached')", setup=["false"]), 1).run() != 0
    record = RemoteRun(FolderStore(tmp_path / "store"), "r1").read("files/run.json")
    assert record and record["result"]["status"] == "failed"


def test_a_container_ends_with_its_worker_and_gives_way_to_the_next(
    engine: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker, "PERIOD", 0.1)
    monkeypatch.setattr(worker, "_KILL_AFTER", 0.5)
    deaf = "import signal, time; signal.signal(15, signal.SIG_IGN); print('up', flush=True); time.sleep(600)"
    left = subprocess.Popen([engine / "docker", "run", "--name=raven-r1", "img", "sleep", "600"])
    before = wait_for(lambda: int((engine / "raven-r1").read_text()))
    remote_run = RemoteRun(FolderStore(tmp_path / "store"), "r1")
    working = threading.Thread(target=Worker(in_image(tmp_path, deaf), 1).run)
    working.start()
    key = remote_run.key("grow/console.log@000000000000")
    wait_for(lambda: remote_run.store.head(key) is not None and b"up" in remote_run.store.read(key))
    left.wait(PATIENCE)  # what a killed worker had left
    inside = int((engine / "raven-r1").read_text())
    assert inside != before and Path(f"/proc/{inside}").exists()
    remote_run.write("control.json", {"request": "stop"})
    working.join(PATIENCE)
    wait_for(lambda: not Path(f"/proc/{inside}").exists())


def test_a_k_fold_runs_process_asks_for_its_folds_without_ray(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)  # an import would fail
    job, requests, run = in_image(tmp_path, "", spread_folds=True), tmp_path / "folds", tmp_path / "run"
    (tmp_path / "job.json").write_text(json.dumps(job.as_json()))
    requests.mkdir()
    (run / "info").mkdir(parents=True)
    (run / "info" / "folds.json").write_text("{}")
    monkeypatch.setenv("RAVENML_REMOTE_JOB", str(tmp_path / "job.json"))
    folds = cluster_folds(run)
    assert folds is not None
    folds.share_plan()
    remote_run = RemoteRun(FolderStore(tmp_path / "store"), "r1")
    assert remote_run.read("files/info/folds.json") == {}  # the folds read the plan there
    fold = folds.launch(1, run / "folds" / "1")
    assert (requests / "start-1").exists() and fold.poll() is None
    fold.ask_to_stop()
    remote_run.write("files/folds/1/run.json", {"id": "r1-f1"})
    (requests / "code-1").write_text('{"code": 3}')
    assert fold.poll() == 3
    assert (run / "folds" / "1" / "run.json").exists()  # what it has left is here before its end is told
    assert remote_run.read("control-1.json") == {"request": "stop"}


NAMES = ["USER", "URL", "TOKEN"]


@pytest.mark.parametrize(
    ("given", "kept", "named"),
    [
        ("--env GIT_SSL_NO_VERIFY=true -e N=4", ["--env=GIT_SSL_NO_VERIFY=true", "--env=N=4"], []),
        ("--env USER=me -e=URL=x -eTOKEN=1", [*map("--env={}".format, NAMES)], NAMES),
        ("--shm-size=1g --env HOME --network host", ["--shm-size=1g", "--env=HOME", "--network", "host"], []),
    ],
)  # fmt: skip
def test_values_of_variables_stay_here_but_for_switches_and_numbers(
    given: str, kept: list[str], named: list[str]
) -> None:
    assert hide_values(given.split()) == (kept, named)
