"""What a training is asked to do, as ``raven train -c FILE`` and a run's ``train_args.json`` say it."""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from ravenml.common.io import JsonObject
from ravenml.common.parsing import read_yaml
from ravenml.common.schema import Fields, read_object
from ravenml.common.secrets import drop_hidden
from ravenml.common.validation import validate
from ravenml.errors import InputError
from ravenml.runs.layout import RUN_JSON, TRAIN_ARGS
from ravenml.runs.record import read_record

SCHEMA = 1
PLUGIN_NAME = "plugin_name"  # in files that the wizard or a run wrote: whose settings `plugin` holds


class Metadata(BaseModel):
    """Who trained, and why; further fields of the user's own are kept."""

    model_config = ConfigDict(extra="allow")

    created_by: str | None = Field(None, description="Who trained.")
    comments: str | None = Field(None, description="Comments on this training.")

    def near_misses(self) -> dict[str, str]:
        """Fields of the user's own whose names look like ours misspelt, with the one that was meant."""
        known = list(type(self).model_fields)
        found = {
            name: difflib.get_close_matches(name.lower().replace("-", "_"), known, n=1, cutoff=0.8)
            for name in self.model_extra or {}
        }
        return {name: close[0] for name, close in found.items() if close}


class KFold(BaseModel):
    """How the images are divided for k-fold cross-validation."""

    model_config = ConfigDict(extra="forbid")

    folds: int = Field(5, ge=2, description="How many folds.")
    by: str = Field("random", description="random, dataset, or a regular expression that groups names.")
    seed: int = Field(0, ge=0, description="The seed of the division.")
    tag: str | None = Field(None, description="Only images with this tag.")


class SplitChoice(BaseModel):
    """How the images are divided without k-fold; one way alone is given.

    Without any, image tags divide where both are used, else a fifth of the images validates, by chance.
    """

    model_config = ConfigDict(extra="forbid")

    train: Path | None = Field(None, description="With `val`: the file that lists the images to learn from.")
    val: Path | None = Field(None, description="With `train`: the file that lists the images to validate.")
    percent: float | None = Field(
        None, gt=0, lt=100, description="So many percent of the images validate, by chance (`split_seed`)."
    )
    tags: tuple[str, str] | None = Field(None, description="The image tags that divide: train, val.")
    datasets: list[str] | None = Field(None, min_length=1, description="These datasets validate.")

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if (self.train is None) != (self.val is None):
            raise ValueError("names one file of two; give train and val")
        given = [n for n in ("train", "percent", "tags", "datasets") if getattr(self, n) is not None]
        if len(given) != 1:
            raise ValueError("should be one of train with val, percent, tags or datasets")
        if self.tags is not None and self.tags[0] == self.tags[1]:
            raise ValueError(f"names the tag {self.tags[0]!r} twice; name two different tags")
        return self


class TrainConfig(BaseModel):
    """The effective config of a training.

    ``plugin`` holds the settings of the plugin, in the form of its published model where it has one.
    """

    model_config = ConfigDict(extra="forbid", ser_json_inf_nan="strings")

    v: int = Field(SCHEMA, le=SCHEMA, description="The schema of this file.")
    dataset: str | None = Field(None, description="Dataset: a folder or a name (see `raven data list`).")
    name: str | None = Field(None, description="Name of the run.")
    artifact_path: str | None = Field(
        None, description="Store the result in this folder instead of the configured store."
    )
    overwrite_local: bool = Field(
        False, description="Replace what ravenML wrote into `artifact_path` earlier; nothing else is touched."
    )
    metadata: Metadata = Field(
        Metadata.model_validate({}),
        description="Stored with the result; further fields of your own may follow.",
    )
    kfold: KFold | None = Field(
        None, description="Train with k-fold cross-validation: true, or a mapping with these fields."
    )
    split: SplitChoice | None = Field(
        None,
        description="Divide the images in one of these ways.  Default: by image tags where both are used, "
        "else a random fifth validates.",
    )
    untagged: Literal["train", "val", "ignore"] | None = Field(
        None,
        description="Where image tags divide: untagged images train, validate (val), or are left out "
        "(ignore).  Default: train.",
    )
    split_seed: int = Field(0, ge=0, description="Seed of a random split.")
    preset: str | None = Field(None, description="Use this preset of the plugin.")
    jobs: int | None = Field(
        None,
        ge=1,
        description="Folds to train in parallel.  Default: as many as are fastest here, if the plugin can "
        "measure that, else 1.",
    )
    upload_checkpoints: Literal["all", "best", "none"] | None = Field(
        None, description="Checkpoints to store with the model.  Default: best."
    )
    ec2_policy: Literal["keep", "stop", "terminate"] | None = Field(
        None,
        description="What happens to this EC2 instance after the result is stored in a bucket.  Default: the "
        "configuration's.",
    )
    answers: dict[str, str | bool | int | float | list[str]] = Field(
        default_factory=dict,
        description="Answers to what a plugin written for ravenML 1 asks, by question.",
    )
    plugin: JsonObject | list[Any] = Field(default_factory=dict)

    @field_validator("ec2_policy", mode="before")
    @classmethod
    def _former_policy(cls, value: object) -> object:
        """In ravenML 1, anything but `stop` and `terminate` left the instance running."""
        known = ("stop", "terminate")
        if isinstance(value, bool):  # YAML reads `no` and `off` as false
            value = "on" if value else "off"
        if not isinstance(value, str) or value in known:
            return value
        return value if difflib.get_close_matches(value.lower(), known, cutoff=0.7) else "keep"

    @field_validator("kfold", mode="before")
    @classmethod
    def _switch(cls, value: object) -> object:
        """``kfold: true`` means five random folds, ``kfold: false`` none."""
        return {} if value is True else None if value is False else value


def read_train_config(path: Path, plugin: str | None = None) -> JsonObject:
    """Read a config file as plain values, checked against :class:`TrainConfig`; relative paths of its
    split are taken from where the file lies.

    Args:
        path: the file.
        plugin: the plugin that is to be trained; a file for another one is refused.

    Raises:
        InputError: no such file, no YAML, an unknown field (with the nearest known), a wrong value.
    """
    values = read_yaml(path)
    named = pop_plugin_name(values, str(path))
    if plugin is not None and named not in (None, plugin):
        raise InputError(f"{path}: `{PLUGIN_NAME}` is {named}, so its settings are not those of {plugin}.")
    validate(TrainConfig, values, str(path))
    split = values.get("split")
    if isinstance(split, dict):
        values["split"] = {
            name: str(path.parent / str(value)) if name in ("train", "val") and value is not None else value
            for name, value in split.items()
        }
    return values


def has_recorded_config(run: Path) -> bool:
    """Whether :func:`read_recorded_config` finds anything, if it can be read."""
    return (run / TRAIN_ARGS).exists() or bool(read_record(run).get("config"))


def read_recorded_config(run: Path) -> JsonObject:
    """The settings of a training as its run has recorded them, without those that were hidden as secrets.

    ``run.json`` has them from its first moment on; ``train_args.json`` is written a moment later, and says
    what was chosen in between.

    Raises:
        InputError: they are not settings of a training; the sentence names the file and the field.
        RavenError: the file cannot be read.
    """
    path = run / TRAIN_ARGS
    if path.exists():
        values = drop_hidden(read_object(path, Fields({})))
    else:
        path = run / RUN_JSON
        values = drop_hidden(read_record(run).get("config") or {})
    validate(TrainConfig, values, str(path))
    return dict(values)


def pop_plugin_name(values: JsonObject, where: str) -> str | None:
    """Take the plugin's name out of a config file's content, where it stands there.

    Raises:
        InputError: it is not a name.
    """
    name = values.pop(PLUGIN_NAME, None)
    if name is not None and not isinstance(name, str):
        raise InputError(f"{where}: `{PLUGIN_NAME}` should be a plugin's name.")
    return name
