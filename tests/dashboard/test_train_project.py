"""What the wizard knows of a project: counts, pictures, divisions; and of plugins, through their helpers."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from as_user import PATIENCE, in_a_loop, wait_for
from throwaway import LEARNS, write_plugin

from ravenml.dashboard.train import starting
from ravenml.dashboard.train.dataset_stats import Job, Surveys
from ravenml.dashboard.train.draft import SplitWish
from ravenml.dashboard.train.helper import Helper
from ravenml.dashboard.train.pictures import overlaid, picture
from ravenml.dashboard.train.split_preview import balance, by_itself, divide, unevenness
from ravenml.data.demo import write_demo
from ravenml.data.project import Project
from ravenml.errors import InputError, RavenError


@pytest.fixture(scope="module")
def gardens(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_demo(tmp_path_factory.mktemp("demo") / "gardens", images=12).root


def counted(root: Path) -> Job:
    job = Job(root)
    wait_for(lambda: job.ended)
    assert job.error is None, job.error
    return job


def test_a_project_is_counted_image_by_image_and_remembered(
    gardens: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = counted(gardens)
    assert job.project is not None and job.survey is not None
    row = 5
    annotation = job.project.annotation(job.project.items[row])
    titles = [thing.class_title for thing in annotation.objects]
    assert job.survey.objects[row].tolist() == [titles.count(title) for title in job.project.titles]
    assert job.survey.pixels.sum() < job.survey.sizes.sum() and job.survey.tags == ["train", "val"]
    monkeypatch.setattr(Job, "_count", None)  # counting again would fail
    again = counted(gardens)
    assert again.survey is not None and (again.survey.pixels == job.survey.pixels).all()


def test_a_change_is_noticed_and_a_broken_annotation_told(project: Path) -> None:
    surveys = Surveys()
    job = surveys.of(project)
    wait_for(lambda: job.ended)
    assert surveys.renewed(project) is job
    next((project / "ds" / "ann").glob("*.json")).write_text("{")
    again = surveys.renewed(project)
    assert again is not job and surveys.of(project) is again
    wait_for(lambda: again.ended)
    assert again.survey is not None and len(again.survey.faults) == 1 and (again.survey.sizes == 0).sum() == 1


def test_no_project_is_a_sentence_and_is_tried_again(tmp_path: Path) -> None:
    surveys = Surveys()
    job = surveys.of(tmp_path / "nothing")
    wait_for(lambda: job.ended)
    assert job.error is not None and "does not exist" in job.error
    assert surveys.of(tmp_path / "nothing") is not job


def test_masks_are_laid_over_small_pictures_and_those_are_kept(gardens: Path, home: Path) -> None:
    project = Project.open(gardens)
    item = project.items[0]
    plain, masked = (picture(project, item, 320, masks) for masks in (False, True))
    images = [cv2.imdecode(np.frombuffer(one, np.uint8), cv2.IMREAD_COLOR) for one in (plain, masked)]
    assert images[0].shape == images[1].shape and images[0].shape[1] <= 320 and (images[0] != images[1]).any()
    assert len(list((home / "cache" / "thumbnails").rglob("*.jpg"))) == 2
    assert picture(project, item, 320, True) == masked


def test_colours_cover_what_the_mask_covers_alone() -> None:
    image = np.full((2, 2, 3), 100, np.uint8)
    shown = overlaid(
        image, np.array([[0, 1], [0, 2]], np.uint8), np.array([[200, 0, 0], [0, 200, 0]], np.uint8)
    )
    assert shown.tolist() == [[[100] * 3, [150, 50, 50]], [[100] * 3, [50, 150, 50]]]


def test_tags_are_proposed_where_both_are_used_and_the_balance_is_told(gardens: Path) -> None:
    job = counted(gardens)
    assert job.project is not None and job.survey is not None
    assert by_itself(job.project, job.survey).way == "tags"
    division = divide(job.project, SplitWish(way="datasets", datasets=["spring"]))
    shares = balance(job.project, job.survey, division.splits[0], job.rows)
    assert [share.train + share.val for share in shares] == job.survey.objects.sum(axis=0).tolist()
    none = [shares[0].__class__("pond", "#000000", 0, 3), shares[0].__class__("roof", "#000000", 2, 0)]
    assert unevenness(none) == ["pond has no object to learn from.", "roof has no object to validate with."]


@pytest.mark.parametrize(
    ("wish", "said"),
    [
        (SplitWish(way="datasets"), "Choose at least one dataset"),
        (SplitWish(way="percent", percent=0), "greater than 0"),
        (SplitWish(way="tags", train_tag="val"), "twice"),
        (SplitWish(way="kfold", folds=13), "fewer than 13 folds"),
        (SplitWish(way="kfold", by="("), "not a regular expression"),
    ],
)
def test_a_division_that_cannot_be_is_a_sentence(gardens: Path, wish: SplitWish, said: str) -> None:
    division = divide(Project.open(gardens), wish)
    assert division.splits == [] and said in (division.error or "")


def test_a_helper_that_dies_is_started_again_and_ends_with_us(
    site: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(site))
    deadly = """
    from ravenml.train.settings import TrainSettings
    class Settings(TrainSettings):
        a: int = 1
        def learning_rates(self, steps):
            import os
            os._exit(3) if self.a == 2 else None
            return [self.a] * steps
    """
    write_plugin(site, "deadly", LEARNS, settings=deadly)

    async def talk() -> None:
        helper = Helper("deadly")
        assert [one["name"] for one in (await helper.describe())["fields"]] == ["a"]
        with pytest.raises(RavenError, match="ended unexpectedly"):
            await helper.ask(ask="curve", settings={"a": 2}, steps=2)
        assert (await helper.ask(ask="curve", settings={"a": 5}, steps=2))["rates"] == [5, 5]
        process = helper._process
        assert process is not None and process.stdin is not None
        process.stdin.close()
        assert await asyncio.wait_for(process.wait(), PATIENCE) == 0

    in_a_loop(talk())


def test_an_answer_that_nobody_waits_for_is_not_taken_for_that_of_the_next_question(
    site: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(site))
    slow = """
    from ravenml.train.settings import TrainSettings
    class Settings(TrainSettings):
        a: int = 1
        def learning_rates(self, steps):
            import time
            time.sleep(1 if self.a == 2 else 0)
            return [self.a] * steps
    """
    write_plugin(site, "slow", LEARNS, settings=slow)

    async def talk() -> None:
        helper = Helper("slow")
        await helper.describe()
        asked = asyncio.create_task(helper.ask(ask="curve", settings={"a": 2}, steps=1))
        await asyncio.sleep(0.3)
        asked.cancel()  # the page was left
        with pytest.raises(asyncio.CancelledError):
            await asked
        assert (await helper.ask(ask="curve", settings={"a": 5}, steps=2))["rates"] == [5, 5]
        process = helper._process
        helper.close()
        assert process is not None and await asyncio.wait_for(process.wait(), PATIENCE)

    in_a_loop(talk())


def test_only_a_run_that_looks_for_requests_can_be_paused(home: Path) -> None:
    folder = home / "runs" / "one"
    folder.mkdir(parents=True)
    record = {"id": "one", "attempts": [], "process": {"host": "elsewhere"}}
    (folder / "events.jsonl").write_text("")
    (folder / "run.json").write_text(json.dumps(record))
    with pytest.raises(InputError, match="only be stopped"):
        starting.pause("one")
    (folder / "run.json").write_text(json.dumps(record | {"polls": True}))
    starting.pause("one")
    assert json.loads((folder / "control.json").read_text()) == {"request": "pause"}
