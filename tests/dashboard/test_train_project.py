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

from ravenml.dashboard.train import launch
from ravenml.dashboard.train.dataset_stats import StatsJob, StatsJobs
from ravenml.dashboard.train.draft import SplitOptions
from ravenml.dashboard.train.helper import Helper
from ravenml.dashboard.train.pictures import make_thumbnail
from ravenml.dashboard.train.split_preview import class_balance, find_imbalance, preview_split, propose_split
from ravenml.data.demo import write_demo
from ravenml.data.masks import overlay_masks
from ravenml.data.project import Project
from ravenml.errors import InputError, RavenError


@pytest.fixture(scope="module")
def gardens(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_demo(tmp_path_factory.mktemp("demo") / "gardens", images=12).root


def counted(root: Path) -> StatsJob:
    job = StatsJob(root)
    wait_for(lambda: job.ended)
    assert job.error is None, job.error
    return job


def test_a_project_is_counted_image_by_image_and_remembered(
    gardens: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = counted(gardens)
    assert job.project is not None and job.stats is not None
    row = 5
    annotation = job.project.annotation(job.project.items[row])
    titles = [thing.class_title for thing in annotation.objects]
    assert job.stats.objects[row].tolist() == [titles.count(title) for title in job.project.titles]
    assert job.stats.pixels.sum() < job.stats.sizes.sum() and job.stats.tags == ["train", "val"]
    monkeypatch.setattr(StatsJob, "_count", None)  # counting again would fail
    again = counted(gardens)
    assert again.stats is not None and (again.stats.pixels == job.stats.pixels).all()


def test_a_change_is_noticed_and_a_broken_annotation_told(project: Path) -> None:
    stats_jobs = StatsJobs()
    job = stats_jobs.get(project)
    wait_for(lambda: job.ended)
    assert stats_jobs.refresh(project) is job
    next((project / "ds" / "ann").glob("*.json")).write_text("{")
    again = stats_jobs.refresh(project)
    assert again is not job and stats_jobs.get(project) is again
    wait_for(lambda: again.ended)
    assert again.stats is not None and len(again.stats.faults) == 1 and (again.stats.sizes == 0).sum() == 1


def test_no_project_is_a_sentence_and_is_tried_again(tmp_path: Path) -> None:
    stats_jobs = StatsJobs()
    job = stats_jobs.get(tmp_path / "nothing")
    wait_for(lambda: job.ended)
    assert job.error is not None and "does not exist" in job.error
    assert stats_jobs.get(tmp_path / "nothing") is not job


def test_masks_are_laid_over_small_pictures_and_those_are_kept(gardens: Path, home: Path) -> None:
    project = Project.open(gardens)
    item = project.items[0]
    plain, masked = (make_thumbnail(project, item, 320, masks) for masks in (False, True))
    images = [cv2.imdecode(np.frombuffer(one, np.uint8), cv2.IMREAD_COLOR) for one in (plain, masked)]
    assert images[0].shape == images[1].shape and images[0].shape[1] <= 320 and (images[0] != images[1]).any()
    assert len(list((home / "cache" / "thumbnails").rglob("*.jpg"))) == 2
    assert make_thumbnail(project, item, 320, True) == masked


def test_colours_cover_what_the_mask_covers_alone() -> None:
    image = np.full((2, 2, 3), 100, np.uint8)
    shown = overlay_masks(
        image, np.array([[0, 1], [0, 2]], np.uint8), np.array([[200, 0, 0], [0, 200, 0]], np.uint8)
    )
    assert shown.tolist() == [[[100] * 3, [150, 50, 50]], [[100] * 3, [50, 150, 50]]]


def test_tags_are_proposed_where_both_are_used_and_the_balance_is_told(gardens: Path) -> None:
    job = counted(gardens)
    assert job.project is not None and job.stats is not None
    assert propose_split(job.project, job.stats).way == "tags"
    assert propose_split(job.project, job.stats, untagged="val").untagged == "val"
    split_preview = preview_split(job.project, SplitOptions(way="datasets", datasets=["spring"]))
    shares = class_balance(job.project, job.stats, split_preview.splits[0], job.rows)
    assert [share.train + share.val for share in shares] == job.stats.objects.sum(axis=0).tolist()
    none = [shares[0].__class__("pond", "#000000", 0, 3), shares[0].__class__("roof", "#000000", 2, 0)]
    assert find_imbalance(none) == [
        "pond has no training objects.",
        "roof has no validation objects.",
    ]


@pytest.mark.parametrize(
    ("wish", "said"),
    [
        (SplitOptions(way="datasets"), "Choose at least one validation dataset"),
        (SplitOptions(way="percent", percent=0), "greater than 0"),
        (SplitOptions(way="tags", train_tag="val"), "twice"),
        (SplitOptions(way="kfold", folds=13), "fewer than 13 folds"),
        (SplitOptions(way="kfold", by="("), "not a regular expression"),
    ],
)
def test_a_division_that_cannot_be_is_a_sentence(gardens: Path, wish: SplitOptions, said: str) -> None:
    split_preview = preview_split(Project.open(gardens), wish)
    assert split_preview.splits == [] and said in (split_preview.error or "")


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
    with pytest.raises(InputError, match="cannot be paused; stop it instead"):
        launch.pause("one")
    (folder / "run.json").write_text(json.dumps(record | {"polls": True}))
    launch.pause("one")
    assert json.loads((folder / "control.json").read_text()) == {"request": "pause"}
