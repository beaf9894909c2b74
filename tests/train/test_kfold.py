"""k-fold: a process per fold, one run, and a score in which every image counts once."""

from __future__ import annotations

import json
import math
import os
import shutil
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from as_user import PATIENCE, Raven, wait_for
from simple_project import write_simple_project
from throwaway import LEARNS, SETTINGS, write_plugin

from ravenml.errors import RavenError
from ravenml.infer.metrics import segmentation_metrics
from ravenml.runs.events import read_events
from ravenml.train.scores import Scores


def train(raven: Raven, project: Path, *more: str) -> str:
    return raven.ok("train", "--dataset", project, "learner", "train", "--kfold", "--folds", "3", *more)


def summary(folder: Path) -> dict:
    return json.loads((folder / "summary.json").read_text())


def test_each_image_validates_once_and_the_score_is_that_of_the_summed_statistics(
    raven: Raven, learner: Path, project: Path
) -> None:
    shown = train(raven, project)
    (run,) = raven.runs()
    parts = [Scores.load(run / "folds" / str(fold) / "scores.npz") for fold in range(3)]
    items = [item for part in parts for item in part.items]
    assert sorted(items) == sorted(f"ds/meadow{index:02d}.png" for index in range(12))
    total = sum(part.statistics["confusion"].sum(axis=0) for part in parts)
    expected = segmentation_metrics(np.asarray(total), ["__bg__", "thing"])
    out = summary(run)["out_of_fold"]
    assert out == pytest.approx(expected)
    means = [
        segmentation_metrics(p.statistics["confusion"].sum(axis=0), ["__bg__", "thing"])["miou"]
        for p in parts
    ]
    assert not math.isclose(out["miou"], sum(means) / 3)
    assert f"{expected['miou']:.4f}" in next(
        line for line in shown.splitlines() if line.startswith("val/miou ")
    )


def test_mean_and_deviation_are_over_the_folds(raven: Raven, learner: Path, project: Path) -> None:
    train(raven, project)
    (run,) = raven.runs()
    found = summary(run)
    values = [fold["metrics"]["val/miou"] for fold in found["folds"]]
    assert found["mean"]["val/miou"] == pytest.approx(np.mean(values))
    assert found["std"]["val/miou"] == pytest.approx(np.std(values, ddof=1))


def test_each_fold_is_a_run_of_its_own_in_a_process_of_its_own(
    raven: Raven, learner: Path, project: Path
) -> None:
    train(raven, project)
    (run,) = raven.runs()
    records = [json.loads((run / "folds" / str(fold) / "run.json").read_text()) for fold in range(3)]
    assert [record["id"] for record in records] == [f"{run.name}-f{fold}" for fold in range(3)]
    pids = {record["process"]["pid"] for record in records} | {
        json.loads((run / "run.json").read_text())["process"]["pid"]
    }
    assert len(pids) == 4
    for fold in range(3):
        assert "training on 8 images" in (run / "folds" / str(fold) / "console.log").read_text()


def test_the_groups_option_works_on_the_plugins_group_as_well(
    raven: Raven, learner: Path, project: Path
) -> None:
    raven.ok("train", "learner", "--kfold", "train", "--dataset", project, "--folds", "2")
    (run,) = raven.runs()
    assert sorted(path.name for path in (run / "folds").iterdir()) == ["0", "1"]


def test_groups_never_part(raven: Raven, learner: Path, tmp_path: Path) -> None:
    frames = write_simple_project(tmp_path / "frames", images=12, val=0, name="drive{0}_frame.png")
    for index in range(12):  # four drives of three frames
        for kind in ("img", "ann"):
            suffix = ".json" if kind == "ann" else ""
            old = frames / "ds" / kind / f"drive{index}_frame.png{suffix}"
            old.rename(old.with_name(f"drive{index // 3}_{index % 3:04d}.png{suffix}"))
    train(raven, frames, "--fold-by", "^[^_]+")
    (run,) = raven.runs()
    for fold in range(3):
        place = run / "folds" / str(fold) / "info"
        sets = [json.loads((place / f"{name}_set.json").read_text()) for name in ("train", "val")]
        drives = [{one["item_name"].partition("_")[0] for one in items} for items in sets]
        assert drives[0].isdisjoint(drives[1])


def test_random_folds_of_frames_are_warned_of(raven: Raven, learner: Path, tmp_path: Path) -> None:
    frames = write_simple_project(tmp_path / "frames", images=12, val=0, name="drive_{:05d}.png")
    done = raven("train", "--dataset", frames, "learner", "train", "--folds", "2")
    assert done.returncode == 0 and "sequences" in done.stderr and "--fold-by" in done.stderr


def test_folds_side_by_side_share_the_cores(raven: Raven, learner: Path, project: Path) -> None:
    train(raven, project, "--jobs", "2", "--seconds", "1")
    (run,) = raven.runs()
    events = [
        [e.fields for e in read_events(run / "folds" / str(fold) / "events.jsonl")] for fold in range(2)
    ]
    assert events[1][0]["timestamp"] < events[0][-1]["timestamp"]
    assert (run / "folds" / "0" / "threads.txt").read_text() != "free"


TWO_AT_ONCE = (
    SETTINGS
    + """
    def parallel_folds(self, project, folds):
        assert len(project.items) == 12
        return min(folds, 2)
"""
)


@pytest.fixture
def two_at_once(site: Path) -> None:
    """The learner, whose folds are fastest two at a time."""
    write_plugin(site, "learner", LEARNS, settings=TWO_AT_ONCE)


def kfold(run: Path) -> dict[str, Any]:
    record: dict[str, Any] = json.loads((run / "run.json").read_text())["kfold"]
    return record


@pytest.mark.usefixtures("two_at_once")
def test_as_many_folds_are_trained_at_once_as_the_plugin_finds_fastest(raven: Raven, project: Path) -> None:
    said = train(raven, project, "--seconds", "0.5")
    (run,) = raven.runs()
    assert kfold(run)["jobs"] == 2 and "Training 2 folds at a time" in said
    assert (run / "folds" / "0" / "threads.txt").read_text() != "free"


@pytest.mark.usefixtures("two_at_once")
def test_who_names_a_number_of_folds_or_of_threads_is_obeyed(raven: Raven, project: Path) -> None:
    assert "at a time" not in train(raven, project, "--jobs", "1")
    raven.environment["OMP_NUM_THREADS"] = "1"
    assert "at a time" not in train(raven, project)


@pytest.mark.usefixtures("two_at_once")
def test_a_resumed_k_fold_run_trains_as_many_at_once_as_it_began_with(raven: Raven, project: Path) -> None:
    train(raven, project)
    (run,) = raven.runs()
    record = json.loads((run / "run.json").read_text())
    (run / "run.json").write_text(json.dumps({**record, "kfold": {**record["kfold"], "jobs": 1}}))
    shutil.rmtree(run / "folds" / "1")
    raven.ok("train", "learner", "train", "--resume", run.name)
    assert kfold(run) == {"folds": 3, "images": 12, "jobs": 1}
    assert (run / "folds" / "1" / "threads.txt").read_text() == "free"


CHOOSES = LEARNS.replace(
    '    print("training on"',
    """    chosen = train.fold_choices.get("precision") or os.environ.get("FASTEST", "bf16")
    train.keep_choices(precision=chosen)
    print("precision", chosen)
    print("training on\"""",
)


def test_folds_keep_to_what_the_first_one_chose_also_when_resumed_elsewhere(
    raven: Raven, site: Path, project: Path
) -> None:
    write_plugin(site, "learner", CHOOSES, settings=SETTINGS)
    raven.environment |= {"FASTEST": "bf16", "FAIL_FOLD": "2"}
    raven("train", "--dataset", project, "learner", "train", "--folds", "3", "--jobs", "1")
    (run,) = raven.runs()
    assert kfold(run)["choices"] == {"precision": "bf16"}
    shutil.rmtree(run / "folds" / "0")
    raven.environment |= {"FASTEST": "32", "FAIL_FOLD": ""}  # as another machine would choose
    raven.ok("train", "learner", "train", "--resume", run.name)
    for fold in range(3):
        assert "precision 32" not in (run / "folds" / str(fold) / "console.log").read_text()
    assert kfold(run)["choices"] == {"precision": "bf16"}


def test_folds_that_are_trained_in_one_process_keep_to_the_first_ones_choice_too(
    raven: Raven, site: Path, project: Path
) -> None:
    write_plugin(site, "learner", CHOOSES, settings=SETTINGS)
    raven.environment["FASTEST"] = "bf16"
    train(raven, project, "--in-process")
    (run,) = raven.runs()
    assert kfold(run)["choices"] == {"precision": "bf16"}


def test_one_fold_alone_is_an_ordinary_run_with_that_folds_split(
    raven: Raven, learner: Path, project: Path
) -> None:
    train(raven, project)
    raven.ok("train", "--dataset", project, "learner", "train", "--folds", "3", "--fold", "1")
    whole, alone = raven.runs()
    names = ("info/train_set.json", "info/val_set.json")
    assert [(whole / "folds" / "1" / n).read_text() for n in names] == [
        (alone / n).read_text() for n in names
    ]
    assert json.loads((alone / "run.json").read_text())["fold"] == 1


def test_a_fold_beyond_the_last_is_refused(raven: Raven, learner: Path, project: Path) -> None:
    done = raven("train", "--dataset", project, "learner", "train", "--folds", "3", "--fold", "3")
    assert done.returncode == 2 and "counted from 0 to 2" in done.stderr


def test_a_failing_fold_is_reported_the_others_go_on_and_resume_trains_only_what_is_missing(
    raven: Raven, learner: Path, project: Path
) -> None:
    done = raven("train", "--dataset", project, "learner", "train", "--folds", "3", FAIL_FOLD="1")
    assert done.returncode == 1
    assert (
        "1 of 3 folds failed" in done.stderr and "the fold broke" in done.stderr and "--resume" in done.stderr
    )
    assert "There is no out-of-fold score" in done.stdout
    (run,) = raven.runs()
    before = (run / "folds" / "0" / "run.json").read_text()
    assert summary(run)["folds"][2]["status"] == "completed"
    raven.ok("train", "learner", "train", "--resume", run.name[:15])
    assert raven.runs() == [run]
    assert summary(run)["out_of_fold"] is not None
    assert (run / "folds" / "0" / "run.json").read_text() == before


def test_a_fold_killed_in_mid_training_is_reported_and_resumed(
    raven: Raven, learner: Path, project: Path
) -> None:
    parent = raven.start(
        "train",
        "--dataset",
        project,
        "learner",
        "train",
        "--kfold",
        "--folds",
        "2",
        "--seconds",
        "0.6",
        "--epochs",
        "4",
    )
    record = wait_for(
        lambda: next(iter(raven.home.glob("runs/*/folds/0/checkpoints/state_epoch.txt")), None)
    ).parents[1]
    pid = json.loads((record / "run.json").read_text())["process"]["pid"]
    os.kill(pid, signal.SIGKILL)
    out, err = parent.communicate(timeout=60)
    assert parent.returncode == 1 and "ended by signal 9" in out and "1 of 2 folds failed" in err
    (run,) = raven.runs()
    raven.ok("train", "learner", "train", "--resume", run.name)
    fold = json.loads((run / "folds" / "0" / "run.json").read_text())
    assert len(fold["attempts"]) == 2
    assert list(read_events(run / "folds" / "0" / "events.jsonl", "RESUMED"))


def test_ctrl_c_stops_the_folds_and_resume_finishes_them(raven: Raven, learner: Path, project: Path) -> None:
    parent = raven.start(
        "train",
        "--dataset",
        project,
        "learner",
        "train",
        "--kfold",
        "--folds",
        "2",
        "--seconds",
        "1",
        "--epochs",
        "5",
    )
    wait_for(lambda: next(iter(raven.home.glob("runs/*/folds/0/checkpoints/state_epoch.txt")), None))
    parent.send_signal(signal.SIGINT)
    _, err = parent.communicate(timeout=60)
    (run,) = raven.runs()
    assert parent.returncode == 130
    assert f"raven train learner train --resume {run.name}" in err
    assert json.loads((run / "folds" / "0" / "run.json").read_text())["result"]["status"] == "interrupted"
    raven.ok("train", "learner", "train", "--resume", run.name, SECONDS="0")
    assert summary(run)["out_of_fold"] is not None


def test_the_parents_death_ends_its_folds(raven: Raven, learner: Path, project: Path) -> None:
    parent = raven.start(
        "train", "--dataset", project, "learner", "train", "--kfold", "--folds", "2", "--seconds", "20"
    )
    fold = wait_for(
        lambda: next(iter(raven.home.glob("runs/*/folds/0/threads.txt")), None) or running_fold(raven)
    )
    parent.kill()
    parent.communicate(timeout=PATIENCE)
    wait_for(lambda: json.loads((fold / "run.json").read_text())["result"])
    assert json.loads((fold / "run.json").read_text())["result"]["status"] == "interrupted"


def test_in_process_folds_give_the_same_scores(raven: Raven, learner: Path, project: Path) -> None:
    train(raven, project)
    train(raven, project, "--in-process")
    apart, here = (summary(run) for run in raven.runs())
    assert apart["out_of_fold"] == here["out_of_fold"]


def test_without_scores_and_predictor_the_table_says_that_there_is_no_score(
    raven: Raven, learner: Path, project: Path
) -> None:
    assert "There is no out-of-fold score: the plugin returns no scores" in train(
        raven, project, "--without-scores"
    )
    assert summary(raven.runs()[0])["out_of_fold"] is None


def test_without_scores_the_predictor_is_asked_about_images_that_its_model_never_saw(
    raven: Raven, site: Path, project: Path
) -> None:
    predict = """
    import json
    import numpy as np

    class Bright:
        task, classes, input_size = "segmentation", ["__bg__", "thing"], (32, 24)
        def predict(self, images, want="labels"):
            return (images.mean(axis=-1) > 150).astype(np.int64)

    def load(model_dir, device):
        assert (model_dir / "weights.bin").read_bytes() == b"weights"
        return Bright()
    """
    source = LEARNS.replace(
        "        return TrainOutput()\n",
        """
        from ravenml.store.model_state import pack_model
        (run.path / "weights.bin").write_bytes(b"weights")
        pack_model(run.path / "model-state.tar", {"settings": {"plugin": "seer"}}, [run.path / "weights.bin"])
        return TrainOutput()
""",
    )
    write_plugin(
        site,
        "seer",
        source,
        settings=SETTINGS,
        files={"predict.py": predict},
        more_entry_points="[ravenml.plugins.predict]\nseer = ravenml_seer.predict:load",
    )
    raven.ok("train", "--dataset", project, "seer", "train", "--folds", "3", "--without-scores")
    found = summary(raven.runs()[0])
    assert found["out_of_fold_source"] == "predictor" and found["out_of_fold_images"] == 12
    assert found["out_of_fold"]["miou"] == 1.0
    assert len(list((raven.home / "store" / "models").glob("model_*-f?.tar"))) == 3


def test_more_folds_than_images_or_groups_are_refused(raven: Raven, learner: Path, project: Path) -> None:
    for more in (["--folds", "13"], ["--folds", "2", "--fold-by", "dataset"]):
        done = raven("train", "--dataset", project, "learner", "train", *more)
        assert done.returncode == 2 and "Traceback" not in done.stderr, done.stderr
    assert raven.runs() == []


def test_an_image_that_two_folds_scored_is_refused() -> None:
    part = Scores.segmentation(["ds/a.png"], np.ones((1, 2, 2), dtype=np.int64), ["__bg__", "x"])
    with pytest.raises(RavenError, match="scored by more than one fold"):
        Scores.together([part, part])


def running_fold(raven: Raven) -> Path | None:
    found = next(iter(raven.home.glob("runs/*/folds/0/run.json")), None)
    return found.parent if found is not None and "split" in found.read_text() else None
