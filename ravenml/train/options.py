"""What plugin authors put on their commands: ``@pass_train`` and ``@kfold_opt``."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, TypeVar

import click

from ravenml.train.cli_options import core_options, keep

Function = TypeVar("Function", bound=Callable[..., Any])

MARK = "__ravenml_pass_train__"

kfold_opt = click.option("--kfold", is_flag=True, help="Train with k-fold cross-validation.")


def pass_train(function: Function) -> Function:
    """Give a command the context's ``TrainInput`` as its first argument, and the core's options.

    The ``TrainOutput`` that the command returns is stored; a command that returns nothing stores
    nothing.  With ``--kfold`` the command is not called here but once per fold, in processes of their
    own.
    """

    @functools.wraps(function)
    def command(*args: Any, **kwargs: Any) -> Any:
        from ravenml.train.command import run_command

        context = click.get_current_context()
        return run_command(context, lambda train: context.invoke(function, train, *args, **kwargs))

    setattr(command, MARK, True)
    return command  # type: ignore[return-value]


def remote_options(command: Function) -> Function:
    """The options of ``raven train`` that send a training away."""
    for option in (
        click.option(
            "--remote",
            expose_value=False,
            callback=keep,
            metavar="QUEUE",
            help="Train on the Ray cluster that this queue names; `local` is one on this machine.",
        ),
        click.option(
            *("--workers", "group_workers"),
            type=click.IntRange(min=1),
            expose_value=False,
            callback=keep,
            metavar="N",
            help="With --remote: train one model with N processes.",
        ),
        click.option(
            "--retries",
            type=click.IntRange(min=0),
            expose_value=False,
            callback=keep,
            metavar="N",
            help="With --remote: how often a lost worker, or a lost cluster, is made up for (default 3).",
        ),
    ):
        command = option(command)
    return command


def extend(command: click.Command, settings_options: Callable[[], list[click.Option]]) -> None:
    """Give every marked command at or below ``command`` the core's and the settings' options.

    A name or a parameter that the plugin has taken is left to it.  Calling twice changes nothing.

    Args:
        command: what a plugin's entry point names.
        settings_options: makes the options of the plugin's settings; called only where they are needed.
    """
    if isinstance(command, click.Group):
        for inner in list(command.commands.values()):
            extend(inner, settings_options)
        return
    if not getattr(command.callback, MARK, False) or getattr(command, "_ravenml_extended", False):
        return
    command._ravenml_extended = True  # type: ignore[attr-defined]
    taken = {
        spelling for parameter in command.params for spelling in (*parameter.opts, *parameter.secondary_opts)
    }
    names = {parameter.name for parameter in command.params}
    for option in [*settings_options(), *core_options()]:
        if option.name not in names and not taken.intersection([*option.opts, *option.secondary_opts]):
            command.params.append(option)
            taken.update([*option.opts, *option.secondary_opts])
