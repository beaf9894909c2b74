"""The user's configuration: one YAML file in ravenML's home."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, field_validator

from ravenml.common.io import write_bytes
from ravenml.common.parsing import read_yaml
from ravenml.common.permissions import parse_umask
from ravenml.common.validation import validate
from ravenml.config.home import home
from ravenml.config.notify import Notify
from ravenml.config.queues import Queue
from ravenml.errors import InputError

if TYPE_CHECKING:
    from pydantic.fields import FieldInfo


def _split_folders(value: object) -> object:
    """``~/nets,~/losses``, as the command line and the environment have a list of folders."""
    return [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value


class Config(BaseModel):
    """What the user has chosen for every command; each field has a default that needs no file."""

    model_config = ConfigDict(extra="forbid", validate_assignment=True)

    dataset: str | None = Field(None, description="Default dataset.")
    datasets: dict[str, str] = Field(
        default_factory=dict, description=("Named datasets: a folder for each name.")
    )
    cache_gib: float = Field(20.0, gt=0, description="Size limit of the cache of decoded images, in GiB.")
    model_bucket_name: str | None = Field(
        None,
        description="Where models are stored: a bucket, s3://bucket/prefix or s3://host:port/bucket/prefix; "
        "without it, the folder store/ of ravenML's home.",
    )
    dataset_bucket_name: str | None = Field(
        None, description="Where datasets are stored; same forms as model_bucket_name."
    )
    endpoint_url: str | None = Field(
        None, description="URL of an S3-compatible server, such as https://s3.example.org."
    )
    region: str | None = Field(None, description="Region of the buckets.  Default: boto3's choice.")
    addressing_style: Literal["auto", "path", "virtual"] = Field(
        "auto", description="Whether the bucket's name goes into the URL's path or its host."
    )
    profile: str | None = Field(None, description="Profile in ~/.aws that provides the credentials.")
    checksums: Literal["when_supported", "when_required"] = Field(
        "when_supported",
        description=(
            "Send the parts of large files with a CRC-32, or with an MD5 for servers that know nothing else."
        ),
    )
    patience: float = Field(
        600.0,
        ge=0,
        allow_inf_nan=False,
        description="Seconds for which a request to a bucket that fails is repeated.",
    )
    upload_checkpoints: Literal["all", "best", "none"] = Field(
        "best", description="Checkpoints to store with a model."
    )
    track: str | None = Field(
        None,
        description="Which trackers read every run's events: names separated by commas, or none; by default "
        "tensorboard where its extra is installed.",
    )
    mlflow_tracking_uri: str | None = Field(
        None, description="Where MLflow stores runs: a server's URL, sqlite:///… or a folder."
    )
    clearml: Literal["server", "offline"] = Field(
        "server", description="Send to ClearML's server, or write an offline session."
    )
    notify: Notify | None = Field(
        None,
        description="Who is told when a run fails, hangs or ends: a webhook's URL, a command, or a mapping "
        "with command, webhook, when and silence.",
    )
    queues: dict[str, Queue] = Field(
        default_factory=dict, description="Ray clusters by name: address, resources, image, env."
    )
    trusted_code: Annotated[list[str], BeforeValidator(_split_folders)] = Field(
        default_factory=list,
        description="Folders of code of your own, which models and runs may name without --trust-code.",
    )
    umask: str | None = Field(
        None,
        description="Who else may use ravenML's home, as a umask: 077 nobody, 007 its group, 022 readers.",
    )
    mask_console: bool = Field(
        False, description="Mask secrets in the recorded output of programs (console.log) too."
    )
    ec2_policy: Literal["keep", "stop", "terminate"] = Field(
        "keep", description="What happens to this EC2 instance after a result is stored in a bucket."
    )

    @field_validator("umask", mode="before")
    @classmethod
    def _is_umask(cls, value: object) -> object:
        text = f"{value:03o}" if type(value) is int else value  # YAML reads 007 as an octal number
        if isinstance(text, str):
            try:
                return f"{parse_umask(text):03o}"
            except InputError:
                raise ValueError("should be three octal digits, such as 077 or 007") from None
        return value


def config_path() -> Path:
    """The path of the configuration file, which need not exist."""
    return home() / "config.yaml"


def load_config(flags: Mapping[str, object] | None = None) -> Config:
    """Read the configuration: the file, above it the environment (``RAVENML_REGION`` …), above it ``flags``.

    Raises:
        InputError: the file is not YAML, has an unknown field or a wrong value; the sentence names the file,
            the variable or the flag.
    """
    return effective_config(flags)[0]


def effective_config(flags: Mapping[str, object] | None = None) -> tuple[Config, dict[str, str]]:
    """The configuration, and for each field where it comes from: default, file, environment or flag."""
    path = config_path()
    below = read_yaml(path) if path.exists() else {}
    validate(Config, below, str(path))
    from_environment = _from_environment()
    given = {name: value for name, value in (flags or {}).items() if value is not None}
    spelled: dict[tuple[str, ...], str] = {(name,): environment_variable(name) for name in from_environment}
    spelled |= {(name,): f"--{name.replace('_', '-')}" for name in given}
    config = validate(Config, {**below, **from_environment, **given}, str(path), spelled)
    sources = dict.fromkeys(Config.model_fields, "default") | dict.fromkeys(below, "file")
    sources |= dict.fromkeys(from_environment, "environment") | dict.fromkeys(given, "flag")
    return config, sources


def _from_environment() -> dict[str, str]:
    """The fields that the environment sets, by name; an empty variable counts as not set."""
    fields = [name for name, field in Config.model_fields.items() if is_single(field)]
    found = {name: os.environ.get(environment_variable(name), "") for name in fields}
    return {name: value for name, value in found.items() if value}


def environment_variable(name: str) -> str:
    """The environment variable that sets a field: ``RAVENML_REGION`` sets ``region``."""
    return f"RAVENML_{name.upper()}"


def is_single(field: FieldInfo) -> bool:
    """Whether a field holds one value, and not a mapping, which no variable can set."""
    return "dict" not in str(field.annotation)


def read_config_file() -> Config:
    """What the file alone says; without one, the defaults."""
    path = config_path()
    return validate(Config, read_yaml(path) if path.exists() else {}, str(path))


def save_config(config: Config) -> None:
    """Write the configuration atomically, with the mode that all of the home has."""
    path = config_path()
    content = yaml.safe_dump(config.model_dump(exclude_defaults=True), sort_keys=False, allow_unicode=True)
    write_bytes(path, content.encode())
