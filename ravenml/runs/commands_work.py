"""``raven runs logs``, ``stop``, ``resume`` and ``clone``: runs that are, and runs that shall be."""

from __future__ import annotations

import click

ANYTHING = {"ignore_unknown_options": True}


@click.command()
@click.argument("run", required=False, metavar="[ID]")
@click.option("-f", "--follow", is_flag=True, help="Go on with what is printed, until the run ends.")
@click.option(
    "-n", "tail", type=click.IntRange(min=0), metavar="N", help="Only the last N lines of each log."
)
def logs(run: str | None, follow: bool, tail: int | None) -> None:
    """Print what a run printed, and what its folds did; without ID, the newest's."""
    from ravenml.runs.follow import printed
    from ravenml.runs.layout import find_run

    for line in printed(find_run(run), tail, follow):
        click.echo(line)


@click.command()
@click.argument("run", metavar="ID")
@click.option(
    "--grace", type=click.FloatRange(min=0), default=60.0, show_default=True, help="Wait so many seconds."
)
@click.option("--kill", is_flag=True, help="If it has not stopped then: SIGTERM, and at last SIGKILL.")
def stop(run: str, grace: float, kill: bool) -> None:
    """Ask a run to stop in good order, wait, and say what came of it."""
    from ravenml.runs.layout import find_run
    from ravenml.runs.record import read_record
    from ravenml.runs.stop_request import stop_run

    folder = find_run(run)
    now = stop_run(folder, grace, kill, lambda text: click.echo(text, err=True))
    click.echo(f"{folder.name} is {now}.")
    if now in ("interrupted", "lost", "failed") and read_record(folder).get("resume"):
        click.echo(f"Go on with: raven runs resume {folder.name}")


@click.command(context_settings=ANYTHING)
@click.argument("run", metavar="ID")
@click.argument("more", nargs=-1, type=click.UNPROCESSED, metavar="[-- OPTION...]")
def resume(run: str, more: tuple[str, ...]) -> None:
    """Go on with a run that was interrupted, failed or lost, by the command that it was started with.

    What stands behind -- is added to the command: raven runs resume ID -- --epochs 50
    """
    from ravenml.runs.layout import find_run
    from ravenml.runs.record import read_record
    from ravenml.runs.replay import resuming

    folder = find_run(run)
    record = read_record(folder)
    replay = resuming(folder, record, more)
    click.echo(f"Runs: {replay}", err=True)
    replay.start_instead(record.get("plugin"))


@click.command(context_settings=ANYTHING)
@click.argument("run", metavar="ID")
@click.option("--set", "sets", multiple=True, metavar="NAME=VALUE", help="What is different, such as lr=0.1.")
@click.option("--dry-run", is_flag=True, help="Only print the command.")
@click.argument("more", nargs=-1, type=click.UNPROCESSED, metavar="[-- OPTION...]")
def clone(run: str, sets: tuple[str, ...], dry_run: bool, more: tuple[str, ...]) -> None:
    """Start a new run like an old one, with some settings changed.

    A training takes the old one's whole config (dataset, folds, every setting), whatever the file that it
    came from says today; --set changes any field of it by its name in the config file. Of a program that
    `raven run` recorded, --set changes its arguments. What stands behind -- is added to the command.

    \b
    raven runs clone 20261121-0412 --set lr=0.1 --set input_size.width=512
    """
    from ravenml.runs.layout import find_run
    from ravenml.runs.record import read_record
    from ravenml.runs.replay import cloning

    folder = find_run(run)
    record = read_record(folder)
    replay = cloning(folder, record, sets, more)
    if dry_run:
        click.echo(str(replay))
        return
    click.echo(f"Runs: {replay}", err=True)
    replay.start_instead(record.get("plugin"))
