"""``raven train``: the plugins as commands, and ``raven train list``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

import ravenml
from ravenml.cli import ARGV
from ravenml.cli.options import print_table
from ravenml.cli.remote_options import remote_options
from ravenml.common.formatting import describe_error, printable
from ravenml.common.hooks import TRAIN
from ravenml.errors import RavenError
from ravenml.plugin.discovery import find_plugin, plugins
from ravenml.train import options
from ravenml.train.options import plugin_command, remember, set_option, store_unclaimed


class Plugins(click.Group):
    """The core's own commands, and beside them every plugin, imported only when it is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return [*super().list_commands(ctx), *(name for name in plugins(TRAIN) if name not in self.commands)]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        own = super().get_command(ctx, cmd_name)
        if own is not None:
            return own
        plugin = find_plugin(cmd_name)
        if plugin is None:
            return None
        ctx.meta[options.PLUGIN] = plugin
        ctx.meta[options.ARGV] = ctx.meta.get(ARGV, sys.argv[1:])
        return plugin_command(plugin)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError:
            taken = frozenset(self.commands)
            known = ", ".join(name for name, one in plugins(TRAIN).items() if not one.fault(taken)) or "none"
            raise click.UsageError(
                f"No plugin is called {args[0]!r}; installed: {known}. `raven train list` shows them.", ctx
            ) from None

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except (RavenError, click.ClickException, click.exceptions.Exit, click.Abort, BrokenPipeError):
            raise
        except Exception as error:
            plugin = ctx.meta.get(options.PLUGIN)
            if plugin is None or _is_cores_own(error):
                raise
            raise plugin.failure(describe_error(error)) from error

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        super_rows = [(name, command.get_short_help_str(80)) for name, command in self.commands.items()]
        rows = [
            (
                printable(p.name),
                f"cannot be used: {fault}" if (fault := p.fault()) else f"{p.distribution} {p.version}",
            )
            for p in plugins(TRAIN).values()
            if p.name not in self.commands
        ]
        with formatter.section("Commands"):
            formatter.write_dl(super_rows)
        if rows:
            with formatter.section("Plugins"):
                formatter.write_dl(rows)


def _is_cores_own(error: Exception) -> bool:
    """Whether an exception comes from the core's code, and not from a plugin's or what Click made of it."""
    import traceback

    core = Path(ravenml.__file__).parent
    around = (core / "cli", core / "train" / "options.py")  # what calls the plugin
    files = [Path(frame.filename) for frame in traceback.extract_tb(error.__traceback__, limit=-20)]
    return any(core in file.parents and not {file, *file.parents}.intersection(around) for file in files)


@click.group(cls=Plugins)
@click.option(
    *("-c", "--config"),
    expose_value=False,
    callback=remember,
    metavar="FILE",
    help="YAML file with values for options not given here, or a run's train_args.json.",
)
@click.option("--dataset", expose_value=False, callback=remember, help="Dataset: a folder or a name.")
@click.option("--name", expose_value=False, callback=remember, metavar="NAME", help="Name of the run.")
@click.option(
    "--local",
    expose_value=False,
    callback=remember,
    metavar="PATH",
    help="Store the result in this folder instead of the configured store.",
)
@remote_options("Train", remembered=True)
def train() -> None:
    """Train a model with an installed plugin.

    \b
    raven train list                                      list the installed plugins
    raven train --dataset DIR unet train --kfold          train with k-fold
    raven train unet train --help                         show the plugin's options
    raven train --remote QUEUE --dataset NAME unet train  train on a cluster
    """


train.params.append(set_option())


@train.result_callback()
@click.pass_context
def _finish(context: click.Context, result: Any, **_: Any) -> Any:
    """Store a ``TrainOutput`` that a command without ``@pass_train`` returned."""
    store_unclaimed(context, result)
    return result


@train.command("list")
@click.option("--check", is_flag=True, help="Import each plugin in its own process, and report broken ones.")
def list_(check: bool) -> None:
    """List the installed plugins: name, distribution, version.

    In a pipe, prints only the names of usable plugins, one per line.
    """
    found = plugins(TRAIN)
    taken = frozenset(train.commands)
    faults = {name: why for name, plugin in found.items() if (why := plugin.fault(taken))}
    if not sys.stdout.isatty():
        click.echo("".join(f"{name}\n" for name in found if name not in faults), nl=False)
        for name, fault in faults.items():
            click.echo(f"Note: the plugin {printable(name)!r} cannot be used: {fault}.", err=True)
    elif not found:
        click.echo("No training plugin is installed; `./install_all.sh` installs those of this repository.")
    else:
        rows = [("PLUGIN", "DISTRIBUTION", "VERSION", "")]
        for p in found.values():
            note = f"! {faults[p.name]}" if p.name in faults else ""
            rows.append((printable(p.name), p.distribution, p.version, note))
        print_table(rows)
    if check:
        from ravenml.plugin.check import check_plugins

        broken = check_plugins()
        for fault in broken.values():
            click.echo(fault, err=True)
        if broken or faults:
            raise RavenError(f"{len(broken.keys() | faults.keys())} of {len(found)} plugins cannot be used.")
        click.echo("Every plugin loads.", err=True)
