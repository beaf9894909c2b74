"""``raven config``: default settings, and whether the configured buckets work."""

from __future__ import annotations

from collections.abc import Callable

import click

Command = Callable[..., None]

# Spelled out here, and not made from the model, because importing pydantic costs every `--help` 0.2 s;
# a test compares the two.
FIELDS: dict[str, tuple[type | tuple[str, ...], str]] = {
    "dataset": (str, "Default dataset: a name or a folder."),
    "cache_gib": (float, "Size limit of the cache of decoded images, in GiB."),
    "model_bucket_name": (
        str,
        "Where models are stored: a bucket, s3://bucket/prefix, s3://host:port/bucket/prefix.",
    ),
    "dataset_bucket_name": (str, "Where datasets are stored; same forms."),
    "endpoint_url": (str, "URL of an S3-compatible server."),
    "region": (str, "Region of the buckets."),
    "addressing_style": (
        ("auto", "path", "virtual"),
        "Whether the bucket's name goes into the URL's path or its host.",
    ),
    "profile": (str, "Profile in ~/.aws that provides the credentials."),
    "checksums": (
        ("when_supported", "when_required"),
        "Send the parts of large files with a CRC-32, or with an MD5.",
    ),
    "patience": (float, "Seconds for which a request to a bucket that fails is repeated."),
    "upload_checkpoints": (("all", "best", "none"), "Checkpoints to store with a model."),
    "track": (str, "Trackers that receive every run: tensorboard,mlflow,clearml, or none."),
    "mlflow_tracking_uri": (str, "Where MLflow stores runs: a server's URL, sqlite:///… or a folder."),
    "clearml": (("server", "offline"), "Send to ClearML's server, or write an offline session."),
    "notify": (str, "Webhook's URL, or command, that is told when a run fails, hangs or ends."),
    "trusted_code": (str, "Folders of your own code that models may name: FOLDER,FOLDER."),
    "umask": (str, "Who else may use ravenML's home: 077 nobody, 007 its group, 022 all may read."),
    "mask_console": (str, "Mask secrets in recorded output (console.log) too: true or false."),
    "ec2_policy": (
        ("keep", "stop", "terminate"),
        "What happens to this EC2 instance after a result is stored.",
    ),
}


def field_options(command: Command) -> Command:
    """Give a command an option per field of the configuration; an empty value is always allowed."""
    for name, (kind, help_text) in reversed(FIELDS.items()):
        shown = (
            "[" + "|".join(kind) + "]" if isinstance(kind, tuple) else "NUMBER" if kind is float else "TEXT"
        )
        command = click.option(f"--{name.replace('_', '-')}", name, metavar=shown, help=help_text)(command)
    return command


@click.group(name="config")
def config() -> None:
    """Show or change default settings; test storage access.

    \b
    Precedence, highest first: flag, environment (RAVENML_REGION and so on), configuration file, default.
    """


@config.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@field_options
def show(as_json: bool, **flags: str | None) -> None:
    """Print every setting and where its value comes from: default, file, environment or flag.

    Flags are applied as if they had been set.
    """
    from ravenml.common.secrets import redact_text
    from ravenml.config.config import effective_config

    found, sources = effective_config({name: value for name, value in flags.items() if value != ""})
    values = found.model_dump() | ({"notify": found.notify.masked()} if found.notify is not None else {})
    if as_json:
        import json

        click.echo(json.dumps({**values, "sources": sources}, indent=2))
        return
    for name, value in values.items():
        shown = "(not set)" if value in (None, {}, []) else redact_text(str(value))
        click.echo(f"{name}: {shown}  ({sources[name]})")


@config.command()
def path() -> None:
    """Print the path of the configuration file."""
    from ravenml.config.config import config_path

    click.echo(config_path())


@config.command()
@field_options
def update(**given: str | None) -> None:
    """Change settings; an empty value restores the default."""
    from ravenml.common.validation import validate
    from ravenml.config.config import Config, config_path, read_config_file, save_config
    from ravenml.runs.exporters.registry import check_trackers

    changes = {name: value for name, value in given.items() if value is not None}
    if not changes:
        raise click.UsageError("Name at least one setting to change, such as --dataset NAME.")
    values = read_config_file().model_dump(exclude_defaults=True) | changes
    spelled: dict[tuple[str, ...], str] = {(name,): f"--{name.replace('_', '-')}" for name in changes}
    kept = {name: value for name, value in values.items() if value != ""}
    missing = check_trackers(track) if (track := changes.get("track")) else []
    config = validate(Config, kept, str(config_path()), spelled)
    save_config(config)
    if config.notify is not None and "notify" in changes:
        changes["notify"] = str(config.notify.masked())
    for name, value in changes.items():
        click.echo(f"{name} is now {value if value != '' else 'not set'} ({config_path()}).")
    for sentence in missing:
        click.echo(f"Note: {sentence}", err=True)


@config.command()
@field_options
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def check(as_json: bool, **flags: str | None) -> None:
    """Test the configured buckets: list, write, read, compare, delete, and the checksums the server accepts.

    Flags replace settings, so that they can be tested before they are saved.

    Exit code: 0 if everything works, 1 if something does not.
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
