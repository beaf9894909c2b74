"""Doing a recorded run once more: code, data and environment brought back, metric by metric compared."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from as_user import ROOT, Raven
from many_runs import events_of, write_run

from ravenml.data.cache import DecodedCache
from ravenml.data.project import Project
from ravenml.errors import InputError
from ravenml.runs.record import read_record
from ravenml.runs.reproduce.agreement import agreement, summary
from ravenml.runs.reproduce.checkout import check_out
from ravenml.runs.reproduce.repeat import reproduce
from ravenml.runs.run import Run


def git(folder: Path, *arguments: str) -> str:
    identity = ["-c", "user.name=A", "-c", "user.email=a@b", "-c", "init.defaultBranch=main"]
    done = subprocess.run(
        ["git", *identity, *arguments], cwd=folder, capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


SCRIPT = """
import json, sys
import helper
for step in range(1, 4):
    value = helper.FACTOR * step
    print(json.dumps({"message": "metrics", "event_type": "EventType.METRICS", "type": "val",
                      "step": step, "epoch": step, "metrics": {"miou": value}}), flush=True)
"""


@pytest.fixture
def checkout(raven: Raven) -> Path:
    """A script in a git checkout, with an uncommitted change and a file that git does not know."""
    folder = raven.cwd / "theirs"
    folder.mkdir()
    git(folder, "init", "-q")
    (folder / "train.py").write_text(SCRIPT)
    (folder / "helper.py").write_text("FACTOR = 0.1\n")
    git(folder, "add", ".")
    git(folder, "commit", "-qm", "first")
    (folder / "helper.py").write_text("FACTOR = 0.25\n")
    (folder / "notes.txt").write_text("not known to git")
    raven.cwd = folder
    return folder


def report(raven: Raven, *arguments: str | Path, code: int = 0) -> dict:
    done = raven("runs", "reproduce", "--here", "--json", *arguments)
    assert done.returncode == code, done.stdout + done.stderr
    found: dict = json.loads(done.stdout)
    return found


# The whole way, in the environment that is there.


def test_a_training_comes_out_the_same_to_the_last_bit(
    raven: Raven, learner: Path, project: Path, tmp_path: Path
) -> None:
    raven.ok(
        "train", "--dataset", project, "--local", str(tmp_path / "out"), "learner", "train", "--folds", "2"
    )
    (run,) = raven.runs()
    done = raven("runs", "reproduce", run.name, "--here")
    assert done.returncode == 0, done.stderr
    folder = raven.cwd / f"reproduce-{run.name}"
    found = json.loads((folder / "report.json").read_text())
    assert found["agrees"] and {one["verdict"] for one in found["verdicts"]} == {"identical"}
    assert {"val/miou", "fold 0: val/miou", "fold 1: train/loss"} <= {
        one["name"] for one in found["verdicts"]
    }
    assert "12 images, verified by SHA-256" in done.stdout and "identical" in done.stdout.splitlines()[-2]
    assert len(raven.runs()) == 1, "the user's home has no run more"
    again = read_record(Path(found["again"]))
    assert again["folder"] == str(raven.cwd) and again["config"]["artifact_path"] is None


def test_a_program_is_repeated_at_its_commit_with_its_changes(
    raven: Raven, checkout: Path, tmp_path: Path
) -> None:
    raven.ok("run", "--", sys.executable, "train.py")
    (run,) = raven.runs()
    git(checkout, "commit", "-qam", "the change, and the next one")
    (checkout / "helper.py").write_text("FACTOR = 99\n")
    found = report(raven, run.name, "--into", tmp_path / "again")
    assert (tmp_path / "again/code/working_folder/helper.py").read_text() == "FACTOR = 0.25\n"
    assert found["verdicts"] == [{"name": "val/miou", "before": 0.75, "after": 0.75, "verdict": "identical"}]
    assert any("with its uncommitted changes" in one for one in found["restored"])
    assert any("taken as they are today: notes.txt" in one for one in found["missing"])


def test_what_has_become_different_is_said_and_is_the_exit_code(
    raven: Raven, checkout: Path, tmp_path: Path
) -> None:
    (checkout / "noise.py").write_text("FACTOR = 0.25\n")  # not known to git, and so not recorded
    (checkout / "train.py").write_text(SCRIPT.replace("helper", "noise"))
    raven.ok("run", "--", sys.executable, "train.py")
    for factor, verdict, code in (("0.251", "close", 0), ("0.3", "different", 1)):
        (checkout / "noise.py").write_text(f"FACTOR = {factor}\n")
        found = report(raven, raven.runs()[0].name, "--into", tmp_path / factor, code=code)
        assert [one["verdict"] for one in found["verdicts"]] == [verdict]
        assert found["agrees"] == (code == 0)


def test_other_data_are_refused_unless_that_is_meant(
    raven: Raven, learner: Path, project: Path, tmp_path: Path
) -> None:
    raven.ok("train", "--dataset", project, "learner", "train", "--epochs", "1")
    run = raven.runs()[0].name
    shutil.copytree(project, tmp_path / "kept")
    annotation = next((project / "ds/ann").iterdir())
    annotation.write_text(annotation.read_text().replace('"value"', '"value" ') + "\n")
    done = raven("runs", "reproduce", run, "--here")
    assert (
        done.returncode == 2
        and "its content has another SHA-256; --dataset DIR names the right one" in done.stderr
    )
    assert not (raven.cwd / f"reproduce-{run}").exists()
    found = report(raven, run, "--into", tmp_path / "a", "--dataset", tmp_path / "kept")
    assert any("verified by SHA-256" in one for one in found["restored"])
    found = report(raven, run, "--into", tmp_path / "b", "--anyway")
    assert any("has another SHA-256" in one for one in found["missing"])
    shutil.rmtree(project)
    gone = raven("runs", "reproduce", run, "--here")
    assert gone.returncode == 2 and 'No folder or dataset is called "project"' in gone.stderr


def test_what_cannot_be_repeated_is_refused_before_anything_is_made(
    home: Path, raven: Raven, learner: Path, project: Path, tmp_path: Path
) -> None:
    name = "20260101-000000-aaaaaa"
    run = Run.begin(home / "runs" / name, name, {"plugin": "x"})
    with pytest.raises(InputError, match="is still running"):
        reproduce(run.path, tmp_path / "x")
    run.finish("completed")
    with pytest.raises(InputError, match=r"has no checkpoints/train_args\.json"):
        reproduce(run.path, tmp_path / "x")
    assert not (tmp_path / "x").exists()
    with pytest.raises(InputError, match="is not empty; name another folder"):
        reproduce(run.path, tmp_path)
    raven.ok("train", "--dataset", project, "learner", "train", "--epochs", "1", "--api-token", "hush")
    done = raven("runs", "reproduce", "--here", max(raven.runs()).name)
    assert done.returncode == 2 and "give it again with --set api_token=VALUE" in done.stderr
    found = report(raven, max(raven.runs()).name, "--set", "api_token=hush")
    assert found["agrees"]


# Verdicts.


def test_metrics_are_identical_close_different_or_missing(home: Path) -> None:
    finals = {"val/a": 0.5, "val/b": 0.5, "val/c": 0.5, "val/d": 0.5, "val/e": 0.5, "val/n": "NaN"}
    first = write_run(home, "20260101-000000-aaaaaa", metrics=finals)
    events_of(first, {"val/a": [0.1, 0.5], "val/e": [0.1, 0.5]})
    second = write_run(home, "20260102-000000-bbbbbb",
                       metrics={**finals, "val/b": 0.504, "val/c": 0.51, "val/d": None})  # fmt: skip
    events_of(second, {"val/a": [0.1, 0.5], "val/e": [0.2, 0.5]})
    found = {one.name: one.verdict for one in agreement(first, second)}
    assert found == {
        **{"val/a": "identical", "val/b": "close", "val/c": "different"},
        **{"val/d": "missing", "val/e": "close", "val/n": "identical"},
    }
    assert summary(agreement(first, second)) == "6 metrics: 2 identical, 2 close, 1 different, 1 missing."


# Code.


def record_of(checkout: Path, home: Path) -> tuple[Path, dict]:
    from ravenml.runs.provenance import code

    run = home / "runs" / "r"
    run.mkdir(parents=True)
    return run, {"provenance": {"code": code({"working folder": checkout}, run / "provenance")}}


def test_a_commit_that_no_branch_has_any_more_is_found(checkout: Path, home: Path, tmp_path: Path) -> None:
    run, record = record_of(checkout, home)
    git(checkout, "commit", "-qa", "--amend", "-m", "another")
    done = check_out(run, record, tmp_path / "code")
    assert (done.places["working folder"] / "helper.py").read_text() == "FACTOR = 0.25\n"


def test_a_checkout_that_is_gone_is_fetched_from_where_it_came_from(
    checkout: Path, home: Path, tmp_path: Path
) -> None:
    git(tmp_path, "clone", "-q", str(checkout), "mine")
    run, record = record_of(tmp_path / "mine", home)
    shutil.rmtree(tmp_path / "mine")
    done = check_out(run, record, tmp_path / "code")
    assert (done.places["working folder"] / "helper.py").read_text() == "FACTOR = 0.1\n"
    shutil.rmtree(checkout)
    done = check_out(run, record, tmp_path / "again")
    assert not done.roots and "the working folder's code at" in done.missing[0]


def test_a_diff_that_was_too_large_to_be_recorded_is_named(
    checkout: Path, home: Path, tmp_path: Path
) -> None:
    (checkout / "helper.py").write_text("FACTOR = 0.1\n" + "# x\n" * 400_000)
    done = check_out(*record_of(checkout, home), tmp_path / "code")
    assert any("its uncommitted changes (not recorded: its" in one for one in done.missing)


def test_a_binary_change_in_a_subfolder_comes_back(checkout: Path, home: Path, tmp_path: Path) -> None:
    (checkout / "deep").mkdir()
    (checkout / "deep" / "weights.bin").write_bytes(bytes(range(256)))
    git(checkout, "add", ".")
    run, record = record_of(checkout / "deep", home)
    done = check_out(run, record, tmp_path / "code")
    assert (done.places["working folder"] / "weights.bin").read_bytes() == bytes(range(256))


# Data.


def test_a_datasets_digest_follows_its_content_and_nothing_else(project: Path, tmp_path: Path) -> None:
    def digest(folder: Path) -> str:
        return DecodedCache(tmp_path / "cache", 10**8).digest(Project.open(folder), 2)

    first = digest(project)
    shutil.copytree(project, tmp_path / "copy")
    assert digest(tmp_path / "copy") == first == digest(project)
    image = next((project / "ds/img").iterdir())
    content = bytearray(image.read_bytes())
    content[-20] ^= 1
    image.write_bytes(bytes(content))
    assert digest(project) != first
    images = sorted((tmp_path / "copy/ds/img").iterdir())
    for kind in ("img", "ann"):
        suffix = ".json" if kind == "ann" else ""
        place = tmp_path / "copy/ds" / kind
        (place / f"{images[0].name}{suffix}").rename(place / f"renamed.png{suffix}")
    assert digest(tmp_path / "copy") != first


def test_verifying_reads_what_size_and_time_do_not_tell(project: Path, tmp_path: Path) -> None:
    for path in project.rglob("*.*"):
        os.utime(path, (10**9, 10**9))
    cache = DecodedCache(tmp_path / "cache", 10**8)
    first = cache.digest(Project.open(project), 2)
    image = next((project / "ds/img").iterdir())
    content = bytearray(image.read_bytes())
    content[-20] ^= 1
    image.write_bytes(bytes(content))
    os.utime(image, (10**9, 10**9))
    assert cache.digest(Project.open(project), 2) == first
    assert cache.digest(Project.open(project), 2, anew=True) != first


# The environment.


@pytest.mark.slow
def test_an_environment_is_made_with_the_recorded_versions(
    raven: Raven, project: Path, tmp_path: Path
) -> None:
    """A plugin in a checkout and an environment of its own, with a version that is not the newest."""
    from throwaway import LEARNS, SETTINGS

    plugin = tmp_path / "plugin"
    (plugin / "ravenml_tiny").mkdir(parents=True)
    (plugin / "ravenml_tiny/__init__.py").write_text("")
    (plugin / "ravenml_tiny/core.py").write_text(LEARNS)
    (plugin / "ravenml_tiny/settings.py").write_text(SETTINGS)
    (plugin / "setup.py").write_text(
        "from setuptools import setup\n"
        "setup(name='ravenml-tiny', version='0.3', packages=['ravenml_tiny'],\n"
        "      install_requires=['colorama'],\n"
        "      entry_points={'ravenml.plugins.train': ['tiny = ravenml_tiny.core:my_plugin'],\n"
        "                    'ravenml.plugins.settings': ['tiny = ravenml_tiny.settings:Settings']})\n"
    )
    git(plugin, "init", "-q")
    git(plugin, "add", ".")
    git(plugin, "commit", "-qm", "first")
    python = tmp_path / "first/bin/python"
    subprocess.run([sys.executable, "-m", "venv", python.parent.parent], check=True)
    install = [python, "-m", "pip", "install", "-qq", "-c", ROOT / "plugins/constraints.txt"]
    subprocess.run([*install, "-e", ROOT, "-e", plugin, "colorama==0.4.5"], check=True)
    environment = raven.env(PYTHONPATH="")
    trained = [python, "-P", "-m", "ravenml", "train", "--dataset", project, "tiny", "train", "--folds", "2"]
    subprocess.run(trained, env=environment, cwd=raven.cwd, check=True)
    (run,) = raven.runs()
    command = [
        python,
        "-P",
        "-m",
        "ravenml",
        "runs",
        "reproduce",
        run.name,
        "--json",
        "--into",
        tmp_path / "again",
    ]
    done = subprocess.run(command, env=environment, cwd=raven.cwd, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads(done.stdout)
    assert {one["verdict"] for one in found["verdicts"]} == {"identical"}
    again = read_record(Path(found["again"]))
    assert again["provenance"]["executable"] == str(tmp_path / "again/environment/bin/python")
    assert again["provenance"]["packages"]["colorama"] == "0.4.5"
    assert not any("versions of" in one for one in found["missing"]), found["missing"]
