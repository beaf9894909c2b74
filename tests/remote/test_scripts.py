"""A script that asks to be run elsewhere: what of it goes along."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from as_user import CLEAN, ROOT
from checkouts import checkout
from jobs_server import Jobs, jobs_server

SCRIPT = """
import argparse
from ravenml import Task
task = Task.init(project_name="P", task_name="N")
task.set_base_docker("img:1 --env GIT_SSL_NO_VERIFY=true -e=GIT_USER=harmless -e PASS=hunter2",
                     docker_setup_bash_script=["pip install numpy"])
parser = argparse.ArgumentParser()
parser.add_argument("--lr", type=float, default=0.1)
parser.parse_args()
task.execute_remotely(queue_name="gpu", outputs=["weights"])
raise SystemExit("reached")
"""


def send(tmp_path: Path, **env: str) -> tuple[subprocess.CompletedProcess[str], Jobs]:
    code, home = checkout(tmp_path / "code", {"train.py": SCRIPT}), tmp_path / "home"
    home.mkdir()
    with jobs_server() as jobs:
        queue = f"address: '{jobs.address}', requirements: none, store: '{tmp_path / 'store'}'"
        (home / "config.yaml").write_text(f"queues: {{gpu: {{{queue}}}}}")
        mine = {"RAVENML_STORAGE_PATH": str(home), "RAVENML_TRACK": "none", "PYTHONPATH": str(ROOT)}
        command = [sys.executable, "train.py"]
        done = subprocess.run(command, cwd=code, env={**CLEAN, **mine, **env}, capture_output=True, text=True)
    return done, jobs


def test_what_a_clone_sets_goes_along_and_values_of_variables_stay(tmp_path: Path) -> None:
    done, jobs = send(tmp_path, RAVENML_PARAMETERS='{"lr": 0.5}')
    assert done.returncode == 0, done.stderr
    (sent,) = jobs.submitted
    told = sent["runtime_env"]["env_vars"]  # type: ignore[index,call-overload]
    assert json.loads(told["RAVENML_PARAMETERS"]) == {"lr": 0.5}
    (described,) = (tmp_path / "store").rglob("job.json")
    job = json.loads(described.read_text())
    assert job["image_arguments"] == ["--env=GIT_SSL_NO_VERIFY=true", "--env=GIT_USER", "--env=PASS"]
    assert "--output weights" in " ".join(job["arguments"])
    assert job["setup"] == ["pip install numpy"]
    assert "GIT_USER, PASS: not sent" in done.stdout
    for path in filter(os.path.isfile, tmp_path.rglob("*")):
        if path.suffix in (".json", ".jsonl", ".log"):
            assert not any(word in path.read_text() for word in ("harmless", "hunter2")), path


@pytest.mark.parametrize("parameters", ['{"api_token": "s3cr3t"}'])
def test_a_secret_among_the_parameters_is_refused(tmp_path: Path, parameters: str) -> None:
    done, jobs = send(tmp_path, RAVENML_PARAMETERS=parameters)
    assert done.returncode != 0 and "hold a secret" in done.stderr and not jobs.submitted
