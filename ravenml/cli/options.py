"""What several commands share: options, a question, a table, former names."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import click

from ravenml.common.formatting import terminal_safe

_LONGEST = 1e9  # seconds: 30 years


def _keep_trying(context: click.Context, parameter: click.Parameter, seconds: float | None) -> None:
    import os

    if seconds is not None:
        if not 0 <= seconds <= _LONGEST:  # of a click.FloatRange the help would show the limits
            raise click.BadParameter(f"{seconds:g} is not between 0 and {_LONGEST:g} seconds.")
        os.environ["RAVENML_PATIENCE"] = str(seconds)  # which the processes that this one starts have, too


patience_option = click.option(
    "--patience",
    type=float,
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
            help="Precision for the engine; auto uses bf16 if the CPU supports it.",
        ),
        click.option(
            "--engine",
            type=click.Choice(("auto", "torch", "onnxruntime", "openvino")),
            default="auto",
            show_default=True,
            help="Engine that runs the network; torch is the plugin's own framework.",
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


def report_problems(problems: Sequence[str], place: Path) -> None:
    """Print what is wrong with a plugin, a line each, or that nothing is.

    Raises:
        RavenError: something is wrong.
    """
    from ravenml.errors import RavenError

    for problem in problems:
        click.echo(problem, err=True)
    if problems:
        count = f"{len(problems)} thing{'s are' if len(problems) > 1 else ' is'}"
        raise RavenError(f"{count} wrong with {place}.")
    click.echo(f"Nothing is wrong with {place}.")


@contextmanager
def local_only_if_unreachable(allowed: bool) -> Iterator[None]:
    """Around what asks the bucket: where it fails, say so on stderr and continue without it.

    Args:
        allowed: whether there is something else to show.
    """
    from ravenml.errors import Interrupted, RavenError

    try:
        yield
    except RavenError as error:
        if not allowed or isinstance(error, Interrupted):
            raise
        click.echo(f"Note: only what is on this machine is listed. {error}", err=True)


def print_table(table: Sequence[Sequence[str]], tabs_in_pipe: bool = True) -> None:
    """A table with a header; by default separated by tabs in a pipe.

    On a terminal it is aligned.  Where a row is wider than the terminal, columns without any content are
    left out, then the gaps shrink, then columns are wrapped; the first, which other commands take, only if
    nothing else helps.
    """
    import shutil
    import sys

    table = [[terminal_safe(cell).replace("\t", " ") for cell in row] for row in table]
    terminal = sys.stdout.isatty()
    if tabs_in_pipe and not terminal:
        click.echo("\n".join("\t".join(row) for row in table))
        return
    columns = list(zip(*table, strict=True))
    filled = [cells for cells in columns if set(cells[1:]) - {"-", ""}] or columns
    for shown, gap in ((columns, 2), (filled, 2), (filled, 1)):
        widths = [max(map(_width, cells)) for cells in shown]
        if not terminal or sum(widths) + gap * (len(widths) - 1) <= shutil.get_terminal_size().columns:
            for row in zip(*shown, strict=True):
                cells = (cell + " " * (width - _width(cell)) for cell, width in zip(row, widths, strict=True))
                click.echo((" " * gap).join(cells).rstrip())
            return
    _print_wrapped(filled)


def _width(text: str) -> int:
    """The columns that a text takes on a terminal."""
    if text.isascii():  # as almost always, and rich is not loaded for it
        return len(text)
    from rich.cells import cell_len

    return cell_len(text)


def _print_wrapped(columns: Sequence[Sequence[str]]) -> None:
    """Columns wrapped between words, or within words of more than a dozen letters; of fewer, if need be."""
    from rich.cells import cell_len
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console(highlight=False)
    full = [max(map(cell_len, cells)) for cells in columns]
    words = [max(cell_len(word) for cell in cells for word in cell.split(" ")) for cells in columns]

    def spare(gap: int, widths: Sequence[int]) -> int:
        return console.width - sum(widths) - gap * (len(widths) - 1)

    gaps = [(2, 12), *((1, longest) for longest in range(12, 1, -1))]
    # The first column whole, then wrapped between its words, then anywhere.
    tries = [
        (gap, [first, *(min(word, longest) for word in words[1:])])
        for first, least in ((full[0], 6), (words[0], 4), (8, 2))
        for gap, longest in gaps
        if longest >= least
    ]
    gap, widths = next((one for one in tries if spare(*one) >= 0), tries[-1])
    for _ in range(spare(gap, widths)):  # what is left goes where most is wrapped
        at = max(range(len(full)), key=lambda number: full[number] - widths[number])
        widths[at] += widths[at] < full[at]
    grid = Table.grid(padding=(0, gap, 0, 0), pad_edge=False)
    for width in widths:
        grid.add_column(overflow="fold", width=width)
    for row in zip(*columns, strict=True):
        grid.add_row(*map(Text, row))
    console.print(grid)


def former_name(command: click.Command, name: str) -> click.Command:
    """The command under a name that it had: not listed, and it says what it is called now."""
    former = copy.copy(command)
    former.name, former.hidden, former.deprecated = name, True, f"Use `{command.name}`."
    return former
