"""A tiny project, and trainings on it that take a second each."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from small_disk import small_disk as small_disk
from unet_support import MakeInput, small_settings, write_project

import ravenml_unet.models.unet
from ravenml.data.project import Project
from ravenml.data.split import Split
from ravenml.runs.run import Run
from ravenml.train.config import TrainConfig
from ravenml.train.interfaces import TrainInput
from ravenml_unet.settings import UNetSettings


@pytest.fixture(scope="session")
def project_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_project(tmp_path_factory.mktemp("data") / "shapes_project")


@pytest.fixture(autouse=True)
def own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Nothing of the user's own ravenML is read or written."""
    home = tmp_path / "home"
    monkeypatch.setenv("RAVENML_STORAGE_PATH", str(home))
    return home


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> None:
    """Tests often share the machine; threads that wait for each other would then take minutes."""
    torch.set_num_threads(1)


@pytest.fixture
def slim_unet(monkeypatch: pytest.MonkeyPatch) -> None:
    """The vanilla U-Net with a quarter of its filters: the loop does not care, and it trains in moments."""
    monkeypatch.setattr(ravenml_unet.models.unet, "FILTERS", (8, 16, 32, 64, 128))


@pytest.fixture
def make_input(project_path: Path, tmp_path: Path) -> MakeInput:
    """Make the ``TrainInput`` of a training on four images, validated on the other two."""

    def make(
        settings: UNetSettings | None = None,
        folder: str = "run",
        resume: bool = False,
        make_run: Callable[..., Run] = Run.begin,
        fold: int | None = None,
        fold_choices: dict[str, Any] | None = None,
    ) -> TrainInput:
        path = tmp_path / folder
        return TrainInput(
            "unet",
            TrainConfig(v=1, split_seed=0, jobs=1),
            settings or small_settings(),
            fold,
            path if resume else None,
            fold_choices,
            open_dataset=lambda: Project.open(project_path),
            make_split=lambda project: Split(project.items[:4], project.items[4:]),
            begin_run=lambda _: make_run(path, folder, {}),
        )

    return make
