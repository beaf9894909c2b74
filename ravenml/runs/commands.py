"""``raven runs``: what was trained, and what came of it."""

from __future__ import annotations

import click

from ravenml.runs import commands_compare, commands_keep, commands_notes, commands_work


@click.group()
def runs() -> None:
    """List, compare, repeat and keep runs."""


for command in (
    *(commands_compare.compare, commands_compare.reproduce),
    *(commands_work.logs, commands_work.stop, commands_work.resume, commands_work.clone),
    *(commands_notes.tag, commands_notes.note),
    *(commands_keep.rm, commands_keep.export, commands_keep.import_),
):
    runs.add_command(command)


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
    from pathlib import Path

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


@click.command(short_help="Store a run, or a model that was made elsewhere.")
@click.argument("what", metavar="RUN|FILE.tar")
@click.option("--plugin", help="The plugin that uses the model; by custom, what its config.json says.")
@click.option("--name", help="What the model is called in lists.")
@click.option(
    "--transfer-only", is_flag=True, help="It is only good to start trainings from, not to predict with."
)
@click.option(
    "--store", "address", metavar="BUCKET", help="Another bucket or s3:// address than the configured."
)
@click.pass_context
def push(
    context: click.Context,
    what: str,
    plugin: str | None,
    name: str | None,
    transfer_only: bool,
    address: str | None,
) -> None:
    """Store a completed run (any unique beginning of its ID), or a model-state.tar that was made elsewhere.

    It goes to the configured bucket, or without one to the folder on this machine.
    """
    from pathlib import Path

    from ravenml.store.factory import bucket, models_store

    store = bucket("models", address=address) or models_store()
    if Path(what).is_file():
        from ravenml.store.models import push_file

        model_id = push_file(store, Path(what), plugin, name, transfer_only)
        click.echo(f"Stored {what} as {model_id} in {store.name}.")
        return
    if plugin or name or transfer_only:
        raise click.UsageError(
            "--plugin, --name and --transfer-only describe a FILE.tar; a run knows its own."
        )
    from ravenml.runs.layout import find_run
    from ravenml.runs.upload import store_run

    click.echo(f"Stored {find_run(what).name} as {store_run(find_run(what), store=store).where}.")
