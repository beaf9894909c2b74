"""Plugins written for ravenML 1 are listed, show their help, train and are stored, unchanged."""

from __future__ import annotations

import json
import os
import pty
import select
from pathlib import Path
from typing import Any

import pytest
import yaml
from as_user import PATIENCE, Raven, start_raven
from former_plugins import BOXES, FRAMEWORK, INSTANCE, POSE, SEMANTIC, write_former_dataset
from throwaway import GROUP, SETTINGS, write_plugin

from ravenml.dashboard.train.draft_import import from_run
from ravenml.errors import InputError
from ravenml.runs.run_row import flat_settings


@pytest.fixture
def dataset(home: Path, site: Path) -> Path:
    """A dataset of ravenML 1 in ravenML's home, and the framework on the path."""
    (site / "former_framework.py").write_text(FRAMEWORK)
    return write_former_dataset(home / "datasets" / "orbit")


def stored(raven: Raven) -> dict[str, Any]:
    """The metadata of the one model in the store."""
    (file,) = (raven.home / "store" / "models").glob("metadata_*.json")
    found: dict[str, Any] = json.loads(file.read_text())
    return found


def config_file(raven: Raven, **fields: object) -> str:
    (raven.cwd / "config.yaml").write_text(yaml.safe_dump({"dataset": "orbit", **fields}))
    return "config.yaml"


def test_a_plugin_that_asks_trains_without_a_terminal_by_the_answers_in_the_config_file(
    raven: Raven, site: Path, dataset: Path
) -> None:
    write_plugin(site, "boxes", BOXES)
    config = config_file(raven, answers={"choose model": "small", "Edit default configuration?": True})
    shown = raven.ok("train", "-c", config, "boxes", "train", "-v", "--comet")
    assert "Importing the framework...Complete." in shown and "Choose model: small" in shown
    assert "verbose True comet True" in shown
    model = stored(raven)
    assert model["architecture"] == "small" and model["plugin_metadata"]["steps"] == "100"
    assert model["plugin_metadata"]["dataset_used"]["created_by"] == "Grace"
    (run,) = raven.runs()
    assert {path.name for path in (run / "artifacts").iterdir()} == {"frozen.pb", "label_map.pbtxt"}


def test_a_question_without_an_answer_names_the_option_that_answers_it(
    raven: Raven, site: Path, dataset: Path
) -> None:
    write_plugin(site, "boxes", BOXES)
    done = raven("train", "--dataset", "orbit", "boxes", "train")
    assert done.returncode == 2
    assert "The plugin asks 'Choose model', which has to be one of large, small." in done.stderr
    option = "answers.Choose model=large"
    assert f"--set '{option}'" in done.stderr
    raven.ok("train", "--dataset", "orbit", "--set", option, "boxes", "train")
    assert stored(raven)["architecture"] == "large"


def test_on_a_terminal_a_plugin_asks(raven: Raven, site: Path, dataset: Path) -> None:
    write_plugin(site, "boxes", BOXES)
    ours, theirs = pty.openpty()
    words = ("train", "--dataset", "orbit", "boxes", "train")
    env = raven.env(TERM="xterm")
    process = start_raven(
        *words, stdin=theirs, stdout=theirs, stderr=theirs, env=env, cwd=raven.cwd, server=None
    )
    os.close(theirs)
    answers = [("Your name", "Ada"), ("Comments", "none"), ("Choose model", "large"), ("Edit", "n")]
    shown = ""
    while select.select([ours], [], [], PATIENCE)[0]:
        try:
            shown += os.read(ours, 4096).decode(errors="replace")
        except OSError:
            break
        if answers and answers[0][0] in shown:
            os.write(ours, f"{answers.pop(0)[1]}\n".encode())
    os.close(ours)
    assert process.wait(PATIENCE) == 0, shown
    assert not answers
    model = stored(raven)
    assert model["architecture"] == "large" and model["plugin_metadata"]["created_by"] == "Ada"


def test_what_a_plugin_says_of_itself_names_the_model_and_its_cache_is_kept(
    raven: Raven, site: Path, dataset: Path
) -> None:
    write_plugin(site, "instance", INSTANCE)
    config = config_file(
        raven, ec2_policy="none", overwrite_local=True, metadata={"created_by": "Ada", "comments": "none"},
        plugin={"verbose": True, "model": "mask_rcnn"},
    )  # fmt: skip
    raven.ok("train", "-c", config, "instance", "train")
    model = stored(raven)
    assert model["architecture"] == "mask_rcnn" and model["created_by"] == "Ada"
    assert (raven.home / "cache" / "plugins" / "instance" / "archs" / "mask_rcnn").read_text() == "weights"
    assert "mask_rcnn" in raven.ok("models", "list")


def test_a_wrong_value_that_a_plugin_refuses_ends_with_exit_code_2(
    raven: Raven, site: Path, dataset: Path
) -> None:
    write_plugin(site, "instance", INSTANCE)
    done = raven("train", "-c", config_file(raven, plugin={"model": "yolo"}), "instance", "train")
    assert done.returncode == 2 and "model is not supported by this plugin.: yolo" in done.stderr


def test_settings_may_be_a_list_and_a_nested_command_may_have_a_config_of_its_own(
    raven: Raven, site: Path, dataset: Path
) -> None:
    write_plugin(site, "semantic", SEMANTIC)
    (raven.cwd / "own.json").write_text('{"stride": 16}')
    config = config_file(raven, plugin=[{"model_variant": "mobilenet"}, {"stride": 8}])
    words = ("semantic", "models", "train", "-c", "own.json", "--crop=9,9")
    shown = raven.ok("train", "-c", config, *words)
    assert "settings [['model_variant'], ['stride']] {'stride': 16} ('--crop=9,9',)" in shown
    help_ = raven.ok("train", "semantic", "models", "train", "--help")
    assert "The framework's settings." in help_ and "YAML file with values" not in help_
    (run,) = raven.runs()
    assert "model_variant" in raven.ok("runs", "show", run.name, "--json")
    record = json.loads((run / "run.json").read_text())
    assert flat_settings(record)["plugin"] == [{"model_variant": "mobilenet"}, {"stride": 8}]
    with pytest.raises(InputError, match="are a list"):
        from_run(run)


def test_a_list_of_settings_is_refused_where_the_plugin_publishes_settings(raven: Raven, site: Path) -> None:
    write_plugin(site, "learner", GROUP, settings=SETTINGS)
    write_plugin(site, "learner2", GROUP + "\n@my_plugin.command()\n@pass_train\ndef train(t): pass\n",
                 settings=SETTINGS)  # fmt: skip
    done = raven("train", "-c", config_file(raven, plugin=[{"epochs": 2}]), "learner2", "train")
    assert done.returncode == 2
    assert "config.yaml: `plugin` should be a mapping with the settings of learner2" in done.stderr


def test_a_document_s_import_of_raven_works_and_its_commands_find_datasets(
    raven: Raven, site: Path, dataset: Path
) -> None:
    write_plugin(site, "pose", POSE)
    config = config_file(raven, metadata={"created_by": "Ada"}, ec2_policy="keep running", plugin={"a": 1})
    shown = raven.ok("train", "-c", config, "pose", "train", "--comet", "night")
    assert "experiment night on orbit by Ada" in shown
    model = stored(raven)
    assert model["architecture"] == "keypoints_regression" and model["plugin_metadata"]["config"] == {"a": 1}
    assert f"evaluating on {dataset}" in raven.ok("train", "pose", "eval", "orbit")
    done = raven("train", "pose", "eval", "nowhere")
    assert done.returncode == 2 and "dataset name: nowhere" in done.stderr


def test_former_names_are_told_once(raven: Raven, site: Path) -> None:
    write_plugin(site, "pose", POSE)
    first = raven("train", "pose", "--help")
    assert first.returncode == 0
    assert "ravenml.utils.dataset (now ravenml.compat.datasets)" in first.stderr
    assert "raven (now ravenml)" in first.stderr
    assert "former names" not in raven("train", "pose", "--help").stderr


def test_a_package_called_raven_keeps_its_name(raven: Raven, site: Path) -> None:
    (site / "raven").mkdir()
    (site / "raven" / "__init__.py").write_text("is_mine = True\n")
    write_plugin(site, "other", "import raven\nassert raven.is_mine\n" + GROUP)
    raven.ok("train", "other", "--help")


def test_k_fold_needs_a_project(raven: Raven, site: Path, dataset: Path) -> None:
    write_plugin(site, "pose", POSE)
    done = raven("train", "--dataset", "orbit", "pose", "train", "--kfold")
    assert done.returncode == 2 and "--kfold needs a Supervisely project" in done.stderr


def test_a_project_serves_a_plugin_for_ravenml_1_too(raven: Raven, site: Path, project: Path) -> None:
    (site / "former_framework.py").write_text(FRAMEWORK)
    write_plugin(site, "instance", INSTANCE)
    words = ("--set", "model=mask_rcnn", "--kfold", "--folds", "2")
    raven.ok("train", "--dataset", project, "instance", "train", *words)
    assert stored(raven)["architecture"] == "mask_rcnn"


@pytest.mark.parametrize(
    ("returned", "told"),
    [("{'loss': 1}", "the command returned a dict, not a TrainOutput; nothing is stored"), ("None", "")],
)
def test_what_is_no_train_output_is_told(raven: Raven, site: Path, returned: str, told: str) -> None:
    command = (
        f"@my_plugin.command()\n@pass_train\n@click.pass_context\ndef train(ctx, t): return {returned}\n"
    )
    write_plugin(site, "odd", GROUP + command)
    done = raven("train", "odd", "train")
    assert done.returncode == 0 and told in done.stderr and ("Note:" in done.stderr) == bool(told)
