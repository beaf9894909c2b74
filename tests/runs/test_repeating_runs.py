"""Going on with runs, starting ones like them, stopping and watching them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from as_user import PATIENCE, Raven, wait_for
from many_runs import write_run

from ravenml.errors import InputError
from ravenml.runs.follow import LogReader, read_logs
from ravenml.runs.record import read_record, status
from ravenml.runs.replay import OPTION_VARIABLES, replay_clone, replay_resume
from ravenml.train.options import core_options

NAME = "20260101-000000-aaaaaa"


def record_of(run: Path) -> dict:
    return read_record(run)


def config_of(run: Path) -> dict:
    return json.loads((run / "checkpoints" / "train_args.json").read_text())


def newest(raven: Raven) -> Path:
    return max(raven.runs(), key=lambda run: read_record(run)["created"])


def all_text(run: Path) -> str:
    return "".join(path.read_text() for path in run.rglob("*.json*"))


# Cloning trainings.


def test_a_clone_has_the_whole_config_of_the_first_but_for_what_is_set(
    raven: Raven, learner: Path, project: Path, tmp_path: Path
) -> None:
    file = raven.cwd / "mine.yml"
    file.write_text("metadata: {created_by: Ada}\nplugin: {optimizer: adam, input_size: {width: 32}}\n")
    raven.ok(
        *("train", "-c", "mine.yml", "--dataset", os.path.relpath(project, raven.cwd)),
        *("--local", str(tmp_path / "out"), "learner", "train", "--lr", "0.5", "--epochs", "1"),
    )
    (first,) = raven.runs()
    file.write_text("plugin: {optimizer: sgd}\n")  # what the file says today does not matter
    out = raven("runs", "clone", NAME[:2], "--set", "lr=0.25", "--set", "input_size.height=20",
                "--set", "classes=thing", RAVENML_LEARNER_EPOCHS="7", RAVENML_DATASET="nowhere")  # fmt: skip
    assert out.returncode == 0, out.stderr
    again = newest(raven)
    config = config_of(first)
    config["artifact_path"] = None
    config["plugin"] |= {"lr": 0.25, "input_size": {"width": 32, "height": 20}, "classes": ["thing"]}
    assert config_of(again) == config
    assert record_of(again)["origin"] == {
        "clone_of": first.name,
        "set": {"artifact_path": "null", "lr": "0.25", "input_size.height": "20", "classes": "thing"},
    }
    assert f"Clone of:    {first.name}" in raven.ok("runs", "show", again.name)
    # A clone of the clone keeps what was set, and its own changes win.
    raven.ok("runs", "clone", again.name, "--set", "lr=0.125")
    config["plugin"]["lr"] = 0.125
    assert config_of(newest(raven)) == config


def test_a_clone_of_a_k_fold_run_trains_the_same_folds(raven: Raven, learner: Path, project: Path) -> None:
    raven.ok("train", "--dataset", project, "learner", "train", "--folds", "3", "--fold-seed", "5")
    (first,) = raven.runs()
    raven.ok("runs", "clone", first.name, "--set", "epochs=1", "--set", "jobs=2")
    again = newest(raven)
    assert (again / "info/folds.json").read_text() == (first / "info/folds.json").read_text()
    folds = [json.loads((again / "folds" / str(n) / "run.json").read_text()) for n in range(3)]
    assert [fold["config"]["plugin"]["epochs"] for fold in folds] == [1, 1, 1]
    assert not any("origin" in fold for fold in folds)
    done = raven("runs", "clone", first.name, "--set", "kfold.folds=2", "--dry-run")
    assert "--set kfold.folds=2" in done.stdout


def test_a_setting_that_the_plugin_does_not_publish_is_refused_with_a_suggestion(
    raven: Raven, learner: Path, project: Path
) -> None:
    raven.ok("train", "--dataset", project, "learner", "train", "--epochs", "1")
    for setting, sentence in {
        "lrr=1": "`lrr` is not a known field; did you mean `lr`?",
        "input_size.widht=1": "did you mean `width`?",
        "lr=-1": "`lr` should be greater than 0, not '-1'",
        "optimizer=rms": "should be 'sgd' or 'adam', not 'rms'",
        "kfold.fold=2": "did you mean `folds`?",
        "lr": "'lr' sets nothing; write NAME=VALUE",
    }.items():
        done = raven("runs", "clone", "2", "--set", setting)
        assert done.returncode == 2 and sentence in done.stderr, done.stderr
    assert len(raven.runs()) == 1


def test_secrets_are_not_repeated(raven: Raven, learner: Path, project: Path) -> None:
    raven.ok("train", "--dataset", project, "learner", "train", "--epochs", "1", "--set", "api_token=hush")
    (first,) = raven.runs()
    assert "hush" not in (first / "run.json").read_text()
    raven.ok("train", "--dataset", project, "learner", "train", "--epochs", "1", "--api-token", "hush")
    for run in raven.runs():
        done = raven("runs", "clone", run.name)
        assert done.returncode == 2 and "give it again with --set api_token=VALUE" in done.stderr
        raven.ok("runs", "clone", run.name, "--set", "api_token=murmur")
    assert not any("hush" in text or "murmur" in text for text in map(all_text, raven.runs()))


def test_one_fold_alone_stays_one_fold(raven: Raven, learner: Path, project: Path) -> None:
    raven.ok("train", "--dataset", project, "learner", "train", "--epochs", "1", RAVENML_FOLD="2")
    raven.ok("runs", "clone", raven.runs()[0].name)
    assert record_of(newest(raven))["fold"] == 2


def test_every_option_of_the_core_is_kept_from_mixing_with_the_environment() -> None:
    assert {option.envvar for option in core_options() if option.envvar} == set(OPTION_VARIABLES)


def test_set_wins_over_options_files_and_the_environment(raven: Raven, learner: Path, project: Path) -> None:
    raven.ok(
        *(
            "train",
            "--set",
            "jobs=3",
            "--dataset",
            project,
            "learner",
            "train",
            "--lr",
            "0.5",
            "--epochs",
            "1",
        ),
        *("--set", "lr=0.25", "--set", "kfold=false", "--kfold"),
        RAVENML_JOBS="2",
    )
    config = config_of(newest(raven))
    assert (config["plugin"]["lr"], config["jobs"], config["kfold"]) == (0.25, 3, None)


# Cloning programs.


def program(home: Path, *command: str, **more: object) -> Path:
    fields = {
        "kind": "program",
        "command": ["raven", "run", "--name", "x", "--", *command],
        "folder": "/",
        **more,
    }
    return write_run(home, NAME, more={**fields, "plugin": None, "config": None})


@pytest.mark.parametrize(
    ("command", "setting", "expected"),
    [
        ("python t.py --lr 0.1 --n 3", "lr=0.2", "python t.py --lr 0.2 --n 3"),
        ("python t.py --lr=0.1", "lr=0.2", "python t.py --lr=0.2"),
        ("python t.py --batch-size 3", "batch_size=4", "python t.py --batch-size 4"),
        ("python t.py lr=0.1", "lr=0.2", "python t.py lr=0.2"),
        ("python t.py -j 3", "j=4", "python t.py -j 4"),
    ],
)
def test_a_programs_argument_is_changed_in_its_command(
    home: Path, command: str, setting: str, expected: str
) -> None:
    folder = program(home, *command.split())
    replay = replay_clone(folder, read_record(folder), [setting])
    assert replay.arguments == ["run", "--name", "x", "--", *expected.split()]
    assert replay.folder == Path("/")


def test_a_parameter_that_the_program_told_of_is_handed_over(home: Path) -> None:
    folder = program(home, "python", "t.py", parameters={"lr": 0.1, "Optimizer": {"name": "sgd"}},
                     origin={"clone_of": "x", "set": {"lr": "0.3"}})  # fmt: skip
    replay = replay_clone(folder, read_record(folder), ["Optimizer.name=adam"])
    assert json.loads(replay.environment["RAVENML_PARAMETERS"]) == {"lr": "0.3", "Optimizer.name": "adam"}
    with pytest.raises(InputError, match="no argument 'lrr'; did you mean `lr`"):
        replay_clone(folder, read_record(folder), ["lrr=1"])


def test_settings_that_were_only_captured_are_changed_in_the_command(home: Path) -> None:
    folder = program(
        home, "python", "t.py", "--lr", "1", parameters={"lr": 1, "epochs": 3}, captured="argparse"
    )
    assert replay_clone(folder, read_record(folder), ["lr=2"]).arguments[-2:] == ["--lr", "2"]
    with pytest.raises(InputError, match="was not given 'epochs'; give it behind `--`"):
        replay_clone(folder, read_record(folder), ["epochs=5"])
    folder = program(home, "python", "t.py", parameters={"optimizer": {"lr": 1}}, captured="hydra")
    assert replay_clone(folder, read_record(folder), ["optimizer.lr=2"]).arguments[-1] == "optimizer.lr=2"


def test_a_program_without_that_argument_or_with_a_secret_is_refused(home: Path) -> None:
    folder = program(home, "python", "t.py", "--token", "***")
    with pytest.raises(InputError, match="The value of --token is a secret"):
        replay_clone(folder, read_record(folder), [])
    folder = program(home, "python", "t.py")
    with pytest.raises(InputError, match="no argument 'lr'; give it behind `--`"):
        replay_clone(folder, read_record(folder), ["lr=1"])
    assert replay_clone(folder, read_record(folder), [], ["--lr", "1"]).arguments[-2:] == ["--lr", "1"]


def test_a_program_that_has_not_completed_goes_on_by_its_recorded_command(home: Path) -> None:
    folder = program(home, "python", "t.py", "--lr", "1")
    record = read_record(folder) | {"result": {"status": "interrupted"}}
    arguments = replay_resume(folder, record, ["--more"]).arguments
    assert arguments[:3] == ["run", "--resume", folder.name]
    assert arguments[-6:] == ["--", "python", "t.py", "--lr", "1", "--more"]
    for other in ({"result": {"status": "completed"}}, {"remote": {"queue": "gpu"}}):
        with pytest.raises(InputError, match="cannot resume its program"):
            replay_resume(folder, record | other)


# Resuming and stopping.


def start(raven: Raven, project: Path, *options: str) -> tuple[subprocess.Popen[str], Path]:
    process = raven.start("train", "--dataset", project, "learner", "train", "--epochs", "9", *options)
    wait_for(lambda: raven.runs() and "METRICS" in (raven.runs()[0] / "events.jsonl").read_text())
    return process, raven.runs()[0]


def test_a_run_that_was_killed_is_lost_and_goes_on_by_the_command_that_it_had(
    raven: Raven, learner: Path, project: Path
) -> None:
    process, run = start(raven, project, "--seconds", "0.2", "--lr", "0.5")
    process.kill()
    process.communicate()
    assert json.loads(raven.ok("runs", "list", "--json"))[0]["status"] == "lost"
    raven.ok("runs", "resume", run.name[:15], "--", "--seconds", "0")
    record = record_of(run)
    assert record["result"]["status"] == "completed" and len(record["attempts"]) == 2
    assert (record["config"]["plugin"]["lr"], record["config"]["plugin"]["epochs"]) == (0.5, 9)
    again = raven("runs", "resume", run.name)
    assert again.returncode == 2 and f"`raven runs clone {run.name}` starts one like it" in again.stderr


def test_a_run_that_is_asked_to_stop_stops_in_good_order(raven: Raven, learner: Path, project: Path) -> None:
    process, run = start(raven, project, "--seconds", "0.5")
    done = raven("runs", "stop", run.name)
    assert done.returncode == 0 and f"{run.name} is interrupted." in done.stdout
    assert f"Resume with: raven runs resume {run.name}" in done.stdout
    assert process.wait(PATIENCE) == 130
    assert record_of(run)["result"]["reason"] == "a request to stop"
    again = raven("runs", "stop", run.name)
    assert again.returncode == 2 and "is not running: it is interrupted" in again.stderr


@pytest.mark.parametrize("how", ["--no-polite", "--stubborn"])
def test_a_run_that_does_not_listen_is_ended_only_when_that_is_meant(
    raven: Raven, learner: Path, project: Path, how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    process, run = start(raven, project, "--seconds", "2", how)
    done = raven("runs", "stop", run.name, "--grace", "0.5")
    assert done.returncode == 1 and "has not stopped within 0.5 s" in done.stderr
    assert status(run, record_of(run)) == "running"
    from ravenml.runs import stop

    monkeypatch.setattr(stop, "_SIGNALS", [(number, min(seconds, 2.0)) for number, seconds in stop._SIGNALS])
    assert stop.stop_run(run, 0.1, kill=True, say=lambda text: None) == "interrupted"
    process.wait(PATIENCE)


def test_only_where_a_run_runs_can_its_process_be_killed(home: Path) -> None:
    from ravenml.errors import RavenError
    from ravenml.runs.stop import stop_run

    folder = write_run(home, NAME, status=None, more={"process": {"host": "elsewhere", "pid": 1}})
    with pytest.raises(RavenError, match="runs on elsewhere; only there"):
        stop_run(folder, 0.1, kill=True, say=lambda text: None)


# Logs.


def test_logs_of_a_k_fold_run_name_the_fold(raven: Raven, learner: Path, project: Path) -> None:
    raven.ok("train", "--dataset", project, "learner", "train", "--folds", "2")
    lines = raven.ok("runs", "logs").splitlines()
    assert "fold 0 | training on 6 images" in lines and "fold 1 | training on 6 images" in lines
    assert len(raven.ok("runs", "logs", "-n", "1").splitlines()) == 3


def test_followed_logs_end_with_the_run_and_miss_nothing(home: Path, raven: Raven) -> None:
    folder = home / "runs" / NAME
    code = (
        "import sys, time; from pathlib import Path; from ravenml.runs.run import Run\n"
        "folder = Path(sys.argv[1]); run = Run.begin(folder, folder.name, {'plugin': 'x'})\n"
        "log = (folder / 'console.log').open('a', buffering=1)\n"
        "for number in range(30): print(f'line {number}', file=log); time.sleep(0.03)\n"
        "log.write('bar 1\\rbar 2\\rbar 3\\n'); log.write('no end'); log.flush(); run.finish('completed')\n"
    )
    process = subprocess.Popen([sys.executable, "-c", code, str(folder)])
    wait_for(lambda: (folder / "console.log").read_text())
    shown = raven.ok("runs", "logs", "-f").splitlines()
    process.wait()
    assert shown == [*(f"line {number}" for number in range(30)), "bar 3", "no end"]
    assert list(read_logs(folder, tail=2)) == ["bar 3", "no end"]


def test_a_bar_is_held_by_what_stands_there_last(tmp_path: Path) -> None:
    path = tmp_path / "console.log"
    log = LogReader(path, "fold 0 | ")
    path.write_bytes(b"begin\r\n" + b"".join(b"\rstep %d" % number for number in range(10_000)))
    assert log.read() == ["fold 0 | begin"] and len(log._rest) < 20
    with path.open("ab") as file:
        file.write(b"\rdone\r\n")
    assert log.read() == ["fold 0 | done"]


def test_following_a_run_that_is_killed_ends_too(home: Path, raven: Raven) -> None:
    folder = home / "runs" / NAME
    code = (
        "import sys, time; from pathlib import Path; from ravenml.runs.run import Run\n"
        "folder = Path(sys.argv[1]); run = Run.begin(folder, folder.name, {'plugin': 'x'})\n"
        "(folder / 'console.log').write_text('begun\\n'); time.sleep(600)\n"
    )
    process = subprocess.Popen([sys.executable, "-c", code, str(folder)])
    wait_for(lambda: (folder / "console.log").read_text())
    follower = raven.start("runs", "logs", "-f")
    time.sleep(0.5)
    process.send_signal(signal.SIGKILL)
    process.wait()
    out, _ = follower.communicate(timeout=PATIENCE)
    assert (out, follower.returncode) == ("begun\n", 0)


def test_a_log_that_was_written_anew_is_read_from_its_beginning(home: Path) -> None:
    folder = write_run(home, NAME)
    assert list(read_logs(folder)) == []
    (folder / "console.log").write_text("first\n\nthird\n")
    assert list(read_logs(folder)) == ["first", "", "third"]
