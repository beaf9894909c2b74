"""The options that send a training or a program to a queue, and what each asks of the cluster there."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click
from click.core import ParameterSource

from ravenml.common.defaults import DEFAULT_RETRIES
from ravenml.common.formatting import parse_bytes
from ravenml.errors import InputError
from ravenml.train.options import Function, remember

Callback = Callable[[click.Context, click.Parameter, Any], object]


def _keep(context: click.Context, parameter: click.Parameter, value: Any) -> object:
    return value


def remote_options(what: str, *, remembered: bool = False) -> Callable[[Function], Function]:
    """``--remote`` and the options that belong to it.

    Args:
        what: what they send away, such as ``Train``.
        remembered: whether the values are remembered for a deeper command instead of being passed.
    """
    then: Callback = remember if remembered else _keep
    more: dict[str, Any] = {"expose_value": not remembered, "callback": then}

    def add(command: Function) -> Function:
        for option in (
            click.option(
                "--remote",
                metavar="QUEUE",
                help=f"{what} on the Ray cluster of this queue; `local` is one on this machine.",
                **more,
            ),
            processes_option(
                "processes",
                help="With --remote: start N processes, with the environment variables of torchrun.",
                then=then,
                expose_value=not remembered,
            ),
            click.option(
                "--cpus",
                type=click.FloatRange(min=0),
                metavar="N",
                help="With --remote: CPUs of each process or fold, instead of the queue's.",
                **more,
            ),
            click.option(
                "--gpus",
                type=click.FloatRange(min=0),
                metavar="N",
                help="With --remote: GPUs of each process or fold, instead of the queue's.",
                **more,
            ),
            click.option(
                "--memory",
                metavar="SIZE",
                help="With --remote: memory of each process or fold, such as 16GiB, instead of the queue's.",
                expose_value=not remembered,
                callback=lambda context, parameter, value: then(context, parameter, _bytes(value)),
            ),
            click.option(
                "--retries",
                type=click.IntRange(min=0),
                metavar="N",
                help="With --remote: how often to replace a lost worker or cluster "
                f"(default {DEFAULT_RETRIES}).",
                **more,
            ),
        ):
            command = option(command)
        return command

    return add


def _bytes(text: str | None) -> int | None:
    if text is None:
        return None
    try:
        return parse_bytes(text, "--memory")
    except InputError as error:
        raise click.BadParameter(str(error)) from None


def processes_option(
    name: str, *, then: Callable[..., object] = lambda context, parameter, value: value, **more: Any
) -> Callable[[Function], Function]:
    """``--processes N``, and its former name ``--workers``, which warns."""
    former = f"ravenml.{name}"

    def warn(context: click.Context, parameter: click.Parameter, value: int | None) -> None:
        if value is not None:
            click.echo("Note: --workers is now called --processes.", err=True)
            context.meta[former] = value

    def choose(context: click.Context, parameter: click.Parameter, value: int | None) -> object:
        given = context.meta.pop(former, None)
        if given is not None and context.get_parameter_source(name) == ParameterSource.DEFAULT:
            value = given
            context.set_parameter_source(name, ParameterSource.COMMANDLINE)
        return then(context, parameter, value)

    def add(command: Function) -> Function:
        count = click.IntRange(min=1)
        command = click.option(
            *("--workers", f"{name}_former"),
            type=count,
            hidden=True,
            is_eager=True,
            expose_value=False,
            callback=warn,
        )(command)
        return click.option("--processes", name, type=count, metavar="N", callback=choose, **more)(command)

    return add
