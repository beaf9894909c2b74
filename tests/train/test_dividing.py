"""The split that a config asks for: by chance, by tags, by datasets."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from as_user import Raven
from simple_project import write_simple_project

from ravenml.data.project import Project
from ravenml.errors import InputError
from ravenml.train.config import SplitChoice
from ravenml.train.split_from_config import split_from_config


@pytest.fixture
def two(tmp_path: Path) -> Project:
    """Sixteen images: twelve in the dataset ``ds``, four in ``night``."""
    root = write_simple_project(tmp_path / "two", images=12, val=3)
    other = write_simple_project(tmp_path / "other", images=4, val=1)
    for image in (other / "ds" / "img").iterdir():  # no image is there twice
        image.write_bytes(image.read_bytes() + b"night")
    shutil.move(other / "ds", root / "night")
    return Project.open(root)


def test_percent_by_chance_depends_on_seed_and_names_alone(two: Project) -> None:
    split = split_from_config(two, SplitChoice(percent=25))
    assert (len(split.train), len(split.val)) == (12, 4)
    assert (
        split
        == split_from_config(two, SplitChoice(percent=25))
        != split_from_config(two, SplitChoice(percent=25), seed=1)
    )


def test_tags_and_datasets_divide(two: Project) -> None:
    by_tags = split_from_config(two, SplitChoice(tags=("train", "val")))
    assert (len(by_tags.train), len(by_tags.val)) == (12, 4)
    by_datasets = split_from_config(two, SplitChoice(datasets=["night"]))
    assert {item.dataset for item in by_datasets.val} == {"night"} and len(by_datasets.train) == 12


@pytest.mark.parametrize(
    ("choice", "said"),
    [
        ({"datasets": ["nigth"]}, 'did you mean "night"'),
        ({"datasets": ["ds", "night"]}, "no image is left to learn from"),
        ({"tags": ("train", "evening")}, 'no image is tagged "evening"'),
    ],
)
def test_what_leaves_nothing_is_refused(two: Project, choice: dict[str, list[str]], said: str) -> None:
    with pytest.raises(InputError, match=said):
        split_from_config(two, SplitChoice.model_validate(choice))


def test_a_config_file_says_how_to_split(raven: Raven, learner: Path, project: Path) -> None:
    (raven.cwd / "my.yml").write_text(f"dataset: {project}\nsplit: {{percent: 50}}\n")
    raven.ok("train", "-c", "my.yml", "learner", "train")
    assert json.loads((raven.runs()[0] / "run.json").read_text())["split"] == {"train": 6, "val": 6}
    (raven.cwd / "my.yml").write_text(f"dataset: {project}\nsplit: {{percent: 50, datasets: [ds]}}\n")
    done = raven("train", "-c", "my.yml", "learner", "train")
    assert done.returncode == 2 and "should be one of" in done.stderr
