"""The user's configuration: one YAML file in ravenML's home."""

from __future__ import annotations

import difflib
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal, TypeVar, get_args, get_origin

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ravenml.common.io import write_bytes
from ravenml.config.home import home
from ravenml.config.queues import Queue
from ravenml.config.sources import environment, variable
from ravenml.errors import InputError

Model = TypeVar("Model", bound=BaseModel)


class Config(BaseModel):
    """What the user has chosen for every command; each field has a default that needs no file."""

    model_config = ConfigDict(extra="forbid", validate_assignment=True)

    dataset: str | None = Field(None, description="The dataset that is used where none is named.")
    datasets: dict[str, str] = Field(default_factory=dict, description="Names for datasets: name to folder.")
    cache_gib: float = Field(
        20.0, gt=0, description="How large the cache of decoded images may grow, in GiB."
    )
    model_bucket_name: str | None = Field(
        None,
        description="Where finished models go: a bucket, s3://bucket/prefix or s3://host:port/bucket/prefix; "
        "without it, the folder store/ of ravenML's home.",
    )
    dataset_bucket_name: str | None = Field(
        None, description="Where datasets are pulled from and pushed to; written like model_bucket_name."
    )
    endpoint_url: str | None = Field(
        None, description="The URL of an S3 server other than Amazon's, such as https://s3.example.org."
    )
    region: str | None = Field(None, description="The buckets' region; without it, boto3's own choice.")
    addressing_style: Literal["auto", "path", "virtual"] = Field(
        "auto", description="Whether a bucket's name stands in the path or in the host's name."
    )
    profile: str | None = Field(None, description="The profile of ~/.aws whose credentials are used.")
    checksums: Literal["when_supported", "when_required"] = Field(
        "when_supported",
        description="Whether uploads carry a CRC-32 beside their MD5; some servers know no other than MD5.",
    )
    upload_checkpoints: Literal["all", "best", "none"] = Field(
        "best", description="Which of a run's checkpoints are stored beside its model."
    )
    track: str | None = Field(
        None,
        description="Which trackers read every run's events: names separated by commas, or none; by default "
        "tensorboard where its extra is installed.",
    )
    mlflow_tracking_uri: str | None = Field(
        None, description="Where MLflow keeps runs: a server's URL, sqlite:///… or a folder."
    )
    clearml: Literal["server", "offline"] = Field(
        "server", description="Whether ClearML's server is told, or an offline session is written."
    )
    queues: dict[str, Queue] = Field(
        default_factory=dict, description="Names for Ray clusters: name to address, resources, image, env."
    )
    ec2_policy: Literal["keep", "stop", "terminate"] = Field(
        "keep", description="What becomes of this EC2 instance once a training's result is safe in a bucket."
    )


def config_path() -> Path:
    """Where the configuration rests; the file need not exist."""
    return home() / "config.yaml"


def load_config(flags: Mapping[str, Any] | None = None) -> Config:
    """Read the configuration: the file, above it the environment (``RAVENML_REGION`` …), above it ``flags``.

    Raises:
        InputError: the file is not YAML, has an unknown field or a wrong value; the sentence names the file,
            the variable or the flag.
    """
    return effective_config(flags)[0]


def effective_config(flags: Mapping[str, Any] | None = None) -> tuple[Config, dict[str, str]]:
    """The configuration, and for each field where it comes from: default, file, environment or flag."""
    path = config_path()
    below = read_yaml(path) if path.exists() else {}
    validated(Config, below, str(path))
    from_environment = environment(Config.model_fields)
    given = {name: value for name, value in (flags or {}).items() if value is not None}
    spelled: dict[tuple[str, ...], str] = {(name,): variable(name) for name in from_environment}
    spelled |= {(name,): f"--{name.replace('_', '-')}" for name in given}
    config = validated(Config, {**below, **from_environment, **given}, str(path), spelled)
    sources = dict.fromkeys(Config.model_fields, "default") | dict.fromkeys(below, "file")
    sources |= dict.fromkeys(from_environment, "environment") | dict.fromkeys(given, "flag")
    return config, sources


def read_config_file() -> Config:
    """What the file alone says; without one, the defaults."""
    path = config_path()
    return validated(Config, read_yaml(path) if path.exists() else {}, str(path))


def save_config(config: Config) -> None:
    """Write the configuration atomically, readable by its owner alone."""
    path = config_path()
    content = yaml.safe_dump(config.model_dump(exclude_defaults=True), sort_keys=False, allow_unicode=True)
    before = os.umask(0o077)  # so that it is never readable by others, not even for a moment
    try:
        write_bytes(path, content.encode())
    finally:
        os.umask(before)
    path.chmod(0o600)


def read_yaml(path: Path) -> dict[str, Any]:
    """Read a YAML (or JSON) mapping.

    Raises:
        InputError: no such file, no YAML (with the line), or no mapping at its top.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise InputError(f"{path} does not exist.") from None
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path} cannot be read: {error}.") from None
    try:
        value = yaml.load(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f" in line {mark.line + 1}" if mark is not None else ""
        raise InputError(f"{path} is not valid YAML{where}: {getattr(error, 'problem', error)}.") from None
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise InputError(f"{path} must hold fields with values, such as `dataset: my_project`.")
    return value


def validated(
    model: type[Model],
    values: dict[str, Any],
    where: str,
    spelled: Mapping[tuple[str, ...], str] | None = None,
) -> Model:
    """Build ``model`` from ``values``; each fault becomes a sentence with its place and field.

    Args:
        model: what the values should be.
        values: nested plain values.
        where: the file (or command) that the values come from.
        spelled: for fields given on the command line, the option that gave them.

    Raises:
        InputError: an unknown field (with the nearest known one), a wrong type, a value out of range.
    """
    unknown = [{"type": "extra_forbidden", "loc": place} for place in _unknown(model, values)]
    if unknown:
        raise InputError("\n".join(_sentence(model, fault, where, spelled or {}) for fault in unknown))
    try:
        return model.model_validate(values)
    except ValidationError as error:
        raise InputError(
            "\n".join(_sentence(model, fault, where, spelled or {}) for fault in error.errors())
        ) from None


def _sentence(model: type[BaseModel], fault: Any, where: str, spelled: Mapping[tuple[str, ...], str]) -> str:
    field = ".".join(str(part) for part in fault["loc"])
    option = spelled.get(tuple(str(part) for part in fault["loc"]))
    place = option if option else f"{where}: `{field}`" if field else f"{where}:"
    if fault["type"] == "extra_forbidden":
        known = list(_fields_at(model, fault["loc"][:-1]))
        wrong = str(fault["loc"][-1])
        within = [name for name in known if wrong.endswith(f"_{name}")]
        close = within or difflib.get_close_matches(wrong, known, n=1)
        mend = f"did you mean `{close[0]}`?" if close else f"known are {', '.join(sorted(known))}."
        return f"{where}: `{field}` is not a known field; {mend}"
    message = fault["msg"].removeprefix("Value error, ").removeprefix("Input should be ").rstrip(".")
    if fault["type"] in ("model_type", "model_attributes_type", "dict_type"):
        inner = [name for name in _fields_at(model, fault["loc"])][:2]
        form = "{" + ", ".join(f"{name}: …" for name in inner) + "}"
        return f"{place} should hold fields, such as `{fault['loc'][-1]}: {form}`, not {fault['input']!r}."
    if fault["type"] == "int_parsing":
        return f"{place} should be a whole number, not {fault['input']!r}."
    if fault["type"] == "float_parsing":
        return f"{place} should be a number, not {fault['input']!r}."
    if fault["type"] == "missing":
        return f"{place} is missing."
    if fault["type"].startswith("value_error"):
        return f"{place} {message}."
    return f"{place} should be {message}, not {fault['input']!r}."


def _unknown(
    model: type[BaseModel], values: dict[str, Any], above: tuple[str, ...] = ()
) -> Iterator[tuple[str, ...]]:
    """The places of values that no field takes, in nested models too, where pydantic passes over them."""
    if model.model_config.get("extra") == "allow":
        return
    aliases = {field.alias for field in model.model_fields.values() if field.alias}
    for name, value in values.items():
        if name not in model.model_fields and name not in aliases:
            yield (*above, str(name))
        elif isinstance(value, dict) and (mapped := _mapped_model(model, name)) is not None:
            for key, inner in value.items():
                if isinstance(inner, dict):
                    yield from _unknown(mapped, inner, (*above, name, str(key)))
        elif isinstance(value, dict) and (nested := _nested_model(model, name)) is not None:
            yield from _unknown(nested, value, (*above, name))


def _mapped_model(model: Any, name: str) -> type[BaseModel] | None:
    """The model of each value of a field that is a mapping from names to models."""
    field = getattr(model, "model_fields", {}).get(name)
    if field is None or get_origin(field.annotation) is not dict:
        return None
    inner = get_args(field.annotation)[1]
    return inner if isinstance(inner, type) and issubclass(inner, BaseModel) else None


def _nested_model(model: Any, name: str) -> type[BaseModel] | None:
    """The model that a field holds, also behind ``| None``."""
    field = getattr(model, "model_fields", {}).get(name)
    candidates = [field.annotation, *getattr(field.annotation, "__args__", ())] if field else []
    return next((c for c in candidates if isinstance(c, type) and issubclass(c, BaseModel)), None)


def _fields_at(model: type[BaseModel], location: tuple[Any, ...]) -> list[str]:
    """The names of the fields of the (nested) model at ``location``."""
    current: Any = model
    parts = [str(part) for part in location]
    while parts:
        name = parts.pop(0)
        mapped = _mapped_model(current, name)
        if mapped is not None and parts:
            parts.pop(0)  # the key in the mapping
        current = mapped or _nested_model(current, name)
    return list(getattr(current, "model_fields", {}))
