"""A tiny project, and one training on it that many tests look at: TensorFlow needs seconds to begin one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from bbox_support import SETTINGS, MakeInput, small_settings, write_project
from small_disk import small_disk as small_disk

from ravenml.data.project import Project
from ravenml.data.split import Split
from ravenml.runs.run import Run
from ravenml.train.config import TrainConfig
from ravenml.train.interfaces import TrainInput, TrainOutput
from ravenml_tf_bbox.settings import BoxSettings


@pytest.fixture(scope="session")
def project_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_project(tmp_path_factory.mktemp("data") / "shapes_project")


@pytest.fixture(autouse=True)
def own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Nothing of the user's own ravenML is read or written."""
    home = tmp_path / "home"
    monkeypatch.setenv("RAVENML_STORAGE_PATH", str(home))
    return home


def an_input(
    project: Path, folder: Path, settings: BoxSettings, resume: bool, make_run: Callable[..., Run] = Run.begin
) -> TrainInput:
    return TrainInput(
        "tf-bbox",
        TrainConfig(v=1, split_seed=0, jobs=1),
        settings,
        None,
        folder if resume else None,
        open_dataset=lambda: Project.open(project),
        make_split=lambda opened: Split(opened.items[:4], opened.items[4:]),
        begin_run=lambda _: make_run(folder, folder.name, {}),
    )


@pytest.fixture
def make_input(project_path: Path, tmp_path: Path) -> MakeInput:
    """Make the ``TrainInput`` of a training on four images, validated on the other two."""

    def make(
        settings: BoxSettings | None = None,
        folder: str = "run",
        resume: bool = False,
        make_run: Callable[..., Run] = Run.begin,
    ) -> TrainInput:
        return an_input(project_path, tmp_path / folder, settings or small_settings(), resume, make_run)

    return make


@pytest.fixture(scope="session")
def trained(project_path: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, TrainOutput]:
    """Three epochs of two steps each, validated twice per epoch, never interrupted: its folder and output."""
    from ravenml_tf_bbox.training import run_training

    folder = tmp_path_factory.mktemp("trained") / "run"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAVENML_STORAGE_PATH", str(folder.parent / "home"))
        output = run_training(an_input(project_path, folder, small_settings(**SETTINGS), False))
    assert output is not None
    return folder, output
