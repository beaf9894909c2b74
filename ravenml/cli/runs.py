"""``raven runs``: what was trained, and what came of it."""

from __future__ import annotations

from pathlib import Path

import click

ANYTHING = {"ignore_unknown_options": True}  # of a command's words behind --


@click.group()
def runs() -> None:
    """List, compare, repeat and keep runs."""


@runs.command("list")
@click.option("--plugin", help="Only runs of this plugin.", metavar="NAME")
@click.option(
    "--status",
    "statuses",
    multiple=True,
    type=click.Choice(["running", "completed", "failed", "interrupted", "lost", "broken"]),
    help="Only runs that stand like this; may be given several times.",
)
@click.option("--tag", "tags", multiple=True, help="Only runs with this tag; several: with all of them.")
@click.option("--since", help="Only runs begun since: 30min, 12h, 2d, 3w ago, or 2026-11-01.", metavar="WHEN")
@click.option(
    "--where",
    multiple=True,
    help='Only runs of which this is true: "val/miou>0.5 and lr<=0.01".',
    metavar="CONDITION",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option("-n", "limit", type=click.IntRange(min=1), help="Only the newest N of them.", metavar="N")
def list_(
    plugin: str | None,
    statuses: tuple[str, ...],
    tags: tuple[str, ...],
    since: str | None,
    where: tuple[str, ...],
    as_json: bool,
    limit: int | None,
) -> None:
    """List the runs, newest first.

    --where compares metrics (val/miou), settings (lr, input_size.width) and fields (plugin, dataset, created,
    name, note …) with = != < <= > >= and ~ (holds this text); what it names gets a column of its own.
    Piped, the columns are separated by tabs.
    """
    import sys

    from ravenml.runs.filters import chosen, parse_since, parse_where
    from ravenml.runs.overview import overview, rows

    conditions = [condition for text in where for condition in parse_where(text)]
    moment = parse_since(since) if since else None
    filtered = bool(plugin or statuses or tags or moment or conditions)
    everything = overview(None if filtered else limit)
    found = chosen(everything, conditions, plugin=plugin, statuses=statuses, tags=tags, since=moment)[:limit]
    if as_json:
        import orjson

        click.echo(orjson.dumps(found, option=orjson.OPT_INDENT_2))
        return
    if not found:
        said = "No run is like that." if everything else "No runs yet; `raven train` makes one."
        click.echo(said, err=True)
        return
    table = rows(found, [condition.name for condition in conditions])
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


@runs.command()
@click.argument("run", required=False, metavar="[ID]")
@click.option(
    "--upload-checkpoints",
    type=click.Choice(["all", "best", "none"]),
    help="Which checkpoints are stored beside the model.",
)
@click.option("--local", type=click.Path(file_okay=False), help="Store it in this folder instead.")
def upload(run: str | None, upload_checkpoints: str | None, local: str | None) -> None:
    """Store a completed run's result; without ID, the newest's.

    What is there and whole is not sent again, so an upload that failed, or was killed, goes on.
    """
    from ravenml.errors import Interrupted
    from ravenml.runs.layout import find_run
    from ravenml.runs.upload import store_run

    folder = find_run(run)
    try:
        stored = store_run(folder, Path(local).absolute() if local else None, upload_checkpoints)
    except KeyboardInterrupt:
        raise Interrupted(f"Storing was interrupted; go on with: raven runs upload {folder.name}") from None
    click.echo(f"Stored:    {stored.where}")
    if stored.summary:
        click.echo(f"           {stored.summary}")


@runs.command()
@click.argument("names", nargs=-1, required=True, metavar="ID ID...")
@click.option(
    "--metric", "metrics", multiple=True, metavar="NAME", help="Draw this one; may be given several times."
)
@click.option(
    "--png", type=click.Path(dir_okay=False, path_type=Path), help="Write the chart as a picture, too."
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON: settings that differ, and every metric.")
def compare(names: tuple[str, ...], metrics: tuple[str, ...], png: Path | None, as_json: bool) -> None:
    """Set runs side by side: the settings that differ, the scores, and a chart of how they went."""
    import shutil
    import sys

    from ravenml.runs.chart import write_png
    from ravenml.runs.comparison import compare as compared_runs
    from ravenml.runs.comparison import report
    from ravenml.runs.layout import find_run

    folders = list(dict.fromkeys(find_run(name) for name in names))
    if len(folders) < 2:
        raise click.UsageError("Name two runs or more; `raven runs list` shows them.")
    compared = compared_runs(folders)
    wanted = compared.charted(metrics)
    if as_json:
        import json

        click.echo(json.dumps(compared.as_json(), indent=2))
    else:
        terminal = sys.stdout.isatty()
        width = shutil.get_terminal_size().columns if terminal else 80
        bold = (lambda text: click.style(text, bold=True)) if terminal else str
        for line in report(compared, metrics, width, terminal, bold):
            click.echo(line)
    if png is not None:
        if not wanted:
            raise click.UsageError("None of the runs reported a metric over time; there is nothing to draw.")
        write_png(png, compared.ids, {name: compared.curve(name) for name in wanted})
        click.echo(f"Wrote {png}.", err=True)


@runs.command()
@click.argument("run", metavar="ID")
@click.option(
    "--into",
    type=click.Path(file_okay=False, path_type=Path),
    help="Where all of it goes; by default reproduce-ID in this folder.",
)
@click.option("--here", is_flag=True, help="Use this Python and its packages; make no environment.")
@click.option("--dataset", metavar="DIR", help="Where the data are now, if not where they were.")
@click.option("--anyway", is_flag=True, help="Go on with data that are not the recorded ones.")
@click.option("--set", "sets", multiple=True, metavar="NAME=VALUE", help="A secret, which was not recorded.")
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON.")
def reproduce(
    run: str,
    into: Path | None,
    here: bool,
    dataset: str | None,
    anyway: bool,
    sets: tuple[str, ...],
    as_json: bool,
) -> None:
    """Do a recorded run once more, and say how well it agrees.

    In a folder of its own, the recorded commits are checked out with their recorded changes, and an
    environment is made with the recorded versions; then the recorded command runs on the recorded data,
    verified by their hash. What could not be restored is listed, and each metric is identical, close (within
    1 %) or different. The exit code is 0 only if none is different.
    """
    import sys

    from ravenml.common.io import read_json
    from ravenml.runs.layout import find_run
    from ravenml.runs.reproduce.repeat import REPORT
    from ravenml.runs.reproduce.repeat import reproduce as repeat

    folder = find_run(run)
    target = (into or Path(f"reproduce-{folder.name}")).absolute()
    done = repeat(
        folder,
        target,
        in_this_environment=here,
        dataset=dataset,
        anyway=anyway,
        sets=sets,
        output=sys.stderr.fileno() if as_json else None,
        say=lambda text: click.echo(text, err=True),
    )
    if as_json:
        import json

        click.echo(json.dumps(read_json(target / REPORT), indent=2))
    else:
        click.echo("")
        for line in done.lines():
            click.echo(line)
        click.echo(f"All of it: {target}")
    if done.exit_code:
        click.echo(f"Note: the command ended with {done.exit_code}.", err=True)
    sys.exit(0 if done.agrees and not done.exit_code else 1)


@runs.command()
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


@runs.command()
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


@runs.command(context_settings=ANYTHING)
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


@runs.command(context_settings=ANYTHING)
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


@runs.command()
@click.argument("run", metavar="ID")
@click.argument("tags", nargs=-1, metavar="[TAG]...")
@click.option("--remove", multiple=True, metavar="TAG", help="Take this tag off; may be given several times.")
def tag(run: str, tags: tuple[str, ...], remove: tuple[str, ...]) -> None:
    """Put tags on a run, or take them off; without any, print those that it has."""
    from ravenml.runs.layout import find_run
    from ravenml.runs.notes import change_tags, read_notes

    folder = find_run(run)
    has = change_tags(folder, tags, remove) if tags or remove else read_notes(folder).get("tags", [])
    click.echo(" ".join(has) or "(no tags)")


@runs.command()
@click.argument("run", metavar="ID")
@click.argument("text", required=False)
@click.option("--remove", is_flag=True, help="Remove the note.")
def note(run: str, text: str | None, remove: bool) -> None:
    """Write a note on a run, in place of the one before; without TEXT, print it."""
    from ravenml.runs.layout import find_run
    from ravenml.runs.notes import change_note, read_notes

    folder = find_run(run)
    if text is not None and remove:
        raise click.UsageError("Give a TEXT or --remove, not both.")
    if text is None and not remove:
        click.echo(read_notes(folder).get("note") or "(no note)")
        return
    change_note(folder, text)


@runs.command(short_help="Bring a run's events to a tracker.")
@click.argument("run", metavar="ID", required=False)
@click.option(
    "--to", "names", multiple=True, metavar="READER", help="Only to this one; may be given several times."
)
def sync(run: str | None, names: tuple[str, ...]) -> None:
    """Bring to TensorBoard, MLflow, ClearML … what they have not got of a run's events; without ID, of the
    newest run.

    The readers that are configured (`raven config update --track tensorboard,mlflow`) do so by themselves
    while a run is going on; this is for those that were not, or could not.
    """
    from ravenml.config.config import load_config
    from ravenml.runs.exporters.registry import chosen_readers
    from ravenml.runs.exporters.sync import sync_run
    from ravenml.runs.layout import find_run

    config = load_config()
    readers = list(names) or chosen_readers(config)
    if not readers:
        raise click.UsageError("No reader is configured; name one, such as --to mlflow.")
    for line in sync_run(find_run(run), readers, config):
        click.echo(line)


@runs.command()
@click.argument("names", nargs=-1, required=True, metavar="ID...")
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
def rm(names: tuple[str, ...], yes: bool) -> None:
    """Remove runs: their folders with all checkpoints and models in them.

    A run that is running or waits for its cluster is refused.  What was stored of a run stays in its store.
    """
    import sys

    from ravenml.errors import InputError
    from ravenml.runs.layout import find_run
    from ravenml.runs.removal import check_removable, may_come_back, remove_run

    folders = list(dict.fromkeys(find_run(name) for name in names))
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


@runs.command()
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


@runs.command("import")
@click.argument("file", type=click.Path(path_type=Path))
def import_(file: Path) -> None:
    """Bring a run from a FILE that `raven runs export` wrote, on whichever machine, into this home."""
    from ravenml.runs.archive import import_run

    folder, new = import_run(file)
    click.echo(
        f"{folder.name} is here now: {folder}" if new else f"{folder.name} was here already, identical."
    )
