"""A training's folder: made at its first use, sealed whatever ends it, stored where it was asked to be."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
import uuid
from pathlib import Path

import pytest
from as_user import PATIENCE, Raven, wait_for
from throwaway import GROUP, write_plugin

from ravenml.runs.events import read_events
from ravenml.runs.record import read_record, status


def train(raven: Raven, project: Path, *more: str, **env: str) -> subprocess.CompletedProcess[str]:
    return raven("train", "--dataset", project, "learner", "train", *more, **env)


def test_a_training_ends_with_its_model_metadata_split_settings_and_events(
    raven: Raven, learner: Path, project: Path
) -> None:
    done = train(raven, project)
    assert done.returncode == 0
    (run,) = raven.runs()
    record = read_record(run)
    assert record["result"]["status"] == status(run, record) == "completed"
    assert record["split"] == {"train": 9, "val": 3}
    assert record["plugin_version"] == "1.2" and record["dataset"]["images"] == 12
    assert {"python", "packages", "machine", "code"} <= record["provenance"].keys()
    assert record["provenance"]["packages"]["numpy"]
    kinds = [event.type for event in read_events(run / "events.jsonl")]
    assert kinds[0] == "TASK_STARTED" and kinds[-1] == "TASK_FINISHED" and kinds.count("METRICS") == 4
    assert "training on 9 images" in (run / "console.log").read_text()
    stored = json.loads(Path(record["result"]["stored"]).read_text())
    assert stored["plugin_metadata"] == {"note": "learned"}
    assert stored["metrics"]["val/miou"] == record["result"]["metrics"]["val/miou"]


def test_piped_a_plain_line_per_epoch_is_printed(raven: Raven, learner: Path, project: Path) -> None:
    lines = [
        line
        for line in train(raven, project, "--epochs", "3").stdout.splitlines()
        if line.startswith("epoch")
    ]
    assert [line.split()[1] for line in lines] == ["1/3", "2/3", "3/3"]
    assert "val/miou 0.3000" in lines[2]


def test_a_failing_plugin_is_sealed_as_failed_and_its_traceback_is_in_the_log(
    raven: Raven, site: Path, project: Path
) -> None:
    source = GROUP + "\n@my_plugin.command()\n@pass_train\ndef train(train):\n    train.run\n    1 / 0\n"
    write_plugin(site, "breaks", source)
    done = raven("train", "--dataset", project, "breaks", "train")
    assert done.returncode == 1
    assert (
        "The plugin 'breaks' failed with ZeroDivisionError" in done.stderr and "Traceback" not in done.stderr
    )
    (run,) = raven.runs()
    assert read_record(run)["result"]["status"] == "failed"
    assert "1 / 0" in (run / "console.log").read_text()


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
@pytest.mark.parametrize("polite", [True, False])
def test_an_interrupted_run_is_marked_keeps_its_checkpoint_and_says_how_to_go_on(
    raven: Raven, learner: Path, project: Path, number: signal.Signals, code: int, polite: bool
) -> None:
    arguments = ["--epochs", "20", "--seconds", "0.3", "--polite" if polite else "--no-polite"]
    process = raven.start("train", "--dataset", project, "learner", "train", *arguments)
    wait_for_checkpoint(raven)
    process.send_signal(number)
    _, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == code
    (run,) = raven.runs()
    assert read_record(run)["result"]["status"] == "interrupted"
    assert "state_epoch.txt" in err and f"raven train learner train --resume {run.name}" in err
    raven.ok("train", "learner", "train", "--resume", run.name, "--seconds", "0", "--epochs", "8")
    assert raven.runs() == [run]
    record = read_record(run)
    assert record["result"]["status"] == "completed" and len(record["attempts"]) == 2


def test_the_second_ctrl_c_ends_a_plugin_that_asks_but_does_not_stop(
    raven: Raven, learner: Path, project: Path
) -> None:
    process = raven.start("train", "--dataset", project, "learner", "train", "--seconds", "60", "--stubborn")
    wait_for(lambda: next(iter(raven.home.glob("runs/*/events.jsonl")), None))
    time.sleep(0.5)
    for _ in range(2):
        process.send_signal(signal.SIGINT)
        time.sleep(0.5)
    process.communicate(timeout=PATIENCE)
    assert process.returncode == 130


def test_a_killed_run_is_lost_and_can_be_resumed(raven: Raven, learner: Path, project: Path) -> None:
    process = raven.start(
        "train", "--dataset", project, "learner", "train", "--epochs", "9", "--seconds", "0.3"
    )
    wait_for_checkpoint(raven)
    (run,) = raven.runs()
    assert status(run, read_record(run)) == "running"
    refused = raven("train", "learner", "train", "--resume", run.name)
    assert refused.returncode == 2 and "still running" in refused.stderr
    process.kill()
    process.communicate(timeout=PATIENCE)
    assert status(run, read_record(run)) == "lost"
    raven.ok("train", "learner", "train", "--resume", run.name, "--seconds", "0")
    (resumed,) = read_events(run / "events.jsonl", "RESUMED")
    assert resumed.step is not None and resumed.step >= 1 and resumed.attempt == 2


def test_a_request_in_control_json_stops_a_polite_plugin(raven: Raven, learner: Path, project: Path) -> None:
    process = raven.start(
        "train", "--dataset", project, "learner", "train", "--epochs", "50", "--seconds", "0.5"
    )
    run = wait_for_checkpoint(raven)
    (run / "control.json").write_text('{"request": "stop"}')
    process.communicate(timeout=PATIENCE)
    assert process.returncode == 130
    assert read_record(run)["result"]["reason"] == "a request to stop"


def test_local_stores_in_the_named_folder_alone(raven: Raven, learner: Path, project: Path) -> None:
    assert train(raven, project, "--local", "out").returncode == 0
    assert json.loads((raven.cwd / "out" / "metadata.json").read_text())["plugin"] == "learner"
    assert (raven.cwd / "out" / "events.jsonl").exists()
    assert not (raven.home / "store").exists()


def test_local_refuses_a_folder_that_is_not_empty_before_training(
    raven: Raven, learner: Path, project: Path
) -> None:
    (raven.cwd / "out").mkdir()
    (raven.cwd / "out" / "mine.txt").write_text("mine")
    done = train(raven, project, "--local", "out")
    assert done.returncode == 2 and "is not empty" in done.stderr
    assert raven.runs() == []
    (raven.cwd / "out" / "mine.txt").rename(raven.cwd / "out" / ".1234-5.tmp")  # as a kill may leave one
    assert train(raven, project, "--local", "out").returncode == 0


def test_overwrite_local_replaces_what_we_wrote_and_never_the_users_files(
    raven: Raven, learner: Path, project: Path
) -> None:
    (raven.cwd / "train.yaml").write_text(f"dataset: {project}\nartifact_path: out\noverwrite_local: true\n")
    out = raven.cwd / "out"
    raven.ok("train", "-c", "train.yaml", "learner", "train")
    first = (out / "metadata.json").read_text()
    (out / "mine.txt").write_text("mine")
    raven.ok("train", "-c", "train.yaml", "learner", "train")
    assert (out / "metadata.json").read_text() != first
    assert (out / "mine.txt").read_text() == "mine"
    (out / "metadata.json").write_text("now it is mine")
    runs = raven.runs()
    done = raven("train", "-c", "train.yaml", "learner", "train")
    assert done.returncode == 2 and "metadata.json was not written by ravenML" in done.stderr
    assert (out / "metadata.json").read_text() == "now it is mine"
    assert raven.runs() == runs  # refused before anything was trained


def test_secrets_are_written_nowhere(raven: Raven, learner: Path, project: Path) -> None:
    secret = f"hunter{uuid.uuid4().hex}"  # not in a source file, which this checkout's diff might show
    (raven.cwd / "train.yaml").write_text(f"dataset: {project}\nplugin: {{api_token: {secret}}}\n")
    raven.ok("train", "-c", "train.yaml", "learner", "train")
    raven.ok("train", "--dataset", project, "learner", "train", "--api-token", secret, "--folds", "2")
    for path in (raven.home / "runs").rglob("*"):
        if path.is_file():
            assert secret.encode() not in path.read_bytes(), path


def test_a_full_disk_gets_a_sentence_and_the_run_is_not_lost(raven: Raven, site: Path, project: Path) -> None:
    source = GROUP + (
        "\n@my_plugin.command()\n@pass_train\ndef train(train):\n    run = train.run\n"
        "    import errno, os\n    full = errno.ENOSPC\n"
        "    raise OSError(full, os.strerror(full), str(run.path / 'big.bin'))\n"
    )
    write_plugin(site, "fills", source)
    done = raven("train", "--dataset", project, "fills", "train")
    assert done.returncode == 1 and "big.bin: the disk is full; free some space" in done.stderr
    assert read_record(raven.runs()[0])["result"]["status"] == "failed"


def test_a_home_that_may_not_be_written_gets_a_sentence(raven: Raven, learner: Path, project: Path) -> None:
    raven.home.write_text("a file stands where the folder should be")
    done = train(raven, project)
    assert done.returncode in (1, 2) and str(raven.home) in done.stderr and "Traceback" not in done.stderr


def test_the_diff_of_the_working_folder_is_recorded_without_secret_files(
    raven: Raven, learner: Path, project: Path
) -> None:
    def git(*arguments: str) -> None:
        subprocess.run(
            ["git", "-c", "user.name=t", "-c", "user.email=t@example.org", *arguments],
            cwd=raven.cwd, check=True, capture_output=True,
        )  # fmt: skip

    git("init", "-q")
    for name in ("code.py", ".env.local", "server.pem", "id_rsa"):
        (raven.cwd / name).write_text("before\n")
    git("add", "-A")
    git("commit", "-qm", "first")
    for name in ("code.py", ".env.local", "server.pem", "id_rsa"):
        (raven.cwd / name).write_text("after\naws_secret_access_key = 'abc/123'\n")
    assert train(raven, project).returncode == 0
    (run,) = raven.runs()
    code = read_record(run)["provenance"]["code"]["working folder"]
    diff = (run / code["diff"]).read_text()
    assert len(code["commit"]) == 40 and "+after" in diff
    assert "abc/123" not in diff and not any(name in diff for name in (".env", "pem", "id_rsa"))


def test_a_diff_over_the_limit_is_named_and_not_recorded(raven: Raven, learner: Path, project: Path) -> None:
    environment = {**os.environ, "GIT_AUTHOR_NAME": "t", "GIT_AUTHOR_EMAIL": "t@example.org"}
    environment |= {"GIT_COMMITTER_NAME": "t", "GIT_COMMITTER_EMAIL": "t@example.org"}
    for arguments in (["init", "-q"], ["commit", "-qm", "empty", "--allow-empty"]):
        subprocess.run(["git", *arguments], cwd=raven.cwd, check=True, env=environment, capture_output=True)
    (raven.cwd / "big.txt").write_text("a line of text\n" * 100_000)
    subprocess.run(["git", "add", "big.txt"], cwd=raven.cwd, check=True)
    assert train(raven, project).returncode == 0
    code = read_record(raven.runs()[0])["provenance"]["code"]["working folder"]
    assert "over the limit of 1,048,576" in code["diff"]


def wait_for_checkpoint(raven: Raven) -> Path:
    return wait_for(lambda: next(iter(raven.home.glob("runs/*/checkpoints/state_epoch.txt")), None)).parents[
        1
    ]


def test_a_name_stands_in_the_records_of_the_run_and_its_folds_and_in_the_stored_model(
    raven: Raven, learner: Path, project: Path
) -> None:
    options = ["--name", "baseline", "--dataset", project, "learner", "train", "--folds", "2", "--jobs", "1"]
    raven.ok("train", *options)
    (run,) = raven.runs()
    assert read_record(run)["name"] == "baseline"
    assert read_record(run / "folds" / "1")["name"] == "baseline, fold 1"
    assert json.loads(Path(read_record(run)["result"]["stored"]).read_text())["name"] == "baseline"
    assert f"{run.name} (baseline)" in raven.ok("models", "list")
