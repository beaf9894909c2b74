"""The core's own options: what they are, and what was given for them on a command line."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import click
from click.core import ParameterSource

from ravenml.context import OPTIONS
from ravenml.runs.secrets import is_secret


def core_options() -> list[click.Option]:
    """New instances of the options that every marked command has."""

    def option(name: str, help: str, **more: Any) -> click.Option:
        variable = "RAVENML_" + name.removeprefix("--").upper().replace("-", "_")
        return click.Option([name], help=help, expose_value=False, callback=keep, envvar=variable, **more)

    return [
        click.Option(
            ["-c", "--config"],
            help="Take what is not given here from this file.",
            metavar="FILE",
            expose_value=False,
            callback=keep,
        ),
        option("--dataset", "The dataset: a folder or a name (see `raven data list`)."),
        option("--kfold", "Train with k-fold cross-validation.", is_flag=True),
        option("--folds", "How many folds (default 5); implies --kfold.", type=int, metavar="N"),
        option("--fold-by", "What stays together: random, dataset, or a regular expression on names."),
        option(
            "--fold-seed", "The seed of folds and of a random split (default 0).", type=int, metavar="SEED"
        ),
        option("--fold-from", "Use only images with this tag for k-fold.", metavar="TAG"),
        option("--fold", "Train one fold alone, counted from 0.", type=int, metavar="I", multiple=True),
        option("--jobs", "How many folds to train side by side (default 1).", type=int, metavar="N"),
        option(
            "--resume",
            "Go on with a run that was interrupted, or with a k-fold run's missing folds.",
            metavar="ID",
        ),
        set_option(),
        option("--preset", "Start from one of the plugin's presets.", metavar="TITLE"),
        option("--local", "Store the result in this folder instead of the configured store.", metavar="PATH"),
        option(
            "--upload-checkpoints",
            "Which checkpoints are stored beside the model (default best).",
            type=click.Choice(["all", "best", "none"]),
        ),
        option("--in-process", "Run folds in this process, for a debugger.", is_flag=True, hidden=True),
    ]


def set_option() -> click.Option:
    """``--set``: every field of the config by its name; it may stand on both levels, and all of it counts."""
    return click.Option(
        ["--set", "set"],
        multiple=True,
        metavar="NAME=VALUE",
        help="Set any field of the config by its name there (lr=0.1, kfold.folds=3); wins over everything.",
        expose_value=False,
        callback=_keep_all,
    )


def _keep_all(context: click.Context, parameter: click.Parameter, value: tuple[str, ...]) -> None:
    if value:
        given = context.meta.setdefault(OPTIONS, {})
        outer = given["set"][1] if "set" in given else ()
        given["set"] = (True, (*outer, *value))


def keep(context: click.Context, parameter: click.Parameter, value: Any) -> None:
    """Remember an option's value with its source; a deeper command's wins over an outer one's."""
    name = parameter.name or ""
    source = context.get_parameter_source(name)
    if parameter.multiple:
        if len(value) > 1:
            raise click.UsageError(
                f"--{name} was given {len(value)} times, but one training has one {name}; give it once, or "
                "leave it out to train them all.",
                context,
            )
        value = value[0] if value else None
    if source in (ParameterSource.COMMANDLINE, ParameterSource.ENVIRONMENT):
        given = context.meta.setdefault(OPTIONS, {})
        rank = source == ParameterSource.COMMANDLINE
        if name not in given or given[name][0] <= rank:
            given[name] = (rank, value)


def given_options(context: click.Context) -> dict[str, Any]:
    """The core's options that were given, on whichever level, and whoever declared them.

    An option that the plugin declares itself under one of the core's spellings is read from the command
    that has it.  The command line beats the environment; deeper beats outer.
    """
    given: dict[str, tuple[bool, Any]] = dict(context.meta.get(OPTIONS, {}))
    for name, level, parameter in _plugins_own(context):
        source = level.get_parameter_source(parameter)
        if source in (ParameterSource.COMMANDLINE, ParameterSource.ENVIRONMENT):
            rank = source == ParameterSource.COMMANDLINE
            if name not in given or given[name][0] < rank:
                given[name] = (rank, level.params[parameter])
    return {name: value for name, (_, value) in given.items() if value is not None and value is not False}


def plugin_defaults(context: click.Context) -> dict[str, Any]:
    """What the plugin's own declarations of the core's options say where nothing was given."""
    defaults: dict[str, Any] = {}
    for name, level, parameter in _plugins_own(context):
        value = level.params[parameter]
        if level.get_parameter_source(parameter) == ParameterSource.DEFAULT and value not in (None, False):
            defaults.setdefault(name, value)
    return defaults


def _plugins_own(context: click.Context) -> Iterator[tuple[str, click.Context, str]]:
    """The plugin's options that are spelled like one of the core's: the core's name, where, its own name."""
    # A plugin's own --config or --set is its own affair: the names are too common to mean ours.
    common = ("config", "set")
    spellings = {option.opts[0]: str(option.name) for option in core_options() if option.name not in common}
    level: click.Context | None = context
    while level is not None:
        for parameter in level.command.params:
            name = next((spellings[opt] for opt in parameter.opts if opt in spellings), None)
            if name is not None and parameter.name in level.params:
                yield name, level, parameter.name
        level = level.parent


def secret_options(context: click.Context) -> list[str]:
    """The spellings, short ones too, of the options whose names look like secrets."""
    found: list[str] = []
    level: click.Context | None = context
    while level is not None:
        found += [
            opt for p in level.command.params if is_secret(f"{p.name} {' '.join(p.opts)}") for opt in p.opts
        ]
        level = level.parent
    return found
