"""Queues in the configuration, and what is said of a wrong one."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from as_user import Raven
from checkouts import checkout
from jobs_server import jobs_server

from ravenml.config.config import config_path
from ravenml.errors import InputError
from ravenml.remote.client.queues import queue_named
from ravenml.remote.client.submit import check_script, send_dataset, submit


def configure(text: str) -> None:
    config_path().parent.mkdir(parents=True, exist_ok=True)
    config_path().write_text(text)


def test_the_queue_local_needs_no_configuration(home: Path) -> None:
    queue = queue_named("local")
    assert queue.is_local
    assert queue.store_address() == str(home / "remote" / "mirror")


def test_a_queue_has_an_address_resources_an_image_and_variables() -> None:
    configure(
        "queues: {gpu: {address: 'http://head:8265/', resources: {GPU: 1, fast: 0.5}, image: repo/img:3, "
        "env: {MODE: x}, store: /mnt/shared}}"
    )
    settings = queue_named("gpu").settings
    assert settings.address == "http://head:8265"
    assert settings.resources == {"GPU": 1, "fast": 0.5}
    assert (settings.image, settings.env) == ("repo/img:3", {"MODE": "x"})


def test_a_wrong_name_gets_a_suggestion() -> None:
    configure("queues: {gpu: {address: 'http://head:8265'}}")
    with pytest.raises(InputError, match=r"No queue is called 'gpus'; did you mean 'gpu'\?"):
        queue_named("gpus")


@pytest.mark.parametrize(
    ("queue", "said"),
    [
        ("{adress: 'http://h:1'}", r"queues\.gpu\.adress` is not a known field; did you mean `address`"),
        ("{address: 'ray://h:10001'}", r"queues\.gpu\.address` should be the URL of the cluster's dashboard"),
        ("{}", r"queues\.gpu\.address` is missing"),
        ("{address: 'http://h:1', resources: {GPU: -1}}", "has a negative amount of GPU"),
        ("{address: 'http://h:1', env: {AWS_SECRET_ACCESS_KEY: x}}", "name it under `secrets`"),
    ],
)
def test_a_wrong_queue_is_one_sentence_with_its_field(queue: str, said: str) -> None:
    configure(f"queues: {{gpu: {queue}}}")
    with pytest.raises(InputError, match=said):
        queue_named("gpu")


def test_a_queue_without_any_store_is_told_what_to_name() -> None:
    configure("queues: {gpu: {address: 'http://head:8265'}}")
    with pytest.raises(InputError, match=r"queues\.gpu\.store` is missing"):
        queue_named("gpu").store_address()


def test_a_dataset_that_the_workers_do_not_have_is_told_how_to_be_stored(project: Path) -> None:
    configure("queues: {gpu: {address: 'http://head:8265', store: 's3://bucket/runs'}}")
    with pytest.raises(InputError, match=r"raven data push .*--dataset project"):
        send_dataset(str(project), "gpu")
    assert send_dataset("camvid", "gpu") == "camvid"


def test_the_command_line_names_queue_and_mend(raven: Raven, learner: Path, project: Path) -> None:
    wrong = raven("train", "--remote", "lokal", "--dataset", project, "learner", "train")
    assert wrong.returncode == 2 and "did you mean 'local'?" in wrong.stderr
    alone = raven("train", "--processes", 2, "--dataset", project, "learner", "train")
    assert alone.returncode == 2 and "--processes belongs to --remote" in alone.stderr
    secret = raven("run", "--remote", "local", "--", "python", "x.py", "--api-token", "abc")
    assert secret.returncode == 2 and "holds a secret" in secret.stderr and "abc" not in secret.stderr


def test_each_command_may_ask_for_other_resources_than_its_queue_and_hears_what_is_lacking(
    tmp_path: Path, raven: Raven
) -> None:
    raven.cwd = checkout(tmp_path / "code", {"train.sh": "true"})
    raven.home.mkdir(exist_ok=True)
    with jobs_server() as jobs:
        jobs.resources = {"CPU": 8, "memory": 2.0**36}
        queue = f"{{address: '{jobs.address}', store: '{tmp_path}/store', requirements: none}}"
        (raven.home / "config.yaml").write_text(f"queues: {{gpu: {queue}}}")
        asked = ("--cpus", "4", "--gpus", "0.5", "--memory", "16GiB")
        sent = raven("run", "--remote", "gpu", *asked, "--", "sh", "train.sh")
        assert sent.returncode == 0, sent.stderr
        assert "does not have 0.5 GPU (0 in all); the run waits until it does." in sent.stderr
    (job,) = (tmp_path / "store").rglob("job.json")
    assert json.loads(job.read_text())["resources"] == {"CPU": 4, "GPU": 0.5, "memory": 2.0**34}
    for option in ("--gpus=1", "--memory=1G"):
        alone = raven("run", option, "--", "true")
        assert alone.returncode == 2 and f"{option.partition('=')[0]} belongs to --remote" in alone.stderr
    wrong = raven("run", "--remote", "gpu", "--memory", "much", "--", "true")
    assert wrong.returncode == 2 and "'much', which is not a size" in wrong.stderr


@pytest.mark.parametrize(
    ("program", "missing"),
    [
        (["python", "-u", "trian.py", "--lr", "1"], "trian.py"),
        (["python3.11", "-X", "dev", "sub/train.py"], "sub/train.py"),
        (["./start", "now"], "./start"),
        (["python", "train.py"], None),
        (["python", "-m", "train.py"], None),
        (["bash", "-c", "run.sh"], None),
        (["python", "/opt/train.py"], None),
        (["make", "train.py"], None),
    ],
)
def test_a_script_that_is_not_here_is_not_sent(
    tmp_path: Path, program: list[str], missing: str | None
) -> None:
    (tmp_path / "train.py").touch()
    if missing is None:
        return check_script(program, tmp_path)
    with pytest.raises(InputError, match=re.escape(f"{missing} does not exist in {tmp_path}")):
        check_script(program, tmp_path)


def test_a_run_of_this_machine_is_not_resumed_on_a_queue(raven: Raven) -> None:
    refused = raven("run", "--resume", "20260101", "--remote", "local", "--", "python", "train.py")
    assert refused.returncode == 2
    assert refused.stderr.splitlines()[-1] == (
        "Error: --resume continues a run on this machine; leave --remote out."
    )
    assert not raven.runs()


def test_a_cluster_that_is_not_there_is_one_sentence(tmp_path: Path) -> None:
    configure(f"queues: {{gpu: {{address: 'http://127.0.0.1:9', store: '{tmp_path}', requirements: none}}}}")
    with pytest.raises(Exception, match=r"http://127\.0\.0\.1:9 does not answer"):
        submit(["run", "--", "true"], "gpu", needs_code=False, cwd=tmp_path)


def test_several_workers_are_for_plugins_that_can(raven: Raven, learner: Path, project: Path) -> None:
    said = raven("train", "--remote", "local", "--processes", 2, "--dataset", project, "learner", "train")
    assert said.returncode == 2 and "'learner' trains a model with one process" in said.stderr
