"""Several processes that train one network together."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from parallel_training import free_port, together
from unet_support import write_project

SETTINGS: dict[str, Any] = {
    "model": "parallel_training:Plain",
    "epochs": 3,
    "batch_size": {"train": 2, "val": 2},
}
ALL = {
    "augmentations": "colour+rotate+crop+fliplr",
    "val_every": 0.5,
    "metrics_period": 1,
    "previews": 1,
    "lr_schedule": "cosine",
}


@pytest.fixture
def project(tmp_path: Path) -> Path:
    write_project(tmp_path / "project", 8)
    return tmp_path / "project"


def folders(tmp_path: Path, name: str, count: int = 2) -> list[Path]:
    made = [tmp_path / f"{name}{rank}" for rank in range(count)]
    for folder in made:
        folder.mkdir()
    return made


def weights(folder: Path) -> dict[str, torch.Tensor]:
    (path,) = folder.glob("run/checkpoints/model_*_last.pth")
    state: dict[str, torch.Tensor] = torch.load(path, weights_only=True)
    return state


def metrics(folder: Path) -> list[dict[str, Any]]:
    lines = map(json.loads, (folder / "run" / "events.jsonl").read_text().splitlines())
    return [
        {"type": e["type"], "step": e["step"], **e["metrics"]} for e in lines if e["message"] == "metrics"
    ]


@pytest.mark.slow  # 20 s: three processes import PyTorch
def test_two_processes_learn_what_one_learns(project: Path, tmp_path: Path) -> None:
    """Batches of 2, 2 and 1 images: the last one leaves one process without an image."""
    (alone,) = folders(tmp_path, "alone", 1)
    team = folders(tmp_path, "team")
    assert together(1, project, [alone], **SETTINGS) == [""]
    assert together(2, project, team, **SETTINGS) == ["", ""]
    expected = weights(alone)
    for folder in team:
        for name, value in weights(folder).items():
            torch.testing.assert_close(value, expected[name])
    for mine, theirs in zip(metrics(alone), metrics(team[0]), strict=True):
        assert mine.keys() == theirs.keys()
        assert [*mine.values()][2:] == pytest.approx([*theirs.values()][2:], abs=1e-5)
    evaluations = [json.loads((f / "run" / "evaluation.json").read_text()) for f in (alone, *team)]
    assert [len(one["images"]) for one in evaluations] == [3, 3, 3]
    assert "2 workers together" in (team[0] / "run" / "events.jsonl").read_text()


@pytest.mark.slow
def test_a_stop_that_one_hears_stops_all_and_resuming_ends_with_the_same_bits(
    project: Path, tmp_path: Path
) -> None:
    settings = SETTINGS | ALL | {"model": "parallel_training:Normed"}
    undisturbed, team = folders(tmp_path, "undisturbed"), folders(tmp_path, "team")
    assert together(2, project, undisturbed, **settings) == ["", ""]
    assert together(2, project, team, stop_at=6, **settings) == ["", ""]
    assert all((folder / "run" / "checkpoints" / "state_001_00002.pt").exists() for folder in team)
    assert together(2, project, team, **settings) == ["", ""]
    expected = weights(undisturbed[0])
    assert all(torch.equal(value, expected[name]) for name, value in weights(team[0]).items())
    last = metrics(team[0])[-1]
    assert last == metrics(undisturbed[0])[-1] == metrics(team[1])[-1]


@pytest.mark.slow
def test_different_checkpoints_are_no_beginning(project: Path, tmp_path: Path) -> None:
    team = folders(tmp_path, "team")
    assert together(2, project, team, stop_at=6, **SETTINGS) == ["", ""]
    (team[1] / "run" / "checkpoints" / "state_001_00002.pt").unlink()
    errors = together(2, project, team, **SETTINGS)
    assert all("different checkpoints" in error for error in errors), errors


@pytest.mark.slow  # 10 s: two processes import PyTorch
def test_batches_smaller_than_the_team_are_refused(project: Path, tmp_path: Path) -> None:
    small = SETTINGS | {"batch_size": {"train": 1, "val": 1}}
    lines = together(2, project, folders(tmp_path, "team"), **small)
    assert all("cannot be shared by 2 workers" in line for line in lines)


@pytest.mark.slow  # 10 s: two processes import PyTorch
def test_processes_of_one_machine_meet_where_no_other_machine_reaches_them() -> None:
    port = free_port()
    torchrun = {
        "WORLD_SIZE": "2",
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
        "TORCHELASTIC_RUN_ID": "t",
    }
    torchrun |= {"GLOO_SOCKET_IFNAME": "lo", "PYTHONPATH": os.pathsep.join(sys.path)}
    pair = [
        subprocess.Popen(
            [sys.executable, "-c", MEET],
            env=os.environ | torchrun | {"RANK": str(rank), "GROUP_RANK": str(rank), "LOCAL_RANK": "0"},
            stdout=subprocess.PIPE,
            text=True,
        )
        for rank in range(2)
    ]
    try:
        first, second = (json.loads(one.communicate(timeout=120)[0].splitlines()[-1]) for one in pair)
    finally:
        for one in pair:
            one.kill()
    assert ["127.0.0.1", port] in first
    assert {host for host, _ in first + second} == {"127.0.0.1"}


MEET = """
import json, psutil
from unet_support import small_settings
from ravenml_unet.autotune import StepShape
from ravenml_unet.device import make_fabric
settings = small_settings(batch_size={"train": 2, "val": 2})
fabric, _ = make_fabric(settings, StepShape("UNet", 3, batch=2, width=32, height=32))
fabric.barrier()
ports = [s.laddr for s in psutil.Process().net_connections("inet") if s.status == psutil.CONN_LISTEN]
fabric.barrier()
print(json.dumps(ports))
"""
