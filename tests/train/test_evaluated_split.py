"""``evaluate --split``: only the images with a tag are evaluated."""

from __future__ import annotations

import json
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result
from predicting import pack
from projects import write_project

from ravenml.data.project import Project
from ravenml.train.options import evaluate_options


@click.command()
@evaluate_options
def evaluate(
    model: Path, project: Project, out: Path, items: Path | None, batch_size: int, device: str
) -> None:
    for item in project.items:
        click.echo(item.name)


@pytest.fixture
def tested(tmp_path: Path) -> Path:
    """A project of six images, of which one is tagged `test`."""
    project = write_project(tmp_path / "project", images=6, val=2)
    file = project / "scenes/ann/scene_001.png.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"tags": ["test"]}))
    return project


def run(model: Path, project: Path, *arguments: str) -> Result:
    return CliRunner().invoke(evaluate, [str(model), "--dataset", str(project), *arguments])


@pytest.mark.parametrize(
    ("split", "numbers"), [("train", "0 2 3"), ("val", "4 5"), ("test", "1"), (None, "0 1 2 3 4 5")]
)
def test_only_the_images_with_the_tag_are_evaluated(
    tested: Path, tmp_path: Path, split: str | None, numbers: str
) -> None:
    done = run(pack(tmp_path / "model.tar"), tested, *(("--split", split) if split else ()))
    assert done.stdout.split() == [f"scene_00{number}.png" for number in numbers.split()]


def test_that_a_model_was_trained_on_its_test_images_is_told(tested: Path, tmp_path: Path) -> None:
    model = pack(tmp_path / "model.tar")
    (tmp_path / "info").mkdir()
    (tmp_path / "info" / "train_set.json").write_text(
        json.dumps([{"dataset_name": "scenes", "item_name": f"scene_00{n}.png"} for n in range(3)])
    )
    assert "was trained on 1 image of the same name" in run(model, tested, "--split", "test").stderr


def test_a_list_and_a_split_exclude_each_other(tested: Path, tmp_path: Path) -> None:
    done = run(pack(tmp_path / "model.tar"), tested, "--split", "test", "--items", "some.json")
    assert done.exit_code == 2 and "exclude each other" in done.stderr
