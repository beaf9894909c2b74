"""``raven runs rm``, ``export`` and ``import``: what becomes of runs."""

from __future__ import annotations

from pathlib import Path

import click


@click.command()
@click.argument("runs", nargs=-1, required=True, metavar="ID...")
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
def rm(runs: tuple[str, ...], yes: bool) -> None:
    """Remove runs: their folders with all checkpoints and models in them.

    A run that is running or waits for its cluster is refused.  What was stored of a run stays in its store.
    """
    import sys

    from ravenml.errors import InputError
    from ravenml.runs.layout import find_run
    from ravenml.runs.removal import check_removable, may_come_back, remove_run

    folders = list(dict.fromkeys(find_run(run) for run in runs))
    for folder in folders:
        check_removable(folder)
    if not yes:
        if not (sys.stdin.isatty() and sys.stdout.isatty()):
            raise InputError("Nobody is there to be asked; --yes removes without asking.")
        for folder in folders:
            click.echo(folder.name)
        click.confirm(f"Remove {'these runs' if len(folders) > 1 else 'this run'} for good?", abort=True)
    for folder in folders:
        sent = may_come_back(folder)
        remove_run(folder)
        click.echo(f"Removed {folder.name}.")
        if sent:
            click.echo(
                "Note: it was sent to a cluster and has not ended; its mirror stays in the store, and "
                "whoever watches there may send it again.",
                err=True,
            )


@click.command()
@click.argument("run", metavar="ID")
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
def export(run: str, file: Path) -> None:
    """Write a run, its folds too, to one FILE: a tar archive; compressed if it is called .tar.gz."""
    from ravenml.runs.archive import export_run
    from ravenml.runs.layout import find_run

    done = export_run(find_run(run), file)
    click.echo(f"Wrote {file}: {done.files} files, {done.size / 2**20:.1f} MiB.")
    for link in done.links:
        click.echo(f"Note: {link} is a link to something elsewhere and was left out.", err=True)


@click.command("import")
@click.argument("file", type=click.Path(path_type=Path))
def import_(file: Path) -> None:
    """Bring a run from a FILE that `raven runs export` wrote, on whichever machine, into this home."""
    from ravenml.runs.archive import import_run

    folder, new = import_run(file)
    click.echo(
        f"{folder.name} is here now: {folder}" if new else f"{folder.name} was here already, identical."
    )
