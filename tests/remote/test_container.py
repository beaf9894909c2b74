"""The command line that runs a job in its image."""

from __future__ import annotations

from pathlib import Path

import pytest

from ravenml.errors import RavenError
from ravenml.remote.container import container_command, find_engine


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


def test_podman_is_told_of_gpus_in_its_own_words() -> None:
    words = container_command("podman", "i", ["x"], Path("/s"), [Path("/s")], {}, gpus=True, user="1:1")
    assert "--device=nvidia.com/gpu=all" in words and "--user=1:1" not in words


def test_without_an_engine_the_job_is_refused_with_a_sentence(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(RavenError, match="no container engine"):
        find_engine()
