"""What a training is asked to do: flags, environment, file, preset, default, and what bad input is told."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from as_user import Raven
from throwaway import LEARNS, SETTINGS, write_plugin


def effective(run: Path) -> dict:
    return json.loads((run / "checkpoints" / "train_args.json").read_text())


@pytest.fixture
def presets(site: Path) -> None:
    runs = [
        {"title": "Quick", "type": "train", "config": {"epochs": 1, "lr": 0.7, "input_size": {"width": 10}}}
    ]
    files = {"predefined_run_configs.json": json.dumps(runs)}
    write_plugin(site, "learner", LEARNS, settings=SETTINGS, files=files)


def test_a_flag_beats_the_environment_beats_the_file_beats_the_default(
    raven: Raven, learner: Path, project: Path
) -> None:
    file = raven.cwd / "train.yaml"
    file.write_text(
        f"dataset: {project}\nplugin: {{epochs: 4, lr: 0.4, optimizer: adam, input_size: {{width: 4}}}}\n"
    )
    raven.ok(
        "train", "-c", file, "learner", "train", "--epochs", "1",
        RAVENML_LEARNER_EPOCHS="3", RAVENML_LEARNER_LR="0.3",
    )  # fmt: skip
    plugin = effective(raven.runs()[0])["plugin"]
    assert plugin["epochs"] == 1
    assert plugin["lr"] == 0.3
    assert plugin["optimizer"] == "adam"
    assert plugin["input_size"] == {"width": 4, "height": 48}


def test_the_dataset_may_stand_on_either_side_and_the_inner_one_wins(
    raven: Raven, learner: Path, project: Path
) -> None:
    raven.ok("train", "--dataset", project, "learner", "train")
    raven.ok("train", "learner", "train", "--dataset", project)
    raven.ok("train", "--dataset", "nowhere", "learner", "train", "--dataset", project)
    assert len(raven.runs()) == 3


def test_a_runs_train_args_can_be_given_as_the_file(raven: Raven, learner: Path, project: Path) -> None:
    raven.ok("train", "--dataset", project, "learner", "train", "--lr", "0.25", "--folds", "2")
    (first,) = raven.runs()
    raven.ok("train", "-c", first / "checkpoints" / "train_args.json", "learner", "train")
    again = raven.runs()[1]
    assert effective(again) == effective(first)
    assert (again / "folds" / "1").is_dir()


def test_the_file_can_ask_for_folds_and_say_who_trained(raven: Raven, learner: Path, project: Path) -> None:
    (raven.cwd / "train.yaml").write_text(
        f"dataset: {project}\nkfold: {{folds: 2, seed: 3}}\n"
        "metadata: {created_by: Ada, comments: first try}\n"
    )
    raven.ok("train", "-c", "train.yaml", "learner", "train")
    (stored,) = (raven.home / "store" / "models").glob("metadata_*.json")
    assert json.loads(stored.read_text())["created_by"] == "Ada"
    assert effective(raven.runs()[0])["kfold"]["seed"] == 3


def test_a_field_of_the_metadata_that_looks_misspelt_is_kept_and_the_right_one_suggested(
    raven: Raven, learner: Path, project: Path
) -> None:
    (raven.cwd / "train.yaml").write_text("metadata: {createdby: Ada, weather: rain}\n")
    done = raven("train", "-c", "train.yaml", "--dataset", project, "learner", "train")
    assert done.returncode == 0
    assert "`metadata.createdby` is kept as a field of your own; did you mean `created_by`?" in done.stderr
    assert "weather" not in done.stderr
    assert effective(raven.runs()[0])["metadata"]["createdby"] == "Ada"


def test_a_preset_lies_between_the_file_and_the_flags(raven: Raven, presets: None, project: Path) -> None:
    (raven.cwd / "train.yaml").write_text(f"dataset: {project}\nplugin: {{epochs: 3, optimizer: adam}}\n")
    raven.ok("train", "-c", "train.yaml", "learner", "train", "--preset", "quick", "--lr", "0.2")
    plugin = effective(raven.runs()[0])["plugin"]
    assert (plugin["epochs"], plugin["optimizer"], plugin["lr"]) == (1, "adam", 0.2)
    assert plugin["input_size"] == {"width": 10, "height": 48}


def test_an_unknown_preset_is_answered_with_the_known_ones(
    raven: Raven, presets: None, project: Path
) -> None:
    done = raven("train", "--dataset", project, "learner", "train", "--preset", "slow")
    assert done.returncode == 2 and "no preset 'slow'; it has 'Quick'" in done.stderr


def test_a_split_can_be_read_from_files(raven: Raven, learner: Path, project: Path) -> None:
    raven.ok("train", "--dataset", project, "learner", "train")
    info = raven.runs()[0] / "info"
    for name in ("train", "val"):
        names = json.loads((info / f"{name}_set.json").read_text())
        (raven.cwd / f"{name}.json").write_text(json.dumps(names[:2]))
    (raven.cwd / "train.yaml").write_text(
        f"dataset: {project}\nsplit: {{train: train.json, val: val.json}}\n"
    )
    raven.ok("train", "-c", "train.yaml", "learner", "train")
    assert json.loads((raven.runs()[1] / "run.json").read_text())["split"] == {"train": 2, "val": 2}


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--epochs", "0"], "--epochs should be greater than or equal to 1, not 0"),
        (["--lr", "-1"], "--lr should be greater than 0"),
        (["--epochs", "many"], "'many' is not a valid integer"),
        (["--optimizer", "magic"], "'magic' is not one of 'sgd', 'adam'"),
        (["--folds", "1"], "--folds should be greater than or equal to 2"),
        (["--jobs", "0"], "--jobs should be greater than or equal to 1"),
        (["--fold-by", "("], "--fold-by"),
        (["--no-such-option"], "--no-such-option"),
        (["--resume", "2019"], "there are no runs"),
        (["--fold", "0", "--fold", "1"], "--fold was given 2 times"),
    ],
)
def test_unusable_options_get_a_sentence_that_names_them(
    raven: Raven, learner: Path, project: Path, arguments: list[str], sentence: str
) -> None:
    done = raven("train", "--dataset", project, "learner", "train", *arguments)
    assert done.returncode == 2
    assert sentence.lower() in done.stderr.lower()
    assert "Traceback" not in done.stderr
    assert raven.runs() == []


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("plugin: {epoch: 3}", "plugin: `epoch` is not a known field; did you mean `epochs`?"),
        ("plugin: {input_size: {widht: 3}}", "`input_size.widht` is not a known field; did you mean"),
        ("plugin: {lr: fast}", "plugin: `lr` should be a number"),
        ("datset: here", "`datset` is not a known field; did you mean `dataset`?"),
        ("kfold: {folds: 1}", "`kfold.folds` should be greater than or equal to 2"),
        ("v: 99", "`v` should be less than or equal to 1"),
        ("dataset: [", "is not valid YAML in line"),
        ("just words", "must hold fields with values"),
    ],
)
def test_a_wrong_file_gets_a_sentence_that_names_file_and_field(
    raven: Raven, learner: Path, project: Path, content: str, sentence: str
) -> None:
    (raven.cwd / "train.yaml").write_text(content)
    done = raven("train", "-c", "train.yaml", "--dataset", project, "learner", "train")
    assert done.returncode == 2
    assert "train.yaml" in done.stderr and sentence in done.stderr
    assert raven.runs() == []


def test_without_a_dataset_the_configured_one_is_used(raven: Raven, learner: Path, project: Path) -> None:
    done = raven("train", "learner", "train")
    assert done.returncode == 2
    assert "No dataset is named" in done.stderr and "--dataset DIR" in done.stderr
    assert raven.runs() == []
    raven.ok("config", "update", "--dataset", str(project))
    raven.ok("train", "learner", "train")
    assert json.loads((raven.runs()[0] / "run.json").read_text())["dataset"]["path"] == str(project)


def test_a_dataset_that_is_not_there_is_refused_before_anything_is_made(raven: Raven, learner: Path) -> None:
    done = raven("train", "--dataset", "nowhere", "learner", "train")
    assert done.returncode == 2 and "nowhere" in done.stderr
    assert raven.runs() == []


def test_a_run_of_another_plugin_is_not_resumed(
    raven: Raven, learner: Path, site: Path, project: Path
) -> None:
    write_plugin(site, "other", LEARNS, settings=SETTINGS)
    raven.ok("train", "--dataset", project, "learner", "train")
    done = raven("train", "other", "train", "--resume", raven.runs()[0].name)
    assert done.returncode == 2 and "a run of 'learner', not of 'other'" in done.stderr


def test_a_choice_of_numbers_can_be_given_everywhere(raven: Raven, site: Path, project: Path) -> None:
    bits = SETTINGS + "    bits: Literal[8, 16] = 8\n    levels: list[Literal[1, 2]] = []\n"
    write_plugin(site, "learner", LEARNS, settings=bits)
    words = ("train", "--dataset", project, "learner", "train")
    raven.ok(*words, "--bits", "16", "--levels", "1,2")
    raven.ok(*words, "--set", "bits=16", RAVENML_LEARNER_LEVELS="1,2")
    for run in raven.runs():
        plugin = effective(run)["plugin"]
        assert plugin["bits"] == 16 and plugin["levels"] == [1, 2]
    refused = raven(*words, "--bits", "12")
    assert refused.returncode == 2 and "--bits" in refused.stderr and "'8', '16'" in refused.stderr


def test_an_infinite_setting_is_recorded_and_the_record_can_be_trained_again(
    raven: Raven, learner: Path, project: Path
) -> None:
    raven.ok("train", "--dataset", project, "learner", "train", "--epochs", "1", "--lr", "inf")
    record = raven.runs()[0] / "checkpoints" / "train_args.json"
    assert effective(raven.runs()[0])["plugin"]["lr"] == "Infinity"  # JSON has no number for it
    raven.ok("train", "-c", record, "learner", "train")
    assert effective(raven.runs()[-1])["plugin"]["lr"] == "Infinity"
