"""Queues in the configuration, and what is said of a wrong one."""

from __future__ import annotations

from pathlib import Path

import pytest
from as_user import Raven

from ravenml.config.config import config_path
from ravenml.errors import InputError
from ravenml.remote.client.queues import queue_named
from ravenml.remote.client.submit import send_dataset, submit


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


def test_a_cluster_that_is_not_there_is_one_sentence(tmp_path: Path) -> None:
    configure(f"queues: {{gpu: {{address: 'http://127.0.0.1:9', store: '{tmp_path}', requirements: none}}}}")
    with pytest.raises(Exception, match=r"http://127\.0\.0\.1:9 does not answer"):
        submit(["run", "--", "true"], "gpu", needs_code=False, cwd=tmp_path)


def test_several_workers_are_for_plugins_that_can(raven: Raven, learner: Path, project: Path) -> None:
    said = raven("train", "--remote", "local", "--processes", 2, "--dataset", project, "learner", "train")
    assert said.returncode == 2 and "'learner' trains a model with one process" in said.stderr
