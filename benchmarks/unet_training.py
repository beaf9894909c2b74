"""A training of the U-Net plugin without its command line, for the benchmarks that look into one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from ravenml.data.project import Project
from ravenml.data.split import default_split
from ravenml.runs.run import Run
from ravenml.train.config import TrainConfig
from ravenml.train.interfaces import TrainInput
from ravenml_unet.settings import UNetSettings
from ravenml_unet.training import run_training


def train(
    settings: UNetSettings, open_dataset: Callable[[], Project], run: Path, kind: type[Run] = Run
) -> None:
    """Train on a project's usual split.

    Args:
        settings: the plugin's.
        open_dataset: opens the project.
        run: the run's folder, which is made.
        kind: the class of the run: one that also measures, say.
    """
    run_training(
        TrainInput(
            "unet",
            TrainConfig(v=1, split_seed=0, jobs=1),
            settings,
            open_dataset=open_dataset,
            make_split=lambda project: default_split(project, notice=lambda text: None),
            begin_run=lambda _: kind.begin(run, run.name, {}),
        )
    )
