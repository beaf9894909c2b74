"""Plugins, terminals and users as they are: nothing they do loses a training or hides what was wrong."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import shutil
import signal
import subprocess
import sys
import uuid
from pathlib import Path

import pytest
from as_user import PATIENCE, Raven, wait_for
from throwaway import GROUP, LEARNS, SETTINGS, write_plugin

from ravenml.common.io import read_json
from ravenml.runs.record import read_record


def plugin(site: Path, name: str, body: str, **more: str) -> None:
    """A plugin whose training command is ``body``."""
    lines = "\n".join(f"    {line}" for line in body.strip().splitlines())
    source = (
        f"{GROUP}\n@my_plugin.command()\n@click.pass_context\n@pass_train\ndef train(train, ctx):\n{lines}\n"
    )
    write_plugin(site, name, source, **more)


# What a plugin does.


def test_the_exit_code_that_a_plugin_chooses_is_ours_and_seals_the_run(raven: Raven, site: Path) -> None:
    plugin(site, "leaves", "train.run\nctx.exit(3)")
    assert raven("train", "leaves", "train").returncode == 3
    assert read_record(raven.runs()[0])["result"]["status"] == "failed"


def test_a_plugin_that_fails_before_it_uses_its_run_is_named(raven: Raven, site: Path) -> None:
    plugin(site, "early", "raise ValueError('not today')")
    done = raven("train", "early", "train")
    assert done.returncode == 1 and "The plugin 'early' failed with ValueError: not today" in done.stderr
    assert raven.runs() == []


def test_numbers_of_numpy_paths_and_nan_are_stored_as_json_knows_them(raven: Raven, site: Path) -> None:
    body = """
    import numpy as np
    from pathlib import Path
    train.run.metrics("val", 1, {"loss": np.float32("nan"), "miou": np.float64(0.5)})
    return TrainOutput(metadata={"best": np.float32(0.5), "where": Path("/x"), "worst": float("inf")})
    """
    plugin(site, "numbers", body.replace("\n    ", "\n"))
    raven.ok("train", "numbers", "train")
    result = read_record(raven.runs()[0])["result"]
    assert result["metadata"] == {"best": 0.5, "where": "/x", "worst": "Infinity"}
    assert result["metrics"] == {"val/loss": "NaN", "val/miou": 0.5}


def test_what_cannot_be_written_as_json_is_named_and_the_run_is_sealed(raven: Raven, site: Path) -> None:
    plugin(site, "odd", "train.run\nreturn TrainOutput(metadata={'model': object()})")
    done = raven("train", "odd", "train")
    assert done.returncode == 1 and "TrainOutput.metadata: model is a object" in done.stderr
    assert read_record(raven.runs()[0])["result"]["status"] == "failed"


def test_odd_progress_does_not_end_a_training(raven: Raven, site: Path) -> None:
    plugin(
        site,
        "vague",
        "train.run.progress('Epoch', 1, None)\ntrain.run.progress('x', 'y', 3)\nreturn TrainOutput()",
    )
    done = raven("train", "vague", "train")
    assert done.returncode == 0 and "Traceback" not in done.stderr


def test_the_first_epoch_is_printed_also_where_it_is_the_first_thing_reported(
    raven: Raven, site: Path
) -> None:
    plugin(site, "short", "train.run.progress('Epoch', 1, 2)\ntrain.run.progress('Epoch', 2, 2)")
    lines = raven.ok("train", "short", "train").splitlines()
    assert [line for line in lines if line.startswith("epoch")] == ["epoch 1/2", "epoch 2/2"]


def test_files_of_one_name_are_all_stored(raven: Raven, site: Path, tmp_path: Path) -> None:
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "run.json").write_text(folder)
    files = [str(tmp_path / folder / "run.json") for folder in ("a", "b")]
    plugin(site, "twice", f"return TrainOutput(extra_files={files!r}, artifact_path={str(tmp_path / 'a')!r})")
    raven.ok("train", "twice", "train")
    (run,) = raven.runs()
    stored = raven.home / "store" / "extras" / run.name / "artifacts"
    assert {path.read_text() for path in stored.glob("run*.json")} == {"a", "b"}


def test_commands_that_call_each_other_share_one_run(raven: Raven, site: Path) -> None:
    source = GROUP + (
        "\n@my_plugin.command()\n@pass_train\ndef inner(train):\n    train.run.text('inner')\n"
        "    return TrainOutput(metadata={'from': 'inner'})\n"
        "\n@my_plugin.command()\n@click.pass_context\n@pass_train\ndef outer(train, ctx):\n"
        "    train.run.text('outer')\n    return ctx.invoke(inner)\n"
    )
    write_plugin(site, "calls", source)
    raven.ok("train", "calls", "outer")
    (run,) = raven.runs()
    assert read_record(run)["result"]["metadata"] == {"from": "inner"}


def test_a_group_with_pass_train_shares_its_run_with_its_command(raven: Raven, site: Path) -> None:
    source = (
        "import click\nfrom ravenml.train.options import pass_train\n"
        "from ravenml.train.interfaces import TrainOutput\n"
        "@click.group()\n@pass_train\ndef my_plugin(train):\n    train.run.text('group')\n"
        "@my_plugin.command()\n@pass_train\ndef learn(train):\n    return TrainOutput()\n"
        "@my_plugin.command()\ndef idle():\n    pass\n"
    )
    write_plugin(site, "grouped", source)
    raven.ok("train", "grouped", "learn")
    raven.ok("train", "grouped", "idle")
    assert [read_record(run)["result"]["status"] for run in raven.runs()] == ["completed"] * 2


def test_a_default_of_the_plugins_own_option_is_read_by_the_core(
    raven: Raven, site: Path, project: Path
) -> None:
    own = LEARNS.replace(
        "@my_plugin.command()\n@pass_train",
        "@my_plugin.command()\n@click.option('--folds', 'how_many', default=2)\n@pass_train",
    ).replace("def train(ctx, train: TrainInput):", "def train(ctx, train: TrainInput, how_many):")
    write_plugin(site, "own", own, settings=SETTINGS)
    raven.ok("train", "--dataset", project, "own", "train", "--kfold")
    assert len(list((raven.runs()[0] / "folds").iterdir())) == 2


@pytest.mark.parametrize(
    ("source", "sentence"),
    [
        (
            "while True:\n    try:\n        import time; time.sleep(0.1)\n    except Exception: pass",
            "did not end within",
        ),
        ("raise TimeoutError('the server is slow')", "TimeoutError: the server is slow"),
        ("raise ImportError('first line\\nsecond line')", "first line second line"),
    ],
)
def test_broken_imports_are_told_apart(raven: Raven, site: Path, source: str, sentence: str) -> None:
    write_plugin(site, "broken", source)
    for arguments in (["broken", "train"], ["list", "--check"]):
        done = raven("train", *arguments, RAVENML_IMPORT_TIMEOUT="1")
        assert done.returncode == 1
        line = next(line for line in done.stderr.splitlines() if "'broken'" in line)
        assert "ravenml_broken 1.2" in line and sentence in line


def test_settings_that_are_no_model_and_a_limit_that_is_no_number_get_a_sentence(
    raven: Raven, site: Path
) -> None:
    write_plugin(site, "odd", LEARNS, settings="Settings = 3")
    done = raven("train", "odd", "train")
    assert done.returncode == 1 and "is not a pydantic model" in done.stderr
    done = raven("train", "odd", "train", RAVENML_IMPORT_TIMEOUT="soon")
    assert done.returncode == 2 and "RAVENML_IMPORT_TIMEOUT" in done.stderr


# Where it is run.


def test_a_reader_that_goes_away_does_not_end_the_training(
    raven: Raven, learner: Path, project: Path
) -> None:
    arguments = f"-m ravenml train --dataset {project} learner train --epochs 30 --seconds 0.02"
    subprocess.run(  # noqa: S602 - a pipe is the subject
        f"{sys.executable} {arguments} | head -1", shell=True, env=raven.env(), cwd=raven.cwd, timeout=60
    )
    (run,) = raven.runs()
    result = read_record(run)["result"]
    assert result["status"] == "completed" and result["stored"]


def test_a_terminal_without_our_letters_still_gets_the_table(
    raven: Raven, learner: Path, project: Path
) -> None:
    done = raven(
        "train", "--dataset", project, "learner", "train", "--folds", "2", PYTHONIOENCODING="latin-1"
    )
    assert done.returncode == 0 and "val/miou" in done.stdout


def test_a_module_in_the_working_folder_stands_in_for_nothing(
    raven: Raven, learner: Path, project: Path
) -> None:
    (raven.cwd / "queue.py").write_text("raise RuntimeError('mine')")
    executable = Path(sys.executable).parent / "raven"
    arguments = ["train", "--dataset", project, "learner", "train", "--folds", "2"]
    done = subprocess.run(
        [executable, *arguments], env=raven.env(), cwd=raven.cwd, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


def test_a_dataset_given_by_a_relative_path_is_found_again_from_elsewhere(
    raven: Raven, learner: Path, project: Path, tmp_path: Path
) -> None:
    raven.cwd = project.parent
    failed = raven("train", "--dataset", project.name, "learner", "train", "--folds", "2", FAIL_FOLD="1")
    assert failed.returncode == 1
    raven.cwd = tmp_path / "here"
    raven.ok("train", "learner", "train", "--resume", raven.runs()[0].name)


def test_a_full_disk_gets_a_sentence_and_leaves_a_run_that_opens(
    raven: Raven, site: Path, project: Path, small_disk: Path
) -> None:
    picture = "np.random.randint(0, 255, (64, 64, 3), 'uint8')"
    body = f"for i in range(400):\n    train.run.image(f'p{{i}}', {picture})"
    plugin(site, "paints", f"import numpy as np\n{body}")
    raven.home = small_disk / "home"
    done = raven("train", "--dataset", project, "paints", "train")
    assert done.returncode == 1 and "the disk is full; free some space" in done.stderr
    assert "Traceback" not in done.stderr
    (run,) = raven.runs()
    assert not list(run.rglob("*.tmp"))
    assert "paints" in raven.ok("runs", "list")


def test_on_a_terminal_a_person_is_asked_which_dataset(raven: Raven, learner: Path, project: Path) -> None:
    for name in ("meadow", "orchard"):
        shutil.copytree(project, raven.home / "datasets" / name)
    ours, theirs = pty.openpty()
    arguments = [sys.executable, "-m", "ravenml", "train", "learner", "train"]
    process = subprocess.Popen(
        arguments, stdin=theirs, stdout=theirs, stderr=theirs, env=raven.env(), cwd=raven.cwd
    )
    os.close(theirs)
    shown = b""
    while b"Dataset (" not in shown:
        shown += os.read(ours, 4096)
    os.write(ours, b"orchard\n")
    with contextlib.suppress(OSError):
        while chunk := os.read(ours, 4096):
            shown += chunk
    assert process.wait(timeout=60) == 0, shown.decode()
    assert read_record(raven.runs()[0])["dataset"]["name"] == "orchard"


# k-fold.


def test_sigterm_to_the_parent_exits_like_sigterm(raven: Raven, learner: Path, project: Path) -> None:
    arguments = ["train", "--dataset", project, "learner", "train", "--folds", "2", "--seconds", "5"]
    parent = raven.start(*arguments)
    wait_for(lambda: next(iter(raven.home.glob("runs/*/folds/0/events.jsonl")), None))
    parent.send_signal(signal.SIGTERM)
    parent.communicate(timeout=60)
    assert parent.returncode == 143


def test_why_a_fold_failed_is_told_whatever_it_was(raven: Raven, site: Path, project: Path) -> None:
    reasons = {
        "refuses": "from ravenml.errors import InputError\ntrain.run\nraise InputError('lr: is not good.')",
        "raises": "raise ValueError('too early')",
        "shouts": "train.run\nraise RuntimeError('too late')",
    }
    for name, body in reasons.items():
        plugin(site, name, body)
        done = raven("train", "--dataset", project, name, "train", "--folds", "2")
        assert done.returncode == 1
        wanted = {"refuses": "lr: is not good.", "raises": "too early", "shouts": "too late"}[name]
        assert done.stderr.count(wanted) == 2, done.stderr


def test_scores_of_other_images_than_the_folds_own_are_no_out_of_fold_score(
    raven: Raven, site: Path, project: Path
) -> None:
    cheat = LEARNS.replace("for item in train.split.val]", "for item in train.split.train]")
    write_plugin(site, "cheat", cheat, settings=SETTINGS)
    shown = raven.ok("train", "--dataset", project, "cheat", "train", "--folds", "2")
    assert "There is no out-of-fold score: fold 0 scored other images" in shown


def test_scores_that_cannot_be_added_up_do_not_cost_the_folds_results(
    raven: Raven, site: Path, project: Path
) -> None:
    made = '["__bg__", "thing"])'
    smaller = "scores.statistics['confusion'][:, : 2 - (train.fold or 0), :2]"
    source = LEARNS.replace(made, f"{made}\n    scores.statistics['confusion'] = {smaller}")
    write_plugin(site, "uneven", source, settings=SETTINGS)
    done = raven("train", "--dataset", project, "uneven", "train", "--folds", "2")
    (run,) = raven.runs()
    assert (run / "summary.json").exists()
    assert "There is no out-of-fold score" in done.stdout or "failed" in done.stderr


def test_a_resumed_run_stays_one_run(raven: Raven, learner: Path, project: Path, tmp_path: Path) -> None:
    raven("train", "--dataset", project, "learner", "train", "--folds", "2", FAIL_FOLD="1")
    (run,) = raven.runs()
    before = (run / "checkpoints" / "train_args.json").read_text()
    other = tmp_path / "other"
    other.mkdir()
    for more, what in (
        (["--lr", "0.9"], "the plugin's settings"),
        (["--folds", "3"], "the folds"),
        (["--fold", "1"], "the fold"),
        (["--dataset", str(other)], "the dataset"),
    ):
        done = raven("train", "learner", "train", "--resume", run.name, *more)
        assert done.returncode == 2 and f"{what} of {run.name} cannot be changed" in done.stderr, done.stderr
    assert (run / "checkpoints" / "train_args.json").read_text() == before


def test_a_single_fold_that_is_resumed_keeps_its_images(raven: Raven, learner: Path, project: Path) -> None:
    process = raven.start(
        "train", "--dataset", project, "learner", "train", "--folds", "2", "--fold", "0", "--seconds", "0.5",
        "--epochs", "9",
    )  # fmt: skip
    wait_for(lambda: next(iter(raven.home.glob("runs/*/checkpoints/state_epoch.txt")), None))
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=PATIENCE)
    (run,) = raven.runs()
    before = (run / "info" / "val_set.json").read_text()
    for kind, suffix in (("img", ""), ("ann", ".json")):
        source = project / "ds" / kind / f"meadow00.png{suffix}"
        (project / "ds" / kind / f"another.png{suffix}").write_bytes(source.read_bytes())
    raven.ok("train", "learner", "train", "--resume", run.name, SECONDS="0")
    assert (run / "info" / "val_set.json").read_text() == before


def test_a_request_to_stop_is_for_one_attempt(raven: Raven, learner: Path, project: Path) -> None:
    process = raven.start(
        "train", "--dataset", project, "learner", "train", "--seconds", "3", "--epochs", "3"
    )
    run = wait_for(lambda: next(iter(raven.home.glob("runs/*/events.jsonl")), None)).parent
    (run / "control.json").write_text('{"request": "stop"}')
    process.communicate(timeout=PATIENCE)
    assert process.returncode == 130
    raven.ok("train", "learner", "train", "--resume", run.name, SECONDS="0")


# The command line.


def test_the_seed_of_the_folds_beats_the_files(raven: Raven, learner: Path, project: Path) -> None:
    (raven.cwd / "train.yaml").write_text(f"dataset: {project}\nkfold: {{folds: 2}}\n")
    raven.ok("train", "-c", "train.yaml", "learner", "train", "--fold-seed", "7")
    assert read_json(raven.runs()[0] / "checkpoints" / "train_args.json")["kfold"]["seed"] == 7


def test_a_folder_that_is_not_empty_is_refused_whoever_stores(raven: Raven, site: Path) -> None:
    source = GROUP + "\n@my_plugin.command()\ndef plain():\n    return TrainOutput()\n"
    write_plugin(site, "plain", source)
    (raven.cwd / "out").mkdir()
    (raven.cwd / "out" / "mine.txt").write_text("mine")
    done = raven("train", "--local", "out", "plain", "plain")
    assert done.returncode == 2 and "is not empty" in done.stderr
    assert [path.name for path in (raven.cwd / "out").iterdir()] == ["mine.txt"]


def test_a_folder_that_cannot_be_made_is_refused_before_training(
    raven: Raven, learner: Path, project: Path
) -> None:
    done = raven("train", "--dataset", project, "--local", "/proc/nowhere", "learner", "train")
    assert done.returncode == 1 and "/proc/nowhere" in done.stderr
    assert raven.runs() == []


def test_numbers_under_secret_sounding_names_stay_and_reach_the_folds(
    raven: Raven, site: Path, project: Path
) -> None:
    settings = SETTINGS + "    max_tokens: int = 128\n"
    source = LEARNS.replace("run, s =", "assert train.settings.max_tokens == 64\n    run, s =")
    write_plugin(site, "words", source, settings=settings)
    raven.ok("train", "--dataset", project, "words", "train", "--folds", "2", "--max-tokens", "64")


def test_a_secret_setting_reaches_the_folds_and_no_file(raven: Raven, site: Path, project: Path) -> None:
    secret = f"hunter{uuid.uuid4().hex}"
    source = LEARNS.replace("run, s =", f"assert train.settings.api_token == '-{secret}'\n    run, s =")
    write_plugin(site, "spy", source, settings=SETTINGS)
    (raven.cwd / "train.yaml").write_text(f"dataset: {project}\nmetadata: {{secrets: {{aws: {secret}}}}}\n")
    raven.ok("train", "-c", "train.yaml", "spy", "train", "--folds", "2", f"--api-token=-{secret}")
    for path in raven.home.rglob("*"):
        if path.is_file():
            assert secret.encode() not in path.read_bytes(), path


def test_json_of_a_run_has_no_bare_nan(raven: Raven, site: Path) -> None:
    plugin(site, "nan", "train.run.metrics('val', 1, {'loss': float('nan')})\nreturn TrainOutput()")
    raven.ok("train", "nan", "train")
    for name in ("run.json", "metadata.json"):
        text = (raven.runs()[0] / name).read_text()
        json.loads(text, parse_constant=lambda word: pytest.fail(f"a bare {word}"))
