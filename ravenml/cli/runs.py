"""``raven runs``: list, compare, repeat and manage runs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from ravenml.cli.options import patience_option, print_table
from ravenml.cli.runs_notes import archive, note, rename, restore, tag
from ravenml.common.formatting import format_size, terminal_safe
from ravenml.runs.record import STATUSES

if TYPE_CHECKING:
    from ravenml.runs.comparison import Comparison
    from ravenml.runs.stored import StoredResult

ANYTHING = {"ignore_unknown_options": True}  # of a command's words behind --


@click.group()
def runs() -> None:
    """List, compare, repeat and manage runs."""


@runs.command("list")
@click.argument("words", nargs=-1, metavar="[TEXT]...")
@click.option("--plugin", help="Only runs of this plugin.", metavar="NAME")
@click.option(
    "--status",
    "statuses",
    multiple=True,
    type=click.Choice(STATUSES),
    help="Only runs with this status; repeatable.",
)
@click.option("--tag", "tags", multiple=True, help="Only runs with this tag; repeatable, all must match.")
@click.option(
    "--since", help="Only runs started since: 30min, 12h, 2d, 3w (ago), or 2026-11-01.", metavar="WHEN"
)
@click.option(
    "--where",
    multiple=True,
    help='Only runs that match this condition: "val/miou>0.5 and lr<=0.01".',
    metavar="CONDITION",
)
@click.option("--archived", is_flag=True, help="Only archived runs, which are left out otherwise.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option("-n", "limit", type=click.IntRange(min=1), help="Only the newest N.", metavar="N")
def list_(
    words: tuple[str, ...],
    plugin: str | None,
    statuses: tuple[str, ...],
    tags: tuple[str, ...],
    since: str | None,
    where: tuple[str, ...],
    archived: bool,
    as_json: bool,
    limit: int | None,
) -> None:
    """List the runs, newest first.

    TEXT is searched in ID, name, project, plugin, program, dataset, tags and note; of several, all must
    occur.  --where compares metrics (val/miou), settings (lr, input_size.width) and fields (plugin, dataset,
    created, name, note …) with = != < <= > >= and ~ (contains), joined by `and` and `or`; each name gets its
    own column.  WHAT is a training's plugin, or `program`.  In a pipe, columns are separated by tabs.
    """
    import sys

    from ravenml.runs.filters import filter_runs, parse_since, parse_where
    from ravenml.runs.notes import ARCHIVED
    from ravenml.runs.overview import overview, rows

    conditions = [condition for text in where for condition in parse_where(text)]
    moment = parse_since(since) if since else None
    everything = overview()
    found = filter_runs(
        everything,
        conditions,
        plugin=plugin,
        statuses=statuses,
        tags=tags,
        since=moment,
        words=words,
        archived=None if ARCHIVED in tags else archived,
    )[:limit]
    if as_json:
        import orjson

        click.echo(orjson.dumps(found, option=orjson.OPT_INDENT_2))
        return
    if not found:
        said = "No runs match." if everything else "No runs yet; `raven train` makes one."
        click.echo(said, err=True)
        return
    named = [name for condition in conditions for name in condition.names]
    print_table(rows(found, named, short=sys.stdout.isatty()))
    for row in found:
        if row["status"] == "broken":
            click.echo(f"{row['id']} is broken: {terminal_safe(row['error'])}", err=True)


@runs.command()
@click.argument("run", required=False, metavar="[ID]")
@click.option("--json", "as_json", is_flag=True, help="Print all of run.json and summary.json as JSON.")
def show(run: str | None, as_json: bool) -> None:
    """Show a run; without ID, the newest.  Any unique prefix of an ID will do."""
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
    help="Checkpoints to store with the model.",
)
@click.option(
    "--local",
    type=click.Path(file_okay=False),
    help="Store it in this folder instead of the configured store.",
)
@patience_option
def upload(run: str | None, upload_checkpoints: str | None, local: str | None) -> None:
    """Store a completed run's result; without ID, the newest run's.

    Files that are complete are not sent again, so an interrupted upload resumes.
    """
    from ravenml.errors import Interrupted
    from ravenml.runs.layout import find_run
    from ravenml.runs.upload import store_run

    folder = find_run(run)
    try:
        stored = store_run(folder, Path(local).absolute() if local else None, upload_checkpoints)
    except KeyboardInterrupt:
        raise Interrupted(f"Storing was interrupted; resume with: raven runs upload {folder.name}") from None
    click.echo(f"Stored:    {stored.where}")
    if stored.summary:
        click.echo(f"           {stored.summary}")


@runs.command()
@click.argument("names", nargs=-1, required=True, metavar="ID ID...")
@click.option("--metric", "metrics", multiple=True, metavar="NAME", help="Draw this metric; repeatable.")
@click.option("--png", type=click.Path(dir_okay=False, path_type=Path), help="Also write the chart as a PNG.")
@click.option(
    "--group-by",
    "groups",
    multiple=True,
    metavar="SETTING",
    help="Mean and deviation of runs with the same SETTING; -SETTING: of runs that differ in it alone.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON: differing settings, and every metric.")
@click.option("--csv", "as_csv", is_flag=True, help="With --group-by: print CSV.")
def compare(
    names: tuple[str, ...],
    metrics: tuple[str, ...],
    png: Path | None,
    groups: tuple[str, ...],
    as_json: bool,
    as_csv: bool,
) -> None:
    """Compare runs: differing settings, scores, and a chart of the metrics.

    \b
    raven runs compare --group-by -seed ID ID ID ID    mean ± deviation over the seeds
    """
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
    if groups:
        if metrics or png is not None:
            raise click.UsageError("--metric and --png draw single runs; leave them out with --group-by.")
        _show_groups(compared, groups, as_json, as_csv)
        return
    if as_csv:
        raise click.UsageError("--csv belongs to --group-by; name a setting, or use --json.")
    wanted = compared.metrics_to_chart(metrics)
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


@runs.command(short_help="Write a page about runs, to mail or to print.")
@click.argument("names", nargs=-1, metavar="[ID]...")
@click.option(
    "--html",
    "page",
    required=True,
    metavar="FILE",
    type=click.Path(dir_okay=False, path_type=Path),
    help="The page to write; one file, which a browser opens without network access.",
)
def report(names: tuple[str, ...], page: Path) -> None:
    """Write a page about one or several runs; without ID, about the newest.

    It shows what the runs are, their curves, scores, settings that differ, newest predictions, and commands.
    """
    from ravenml.runs.layout import find_run
    from ravenml.runs.report import write_report

    folders = list(dict.fromkeys(find_run(name) for name in names)) or [find_run(None)]
    file = page.expanduser()
    write_report(folders, file)
    click.echo(f"Wrote {file}: {format_size(file.stat().st_size)}.")


def _show_groups(compared: Comparison, names: tuple[str, ...], as_json: bool, as_csv: bool) -> None:
    from ravenml.runs.grouping import group_csv, group_runs, group_table

    found = group_runs(compared, names)
    if as_json:
        import json

        from ravenml.runs.run_row import printable

        click.echo(json.dumps(printable([one.as_json() for one in found]), indent=2))
    elif as_csv:
        click.echo(group_csv(found), nl=False)
    else:
        for line in group_table(found):
            click.echo(line)


@runs.command()
@click.argument("run", metavar="ID")
@click.option(
    "--into",
    type=click.Path(file_okay=False, path_type=Path),
    help="Output folder.  Default: reproduce-ID in this folder.",
)
@click.option("--here", is_flag=True, help="Use the current Python environment instead of creating one.")
@click.option("--dataset", metavar="DIR", help="Dataset folder, if it has moved.")
@click.option("--anyway", is_flag=True, help="Continue even if the data changed.")
@click.option(
    "--set",
    "sets",
    multiple=True,
    metavar="NAME=VALUE",
    help="Value of a secret, which was not recorded; repeatable.",
)
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
    """Repeat a recorded run, and report how well the results agree.

    Checks out the recorded commits with their uncommitted changes in a new folder, creates an environment
    with the recorded versions, and runs the recorded command on the recorded data, verified by hash.
    Reports what could not be restored, and whether each metric is identical, close (within 1 %) or
    different.  The exit code is 0 only if none is different.
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
@click.option("-f", "--follow", is_flag=True, help="Follow the output until the run ends.")
@click.option(
    "-n", "tail", type=click.IntRange(min=0), metavar="N", help="Only the last N lines of each log."
)
@click.option("--raw", is_flag=True, help="Print every byte, escape sequences too, without the folds' names.")
def logs(run: str | None, follow: bool, tail: int | None, raw: bool) -> None:
    """Print the output of a run and of its folds; without ID, the newest run's."""
    from ravenml.runs.follow import read_logs, read_raw_logs
    from ravenml.runs.layout import find_run

    folder = find_run(run)
    if raw:
        for content in read_raw_logs(folder, tail, follow):
            click.echo(content, nl=False)
        return
    for line in read_logs(folder, tail, follow):
        click.echo(line)


@runs.command()
@click.argument("run", metavar="ID")
@click.option(
    "--grace", type=click.FloatRange(min=0), default=60.0, show_default=True, help="Seconds to wait."
)
@click.option("--kill", is_flag=True, help="If it has not stopped by then, send SIGTERM, then SIGKILL.")
def stop(run: str, grace: float, kill: bool) -> None:
    """Stop a run gracefully and report the outcome."""
    from ravenml.runs.layout import find_run
    from ravenml.runs.record import read_record
    from ravenml.runs.stop import stop_run

    folder = find_run(run)
    now = stop_run(folder, grace, kill, lambda text: click.echo(text, err=True))
    click.echo(f"{folder.name} is {now}.")
    if now in ("interrupted", "lost", "failed") and read_record(folder).get("resume"):
        click.echo(f"Resume with: raven runs resume {folder.name}")


@runs.command(context_settings=ANYTHING)
@click.argument("run", metavar="ID")
@click.argument("more", nargs=-1, type=click.UNPROCESSED, metavar="[-- OPTION...]")
def resume(run: str, more: tuple[str, ...]) -> None:
    """Resume a run that was interrupted, failed or lost, with its original command.

    Words after -- are added to the command: raven runs resume ID -- --epochs 50
    """
    from ravenml.runs.layout import find_run
    from ravenml.runs.record import read_record
    from ravenml.runs.replay import replay_resume

    folder = find_run(run)
    record = read_record(folder)
    replay = replay_resume(folder, record, more)
    click.echo(f"Runs: {terminal_safe(str(replay))}", err=True)
    replay.start_instead(record.get("plugin"))


@runs.command(context_settings=ANYTHING)
@click.argument("run", metavar="ID")
@click.option(
    "--set", "sets", multiple=True, metavar="NAME=VALUE", help="Change a setting, such as lr=0.1; repeatable."
)
@click.option("--dry-run", is_flag=True, help="Print the command without running it.")
@click.argument("more", nargs=-1, type=click.UNPROCESSED, metavar="[-- OPTION...]")
def clone(run: str, sets: tuple[str, ...], dry_run: bool, more: tuple[str, ...]) -> None:
    """Start a new run with the settings of an old one, some of them changed.

    A training uses the whole recorded config (dataset, folds, every setting), even if its config file has
    changed; --set changes any field by its name in the config file.  For a program recorded by `raven
    run`, --set changes its arguments.  Words after -- are added to the command.

    \b
    raven runs clone 20261121-0412 --set lr=0.1 --set input_size.width=512
    """
    from ravenml.runs.layout import find_run
    from ravenml.runs.record import read_record
    from ravenml.runs.replay import replay_clone

    folder = find_run(run)
    record = read_record(folder)
    replay = replay_clone(folder, record, sets, more)
    if dry_run:
        click.echo(terminal_safe(str(replay)))
        return
    click.echo(f"Runs: {terminal_safe(str(replay))}", err=True)
    replay.start_instead(record.get("plugin"))


@runs.command(short_help="Send a run's events to a tracker.")
@click.argument("run", metavar="ID", required=False)
@click.option("--to", "names", multiple=True, metavar="TRACKER", help="Only to this tracker; repeatable.")
def sync(run: str | None, names: tuple[str, ...]) -> None:
    """Send a run's missing events to TensorBoard, MLflow, ClearML …; without ID, the newest run's.

    Configured trackers (`raven config update --track tensorboard,mlflow`) receive events while a run is
    running; use this for trackers that were not configured or not reachable.
    """
    from ravenml.config.config import load_config
    from ravenml.runs.exporters.registry import configured_exporters
    from ravenml.runs.exporters.sync import sync_run
    from ravenml.runs.layout import find_run

    config = load_config()
    readers = list(names) or configured_exporters(config)
    if not readers:
        raise click.UsageError("No tracker is configured; name one, such as --to mlflow.")
    for line in sync_run(find_run(run), readers, config):
        click.echo(line)


@runs.command()
@click.argument("names", nargs=-1, required=True, metavar="ID...")
@click.option("-y", "--yes", is_flag=True, help="Do not ask for confirmation.")
@click.option(
    "--with-stored",
    is_flag=True,
    help="Also delete what they have stored: models, files sent elsewhere, and what a queue keeps of them.",
)
def rm(names: tuple[str, ...], yes: bool, with_stored: bool) -> None:
    """Delete runs: their folders, including checkpoints and models.

    Runs that are running or waiting for their cluster are refused.  Stored results are kept, unless you
    pass --with-stored; it refuses runs whose model another run began with.
    """
    import sys

    from ravenml.errors import InputError
    from ravenml.remote.client.stored_mirror import find_mirror, remove_mirror
    from ravenml.runs.layout import find_run
    from ravenml.runs.removal import check_removable, may_come_back, remove_run

    folders = list(dict.fromkeys(find_run(name) for name in names))
    for folder in folders:
        check_removable(folder)
    stored = _stored_results(folders) if with_stored else {}
    mirrors = {folder: find_mirror(folder) for folder in folders} if with_stored else {}
    if not yes:
        if not (sys.stdin.isatty() and sys.stdout.isatty()):
            raise InputError("There is no terminal to ask for confirmation; use --yes.")
        for folder in folders:
            click.echo(folder.name)
            for place in stored[folder].places() if folder in stored else ():
                click.echo(f"  and in {terminal_safe(place)}")
            if mirror := mirrors.get(folder):
                click.echo(f"  and in {terminal_safe(mirror.store.name)} (its mirror, of the queue)")
        click.confirm(f"Remove {'these runs' if len(folders) > 1 else 'this run'} permanently?", abort=True)
    for folder in folders:
        sent = may_come_back(folder)
        # First what is stored: a run whose store does not answer is still there, and can be removed again.
        count = stored[folder].remove() if stored.get(folder) else 0
        if mirror := mirrors.get(folder):
            count += remove_mirror(mirror)
        remove_run(folder)
        click.echo(f"Removed {folder.name}{f', and {count} files in the store' if count else ''}.")
        if sent:
            left = (
                "what may still run there can write to the store again."
                if with_stored
                else "its mirror stays in the store, and another machine may submit it again."
            )
            click.echo(f"Note: it was sent to a cluster and has not ended; {left}", err=True)


def _stored_results(folders: list[Path]) -> dict[Path, StoredResult]:
    """What each run has stored; refused where another run began with one of the models."""
    from ravenml.errors import InputError
    from ravenml.runs.stored import find_stored, used_by

    gone = [folder.name for folder in folders]
    for folder in folders:
        if users := used_by(folder.name, gone):
            raise InputError(
                f"{', '.join(users[:3])} began with the model of {folder.name}; remove "
                f"{'it' if len(users) == 1 else 'them'} as well, or leave --with-stored out."
            )
    return {folder: find_stored(folder) for folder in folders}


@runs.command()
@click.argument("names", nargs=-1, metavar="[ID]...")
@click.option(
    "--keep", default="best,last", show_default=True, metavar="NAMES", help="Checkpoints to keep: best, last."
)
@click.option("--dry-run", is_flag=True, help="Only list what would be deleted.")
@click.option("-y", "--yes", is_flag=True, help="Do not ask for confirmation.")
def prune(names: tuple[str, ...], keep: str, dry_run: bool, yes: bool) -> None:
    """Delete checkpoints that are neither the best nor the last, in the stores too; without ID, of all runs.

    Runs that are running are left alone.  Models are kept, and so are checkpoints that another run began
    with, and what an unfinished run needs to be resumed.
    """
    from ravenml.cli.options import confirm
    from ravenml.config.home import runs_dir
    from ravenml.remote.client.stored_mirror import find_mirror
    from ravenml.runs.layout import find_run, run_ids
    from ravenml.runs.pruning import find_prunable, parse_keep
    from ravenml.runs.pruning import prune as prune_run

    wanted = parse_keep(keep)
    named = [find_run(name) for name in names] or [runs_dir() / name for name in run_ids()]
    found = []
    for folder in dict.fromkeys(named):
        mirror = find_mirror(folder)
        copy = (mirror.store, mirror.key("files/")) if mirror is not None else None
        if (one := find_prunable(folder, wanted, copy)) is not None:
            found.append(one)
    for one in found:
        click.echo(f"{one.folder.name}: {' and '.join(one.places())}, {format_size(one.size)}")
    if not found:
        click.echo("There is nothing to delete.", err=True)
    if dry_run or not found:
        return
    total = format_size(sum(one.size for one in found))
    confirm(f"Delete these checkpoints permanently ({total})?", yes)
    for one in found:
        prune_run(one)
    click.echo(f"Deleted {total}.")


@runs.command()
@click.argument("run", metavar="ID")
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
def export(run: str, file: Path) -> None:
    """Write a run, including its folds, to FILE, a tar archive; .tar.gz is compressed."""
    from ravenml.runs.archive import export_run
    from ravenml.runs.layout import find_run

    done = export_run(find_run(run), file)
    click.echo(f"Wrote {file}: {done.files} files, {format_size(done.size)}.")
    if done.masked:
        click.echo(f"Note: what looks like a secret was masked in {', '.join(done.masked)}.", err=True)
    for link in done.links:
        click.echo(f"Note: {link} is a link to something elsewhere and was left out.", err=True)


@runs.command("import")
@click.option(
    "--from",
    "source",
    type=click.Choice(["tensorboard", "mlflow", "wandb", "trackio"]),
    help="Import all runs that this tool has kept at PATH.",
)
@click.argument("file", metavar="PATH", type=click.Path(path_type=Path))
def import_(source: str | None, file: Path) -> None:
    """Import a run from a file that `raven runs export` wrote, or the runs of another tool.

    \b
    raven runs import best.tar.gz
    raven runs import --from mlflow mlruns

    Importing twice makes no copies: a run that is here already is left alone, or replaced if it has grown.
    """
    from ravenml.runs.archive import import_run

    if source is not None:
        from ravenml.runs.importers import import_from

        for folder, new in import_from(source, file):
            click.echo(f"{folder.name} {'was imported' if new else 'was already here, unchanged'}.")
        return
    folder, new = import_run(file)
    click.echo(
        f"{folder.name} was imported: {folder}" if new else f"{folder.name} was already here, identical."
    )


for command in (tag, note, rename, archive, restore):
    runs.add_command(command)
