"""``raven config``: the user's choices."""

from __future__ import annotations

import click


@click.group(name="config")
def config() -> None:
    """Show and change what every command takes as its default."""


@config.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def show(as_json: bool) -> None:
    """Print the configuration."""
    from ravenml.config.config import load_config

    values = load_config().model_dump()
    if as_json:
        import json

        click.echo(json.dumps(values, indent=2))
        return
    for name, value in values.items():
        click.echo(f"{name}: {'(not set)' if value in (None, {}) else value}")


@config.command()
def path() -> None:
    """Print where the configuration file lies."""
    from ravenml.config.config import config_path

    click.echo(config_path())


@config.command()
@click.option("--dataset", help="The dataset that is used where none is named: a name or a folder.")
@click.option("--cache-gib", type=float, help="How large the cache of decoded images may grow, in GiB.")
def update(dataset: str | None, cache_gib: float | None) -> None:
    """Change fields of the configuration; an empty value sets one back to its default."""
    from ravenml.config.config import Config, config_path, load_config, save_config, validated

    given = {"dataset": dataset, "cache_gib": cache_gib}
    changes = {name: value for name, value in given.items() if value is not None}
    if not changes:
        raise click.UsageError("Name at least one field to change, such as --dataset NAME.")
    values = load_config().model_dump(exclude_defaults=True) | changes
    save_config(validated(Config, {k: v for k, v in values.items() if v != ""}, "raven config update"))
    for name, value in changes.items():
        click.echo(f"{name} is now {value if value != '' else 'not set'} ({config_path()}).")
