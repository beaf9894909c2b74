"""Trainings by several processes together, each started as torchrun would."""

from __future__ import annotations

import json
import os
import random
import socket
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch
from as_user import TESTS
from torch import nn
from unet_support import small_settings

from ravenml.data.project import Project
from ravenml.data.split import Split
from ravenml.runs.run import Run
from ravenml.train.config import TrainConfig
from ravenml.train.interfaces import TrainInput
from ravenml_unet.training import run_training


class Plain(nn.Module):
    """What each image gives does not depend on the others in its batch."""

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.all = nn.Sequential(nn.Conv2d(3, 6, 3, padding=1), nn.ReLU(), nn.Conv2d(6, num_classes, 1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        result: torch.Tensor = self.all(x)
        return result


class Normed(Plain):
    """With batch norm, whose running means each process has its own of, and dropout."""

    def __init__(self, num_classes: int) -> None:
        super().__init__(num_classes)
        self.all.insert(1, nn.BatchNorm2d(6))
        self.all.insert(2, nn.Dropout2d(0.2))


class Stopped(Run):
    """Asked to stop once, at a step of its first attempt."""

    at: int | None = None
    asked = 0

    def should_stop(self) -> bool:
        self.asked += 1
        return self.asked == self.at


def train(project: Path, folder: Path, stop_at: int | None, **settings: Any) -> None:
    """Train in this process, on 5 images and 3 to validate; go on with the run that is there."""
    torch.set_num_threads(1)
    os.environ["RAVENML_STORAGE_PATH"] = str(folder / "home")
    path = folder / "run"
    Stopped.at = stop_at
    run_training(
        TrainInput(
            "unet",
            TrainConfig(v=1, split_seed=0, jobs=1),
            small_settings(**settings),
            None,
            path if (path / "run.json").exists() else None,
            open_dataset=lambda: Project.open(project),
            make_split=lambda project: Split(project.items[:5], project.items[5:8]),
            begin_run=lambda _: Stopped.begin(path, path.name, {}),
        )
    )


def free_port() -> int:
    """A port that nobody has, and that is given to no connection that does not ask for it.

    A process that tries to reach a port of the usual range before another listens there may be given that
    very port for its own end.
    """
    while True:
        port = random.randrange(20_000, 30_000)
        with socket.socket() as one, suppress(OSError):
            one.bind(("127.0.0.1", port))
            return port


def together(
    count: int, project: Path, folders: list[Path], stop_at: int | None = None, **settings: Any
) -> list[str]:
    """Train with ``count`` processes, each in a folder of its own; the error that each ended with.

    That is its last line, or ravenML's own error where PyTorch printed something more while it ended.

    Args:
        stop_at: the last process alone is asked to stop, before this step.
    """
    port = free_port()
    here = str(Path(__file__).parent)
    running = []
    for rank in range(count):
        torchrun = {
            "RANK": rank,
            "WORLD_SIZE": count,
            "LOCAL_RANK": 0,
            "LOCAL_WORLD_SIZE": 1,
            "GROUP_RANK": rank,
            "MASTER_ADDR": "127.0.0.1",
            "MASTER_PORT": port,
            "TORCHELASTIC_RUN_ID": "test",
        }
        its = {name: str(value) for name, value in torchrun.items()} if count > 1 else {}
        asked = stop_at if rank == count - 1 else None
        words = [__file__, str(project), str(folders[rank]), json.dumps(asked), json.dumps(settings)]
        environment = os.environ | its | {"PYTHONPATH": os.pathsep.join([here, str(TESTS)])}
        running.append(
            subprocess.Popen(
                [sys.executable, *words],
                env=environment,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
            )
        )
    outputs = [process.communicate(timeout=120)[0] for process in running]
    return [
        error_of(output) if process.returncode else ""
        for process, output in zip(running, outputs, strict=True)
    ]


def error_of(output: str) -> str:
    lines = output.strip().splitlines() or [""]
    return next((line for line in lines if line.startswith("ravenml.errors.")), lines[-1])


if __name__ == "__main__":
    train(Path(sys.argv[1]), Path(sys.argv[2]), json.loads(sys.argv[3]), **json.loads(sys.argv[4]))
