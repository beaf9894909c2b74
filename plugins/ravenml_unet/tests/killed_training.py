"""A training in a process of its own that SIGKILL may end at any instant.

The processes are forked from a server that has imported torch already (multiprocessing's ``forkserver``),
so that one takes a second and not five.
"""

from __future__ import annotations

import multiprocessing
import os
import random
import signal
import time
from pathlib import Path
from typing import Any

import torch
from as_user import TESTS
from torch import nn
from unet_support import small_settings

import ravenml.toolkit.pictures
import ravenml_unet.augmentation.augmenter
from ravenml.data.project import Project
from ravenml.data.split import Split
from ravenml.runs.run import Run
from ravenml.train.config import TrainConfig
from ravenml.train.interfaces import TrainInput
from ravenml_unet.training import run_training

IMPORTED = (ravenml_unet.augmentation.augmenter, ravenml.toolkit.pictures)  # once, by the server
FILE_OPERATIONS = ("fsync", "replace", "unlink")
SETTINGS: dict[str, Any] = {
    "model": "killed_training:Tiny",
    "epochs": 6,
    "batch_size": {"train": 1, "val": 2},
    "optimizer": "Adam",
    "lr_schedule": "cosine",
    "warmup_epochs": 0.5,
    "jaccard_weight": 0.2,
    "augmentations": "colour+rotate+crop+fliplr+flipud",
    "val_every": 0.5,
    "metrics_period": 2,
    "max_keep_checkpoints": 1,
    "workers": 1,
}


class Tiny(nn.Module):
    """Small, but with all that makes resuming hard: dropout, and batch norm's running means."""

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        layers = [nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(), nn.Dropout2d(0.3)]
        self.all = nn.Sequential(*layers, nn.Conv2d(8, num_classes, 3, padding=1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        result: torch.Tensor = self.all(x)
        return result


def train(project_path: str, folder: str, dies_at: int | None = None) -> None:
    """Train, going on with the run in ``folder`` where there is one.

    Args:
        dies_at: kill this process in the middle of so many file operations (as a checkpoint is written, say).
    """
    torch.set_num_threads(1)
    os.environ["RAVENML_STORAGE_PATH"] = str(Path(folder).parent / "home")
    path = Path(folder)
    if dies_at is not None:
        die_in_file_operation(dies_at)
    run_training(
        TrainInput(
            "unet",
            TrainConfig(v=1, split_seed=0, jobs=1),
            small_settings(**SETTINGS),
            None,
            path if (path / "run.json").exists() else None,
            open_dataset=lambda: Project.open(Path(project_path)),
            make_split=lambda project: Split(project.items[:4], project.items[4:]),
            begin_run=lambda _: Run.begin(path, path.name, {}),
        )
    )


def die_in_file_operation(number: int) -> None:
    """Let SIGKILL come at the ``number``-th time that a file is synced, renamed or removed."""
    left = [number]

    def counted(function: Any) -> Any:
        def call(*arguments: Any, **options: Any) -> Any:
            left[0] -= 1
            if left[0] == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            return function(*arguments, **options)

        return call

    for name in FILE_OPERATIONS:
        setattr(os, name, counted(getattr(os, name)))


class Trainings:
    """Starts trainings, and ends some of them."""

    def __init__(self, project: Path) -> None:
        self.project = project
        # The server finds what it shall import by this variable alone.
        here = [str(Path(__file__).parent), str(TESTS)]
        given = os.environ.get("PYTHONPATH", "").split(os.pathsep)
        if here[0] not in given:
            os.environ["PYTHONPATH"] = os.pathsep.join([*here, *filter(None, given)])
        self._context = multiprocessing.get_context("forkserver")
        self._context.set_forkserver_preload(["killed_training"])

    def run(self, folder: Path, dies_at: int | None = None, after: float | None = None) -> int:
        """Train to the end, or until SIGKILL comes; the process's exit code.

        Args:
            dies_at: the number of the file operation in which it comes.
            after: the seconds after which it comes.
        """
        process = self._context.Process(target=train, args=(str(self.project), str(folder), dies_at))
        process.start()
        if after is not None:
            time.sleep(after)
            process.kill()
        process.join(120)
        code = process.exitcode
        assert code is not None
        return code

    def killed_and_resumed(self, folder: Path, seconds: float, operations: int, chance: random.Random) -> int:
        """Kill a training at random moments, one to three times, and let it end; how often it was killed."""
        kills = 0
        for _ in range(chance.choice([1, 1, 1, 2, 3])):
            if chance.random() < 0.5:
                code = self.run(folder, dies_at=chance.randint(1, operations))
            else:
                code = self.run(folder, after=chance.uniform(0, seconds))
            kills += code == -signal.SIGKILL
        assert self.run(folder) == 0
        return kills
