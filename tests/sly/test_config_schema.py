"""A config that the plugin's schemas do not allow is refused before anything runs, and the field is named."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from as_user import Raven
from sly_support import needs_bwrap, only_run, tasks

import ravenml.sly as sly
from ravenml.agent.config_schema import check_config
from ravenml.agent.plugin_folder import PluginFolder
from ravenml.errors import InputError

SIZE = {"type": "object", "additionalProperties": False, "required": ["train", "val"]}
SCHEMAS: dict[str, Any] = {
    "definitions": {"count": {"type": "integer", "minimum": 1}},
    "training_config": {
        "type": "object",
        "additionalProperties": False,
        "required": ["epochs", "lr"],
        "properties": {
            "epochs": {"$ref": "#/definitions/count"},
            "lr": {"type": "number", "minimum": 0, "exclusiveMinimum": True},
            "batch_size": {
                **SIZE,
                "properties": {name: {"$ref": "#/definitions/count"} for name in ("train", "val")},
            },
            "weights_init_type": {"enum": ["transfer_learning", "continue_training"]},
            "required": {"type": "boolean"},
        },
    },
    "inference_config": {"properties": {"gpu_device": {"type": "integer"}}},
}


@pytest.fixture
def plugin(printing: Path) -> PluginFolder:
    """The printing plugin with schemas."""
    (printing / "src" / "schemas.json").write_text(json.dumps(SCHEMAS))
    return PluginFolder.open(printing)


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({"epochs": 0}, "epochs: 0 is less than the minimum of 1"),
        ({"epochs": "3"}, "epochs: '3' is not of type 'integer'"),
        ({"lr": 0}, "lr: 0 is less than or equal to the minimum of 0"),
        ({"batch_size": {"val": 0}}, "batch_size.val: 0 is less"),
        ({"batch_size": {"valid": 1}}, "batch_size.valid: no such field; there is train, val"),
        ({"batch_size": 3}, "batch_size: 3 is not of type 'object'"),
        ({"weights_init_type": "none"}, "weights_init_type: 'none' is not one of"),
        ({"epoch": 3}, "epoch: no such field; there is batch_size, epochs, lr"),
        ({"required": 1}, "required: 1 is not of type 'boolean'"),
        ({"lr": -1, "epochs": 0, "x": 1, "weights_init_type": 0}, "; and 1 more"),
    ],
)
def test_a_wrong_field_is_named_with_its_path(
    plugin: PluginFolder, config: dict[str, Any], said: str
) -> None:
    with pytest.raises(InputError) as refused:
        check_config(plugin, "train", config, "mine.json")
    assert said in str(refused.value) and str(refused.value).startswith("mine.json: ")
    assert str(plugin.root / "src" / "schemas.json") in str(refused.value)


def test_what_is_missing_is_the_plugin_s_to_fill_in(plugin: PluginFolder) -> None:
    for config in ({}, {"epochs": 3}, {"batch_size": {"train": 1}}):
        check_config(plugin, "train", config, "mine.json")


def test_a_prediction_s_schema_is_for_the_model_s_part(plugin: PluginFolder) -> None:
    mode = {"name": "full_image"}
    check_config(plugin, "inference", {"mode": mode, "model": {"gpu_device": 0}}, "x")
    check_config(plugin, "inference", {"mode": mode}, "x")
    with pytest.raises(InputError, match=r"model\.gpu_device: 'first' is not of type"):
        check_config(plugin, "deploy", {"model": {"gpu_device": "first"}}, "x")


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "tree"},
        {"$ref": "#/definitions/nothing"},
        {"$ref": "http://localhost:9/schema.json"},
        {"properties": {"epochs": {"minimum": "one"}}},
        {"properties": ["epochs"]},
    ],
    ids=["no type", "no definition", "elsewhere", "no number", "no fields"],
)
def test_schemas_that_cannot_be_used_are_named_and_none_is_fetched(
    plugin: PluginFolder, schema: dict[str, Any]
) -> None:
    path = plugin.root / "src" / "schemas.json"
    path.write_text(json.dumps({"training_config": schema}))
    with pytest.raises(InputError, match=r"schemas\.json is not a usable JSON schema"):
        check_config(plugin, "train", {"epochs": 3}, "x")


def test_a_schema_may_break_the_standard_where_that_does_no_harm(plugin: PluginFolder) -> None:
    path = plugin.root / "src" / "schemas.json"
    classes = {"type": "object", "required": [], "properties": {"neutral": {"type": "string"}}}
    path.write_text(json.dumps({"training_config": {"properties": {"special_classes": classes}}}))
    validator = sly.JsonConfigValidator(path)
    validator.validate_train_cfg({"special_classes": {}})
    with pytest.raises(Exception, match=r"special_classes\.neutral: 3 is not of type 'string'"):
        validator.validate_train_cfg({"special_classes": {"neutral": 3}})


@pytest.mark.parametrize("schemas", [[], {"training_config": 3}, {"other_config": {}}])
def test_schemas_of_another_form_check_nothing(plugin: PluginFolder, schemas: object) -> None:
    (plugin.root / "src" / "schemas.json").write_text(json.dumps(schemas))
    check_config(plugin, "train", {"epochs": "x"}, "x")


@needs_bwrap
def test_nothing_runs_with_a_wrong_config_wherever_it_comes_from(
    raven: Raven, plugin: PluginFolder, project: Path, tmp_path: Path
) -> None:
    config, task = tmp_path / "mine.yaml", tmp_path / "task"
    config.write_text("epochs: none\n")
    known = (plugin.root, "--mode", "train", "--data", project)
    for command, more in (("run", ()), ("dev", ()), ("prepare", ("--task-dir", task))):
        done = raven("agent", command, *known, "--config", config, *more)
        assert done.returncode == 2 and "epochs: 'none' is not of type 'integer'" in done.stderr, command
    raven.ok("agent", "prepare", *known, "--task-dir", task)
    (task / "task_config.json").write_text('{"epochs": 1, "learning_rate": 1}')
    done = raven("agent", "run", plugin.root, "--mode", "train", "--task-dir", task)
    assert done.returncode == 2 and f"{task / 'task_config.json'}: learning_rate" in done.stderr
    assert raven.runs() == [] == tasks(raven)
    raven.ok("agent", "run", *known)
    assert "completed" in only_run(raven).joinpath("run.json").read_text()
