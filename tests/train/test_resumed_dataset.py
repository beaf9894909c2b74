"""A run that is resumed after its dataset has changed keeps its split, and says so."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from as_user import Raven


@pytest.fixture
def begun(raven: Raven, learner: Path, project: Path) -> Path:
    """A run that failed after it had begun: on the first of five folds of twelve images."""
    done = raven("train", "--dataset", project, "learner", "train", "--fold", "0", FAIL_FOLD="0")
    assert done.returncode == 1, done.stderr
    return raven.runs()[0]


def content(run: Path, name: str) -> Any:
    return json.loads((run / name).read_text())


def add_image(project: Path) -> None:
    for folder, end in (("img", ""), ("ann", ".json")):
        shutil.copy(project / "ds" / folder / f"meadow00.png{end}", project / "ds" / folder / f"new.png{end}")


def test_it_keeps_its_split_and_the_digest_that_it_began_with(
    raven: Raven, project: Path, begun: Path
) -> None:
    before, split = content(begun, "run.json")["dataset"], content(begun, "info/train_set.json")
    add_image(project)
    said = raven("train", "learner", "train", "--resume", begun.name)
    assert said.returncode == 0, said.stderr
    told = "the dataset has changed since this run began (12 images then, 13 now); the run keeps its split"
    assert told in said.stderr
    after = content(begun, "run.json")["dataset"]
    assert {name: after[name] for name in before} == before
    assert after["resumed_with"]["images"] == 13 and after["resumed_with"]["sha256"] != before["sha256"]
    assert content(begun, "info/train_set.json") == split
    for folder, end in (("img", ""), ("ann", ".json")):
        (project / "ds" / folder / f"new.png{end}").unlink()
    assert "has changed" not in raven("train", "learner", "train", "--resume", begun.name).stderr
    assert content(begun, "run.json")["dataset"] == after


def test_nothing_is_said_where_nothing_has_changed(raven: Raven, project: Path, begun: Path) -> None:
    before = content(begun, "run.json")["dataset"]
    assert "has changed" not in raven("train", "learner", "train", "--resume", begun.name).stderr
    assert content(begun, "run.json")["dataset"] == before


def test_images_that_became_test_images_stay_and_are_told(raven: Raven, project: Path, begun: Path) -> None:
    first = content(begun, "info/train_set.json")[0]["item_name"]
    tag_test(project, first)
    said = raven("train", "learner", "train", "--resume", begun.name).stderr
    assert "1 image of this run is tagged `test` by now; the run keeps its split." in said
    assert content(begun, "info/train_set.json")[0]["item_name"] == first


def test_it_cannot_be_split_otherwise(raven: Raven, begun: Path) -> None:
    done = raven("train", "learner", "train", "--resume", begun.name, "--untagged", "ignore")
    assert done.returncode == 2 and f"`untagged` of {begun.name} cannot be changed" in done.stderr


def test_an_image_that_is_gone_is_named(raven: Raven, project: Path, begun: Path) -> None:
    first = content(begun, "info/train_set.json")[0]["item_name"]
    (project / "ds" / "ann" / f"{first}.json").unlink()
    (project / "ds" / "img" / first).unlink()
    done = raven("train", "learner", "train", "--resume", begun.name)
    assert done.returncode == 2 and f"ds/{first} is not in" in done.stderr
    assert "bring back what is gone, or start a new run." in done.stderr and "correct" not in done.stderr


def tag_test(project: Path, name: str) -> None:
    file = project / "ds" / "ann" / f"{name}.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"tags": [{"name": "test"}]}))


def test_a_k_fold_run_keeps_its_test_images_and_tells_of_later_ones(
    raven: Raven, learner: Path, project: Path
) -> None:
    tag_test(project, "meadow00.png")
    words = ("train", "--dataset", project, "learner", "train", "--folds", "2", "--jobs", "1")
    begun = raven(*words, "--untagged", "val", FAIL_FOLD="1")
    assert begun.returncode == 1
    assert begun.stderr.count("`untagged` has no effect, as every image is in a fold.") == 1
    (run,) = raven.runs()
    folds = content(run, "info/folds.json")
    assert folds["test"] == ["ds/meadow00.png"]
    tag_test(project, folds["folds"][0]["val"][0].removeprefix("ds/"))
    said = raven("train", "learner", "train", "--resume", run.name).stderr
    assert "1 image of this run is tagged `test` by now; the run keeps its folds." in said
    assert content(run, "info/folds.json") == folds
    assert content(run / "folds" / "1", "run.json")["split"]["test"] == 1


def test_a_k_fold_run_keeps_its_folds(raven: Raven, learner: Path, project: Path) -> None:
    words = ("train", "--dataset", project, "learner", "train", "--folds", "2", "--jobs", "1")
    assert raven(*words, FAIL_FOLD="1").returncode == 1
    (run,) = raven.runs()
    folds, before = content(run, "info/folds.json"), content(run, "run.json")["dataset"]
    add_image(project)
    said = raven("train", "learner", "train", "--resume", run.name)
    assert said.returncode == 0 and "(12 images then, 13 now); the run keeps its folds" in said.stderr
    assert content(run, "info/folds.json") == folds
    assert content(run, "run.json")["dataset"]["sha256"] == before["sha256"]
