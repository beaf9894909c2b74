"""``raven runs``: what was trained, and what came of it."""

from __future__ import annotations

import click


@click.group()
def runs() -> None:
    """List and show trainings."""


@runs.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option("-n", "limit", type=click.IntRange(min=1), help="Only the newest N.", metavar="N")
def list_(as_json: bool, limit: int | None) -> None:
    """List the runs, newest first.

    Piped, the columns are separated by tabs.
    """
    import sys

    from ravenml.runs.overview import overview, rows

    found = overview(limit)
    if as_json:
        import json

        click.echo(json.dumps(found, indent=2))
        return
    if not found:
        click.echo("No runs yet; `raven train` makes one.", err=True)
        return
    table = rows(found)
    if not sys.stdout.isatty():
        click.echo("\n".join("\t".join(row) for row in table))
        return
    widths = [max(len(row[column]) for row in table) for column in range(len(table[0]))]
    for row in table:
        click.echo("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


@runs.command()
@click.argument("run", required=False, metavar="[ID]")
@click.option("--json", "as_json", is_flag=True, help="Print all of run.json and summary.json as JSON.")
def show(run: str | None, as_json: bool) -> None:
    """Show one run; without ID, the newest.  Any unique beginning of an ID will do."""
    import shutil
    import sys

    from ravenml.runs.layout import find_run
    from ravenml.runs.overview import details, full_record

    folder = find_run(run)
    if as_json:
        import json

        click.echo(json.dumps(full_record(folder), indent=2))
        return
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
    for line in details(folder, width):
        click.echo(line)
