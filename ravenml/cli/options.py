"""What several commands share: options, a question, a table, former names."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence

import click

from ravenml.common.formatting import terminal_safe


def _keep_trying(context: click.Context, parameter: click.Parameter, seconds: float | None) -> None:
    import os

    if seconds is not None:
        os.environ["RAVENML_PATIENCE"] = str(seconds)  # which the processes that this one starts have, too


patience_option = click.option(
    "--patience",
    type=click.FloatRange(min=0, max=1e9),
    metavar="SECONDS",
    expose_value=False,
    callback=_keep_trying,
    help="Repeat a request to a bucket that fails for this long (default: the configured 600).",
)


def store_option(command: Callable[..., None]) -> Callable[..., None]:
    """``--store``, passed as ``address``, and ``--patience``."""
    return click.option(
        "--store",
        "address",
        metavar="BUCKET",
        help="Use this bucket or s3:// address instead of the configured one.",
    )(patience_option(command))


def engine_options(command: Callable[..., None]) -> Callable[..., None]:
    """``--engine`` and ``--engine-precision``, passed as ``engine`` and ``engine_precision``."""
    for option in (
        click.option(
            "--engine-precision",
            type=click.Choice(("auto", "32", "bf16", "int8")),
            default="auto",
            show_default=True,
            help="What an engine computes in; auto is bf16 where OpenVINO finds units for it.",
        ),
        click.option(
            "--engine",
            type=click.Choice(("auto", "torch", "onnxruntime", "openvino")),
            default="auto",
            show_default=True,
            help="What computes the network; torch is the plugin's own framework.",
        ),
    ):
        command = option(command)
    return command


def confirm(question: str, yes: bool) -> None:
    """Ask; without a terminal, only ``--yes`` counts."""
    import sys

    if yes:
        return
    if not sys.stdin.isatty():
        raise click.UsageError(f"{question} Say --yes.")
    click.confirm(question, abort=True)


def print_table(table: Sequence[Sequence[str]], tabs_in_pipe: bool = True) -> None:
    """A table with a header; aligned on a terminal, by default separated by tabs in a pipe."""
    import sys

    table = [[terminal_safe(cell).replace("\t", " ") for cell in row] for row in table]
    if tabs_in_pipe and not sys.stdout.isatty():
        click.echo("\n".join("\t".join(row) for row in table))
        return
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    for row in table:
        click.echo("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def former_name(command: click.Command, name: str) -> click.Command:
    """The command under a name that it had: not listed, and it says what it is called now."""
    former = copy.copy(command)
    former.name, former.hidden, former.deprecated = name, True, f"Use `{command.name}`."
    return former
