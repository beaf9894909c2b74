"""``raven config``: the user's choices."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

# Spelled out here, and not made from the model, because importing pydantic costs every `--help` 0.2 s;
# a test compares the two.
FIELDS: dict[str, tuple[Any, str]] = {
    "dataset": (str, "The dataset that is used where none is named: a name or a folder."),
    "cache_gib": (float, "How large the cache of decoded images may grow, in GiB."),
    "model_bucket_name": (
        str,
        "Where models go: a bucket, s3://bucket/prefix, s3://host:port/bucket/prefix.",
    ),
    "dataset_bucket_name": (str, "Where datasets are pulled from and pushed to; written the same way."),
    "endpoint_url": (str, "The URL of an S3 server other than Amazon's."),
    "region": (str, "The buckets' region."),
    "addressing_style": (("auto", "path", "virtual"), "Where a bucket's name stands in a request."),
    "profile": (str, "The profile of ~/.aws whose credentials are used."),
    "checksums": (("when_supported", "when_required"), "CRC-32 beside MD5 for every upload, or MD5 alone."),
    "upload_checkpoints": (("all", "best", "none"), "Which checkpoints are stored beside a model."),
    "track": (str, "Which trackers read every run: tensorboard,mlflow,clearml, or none."),
    "mlflow_tracking_uri": (str, "Where MLflow keeps runs: a server's URL, sqlite:///… or a folder."),
    "clearml": (("server", "offline"), "Whether ClearML's server is told, or an offline session written."),
    "ec2_policy": (
        ("keep", "stop", "terminate"),
        "What becomes of this EC2 instance once a result is stored.",
    ),
}


def field_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command an option per field of the configuration; an empty value is always allowed."""
    for name, (kind, help_text) in reversed(FIELDS.items()):
        shown = (
            "[" + "|".join(kind) + "]" if isinstance(kind, tuple) else "NUMBER" if kind is float else "TEXT"
        )
        command = click.option(f"--{name.replace('_', '-')}", name, metavar=shown, help=help_text)(command)
    return command


@click.group(name="config")
def config() -> None:
    """Show and change what every command takes as its default, and try the buckets.

    \b
    A field's value comes from, the strongest first: a flag, the environment (RAVENML_REGION and so on),
    the file, its default.
    """


@config.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@field_options
def show(as_json: bool, **flags: Any) -> None:
    """Print every field with where its value comes from: default, file, environment or flag.

    With flags, as it would be with them.
    """
    from ravenml.config.config import effective_config

    found, sources = effective_config({name: value for name, value in flags.items() if value != ""})
    values = found.model_dump()
    if as_json:
        import json

        click.echo(json.dumps({**values, "sources": sources}, indent=2))
        return
    for name, value in values.items():
        click.echo(f"{name}: {'(not set)' if value in (None, {}) else value}  ({sources[name]})")


@config.command()
def path() -> None:
    """Print where the configuration file lies."""
    from ravenml.config.config import config_path

    click.echo(config_path())


@config.command()
@field_options
def update(**given: Any) -> None:
    """Change fields of the configuration; an empty value sets one back to its default."""
    from ravenml.config.config import Config, config_path, read_config_file, save_config, validated

    changes = {name: value for name, value in given.items() if value is not None}
    if not changes:
        raise click.UsageError("Name at least one field to change, such as --dataset NAME.")
    values = read_config_file().model_dump(exclude_defaults=True) | changes
    spelled: dict[tuple[str, ...], str] = {(name,): f"--{name.replace('_', '-')}" for name in changes}
    kept = {name: value for name, value in values.items() if value != ""}
    save_config(validated(Config, kept, str(config_path()), spelled))
    for name, value in changes.items():
        click.echo(f"{name} is now {value if value != '' else 'not set'} ({config_path()}).")


@config.command()
@field_options
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def check(as_json: bool, **flags: Any) -> None:
    """Try the configured buckets: list, write, read, compare, remove, and which checksums the server takes.

    Flags stand in for fields of the configuration, to try them before they are kept.

    Exit code: 0 where all works, 1 where something does not.
    """
    from ravenml.config.config import effective_config
    from ravenml.errors import RavenError
    from ravenml.store.check import check_stores

    configured, _ = effective_config({name: value for name, value in flags.items() if value != ""})
    found = check_stores(configured)
    if as_json:
        import json

        click.echo(json.dumps(found, indent=2))
    else:
        for one in found:
            click.echo(f"{one['store']}  ({one['for']})")
            for step in one["steps"]:
                click.echo(f"  {'ok  ' if step['ok'] else 'NO  '}{step['what']}")
    broken = [one for one in found if not all(step["ok"] for step in one["steps"])]
    if broken:
        raise RavenError(f"{len(broken)} of {len(found)} stores cannot be used as configured.")
