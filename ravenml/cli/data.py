"""``raven data``: look into datasets, make, fetch and store them, keep the cache."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from pathlib import Path

import click

from ravenml.cli.data_formats import convert, export, formats, import_, training_command
from ravenml.cli.options import confirm, local_only_if_unreachable, print_table, store_option
from ravenml.common.formatting import format_size, local_time


@click.group()
def data() -> None:
    """Inspect, import, fetch and store datasets, and manage the cache of decoded images.

    A dataset is a Supervisely project: a folder with meta.json, and in it datasets with img/ and ann/.
    """


@data.command(short_help="Summarise a dataset and list its problems.")
@click.argument("dataset", metavar="[PATH_OR_NAME]", required=False)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option(
    "--html",
    "page",
    metavar="FILE",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Also write a page with pictures, class balance and suspicious objects to FILE.",
)
@click.pass_context
def inspect(ctx: click.Context, dataset: str | None, as_json: bool, page: Path | None) -> None:
    """Summarise a dataset and list its problems.

    Counts images per dataset, objects per class, shape and tag, each class's share of the pixels, and
    image sizes. Every image and annotation is read; each problem is one line with the file, the field and
    the fix.  Without PATH_OR_NAME, the default dataset is inspected.  The page of --html is one file, which
    a browser opens without network access.

    Exit code: 0 without problems, 1 with problems, 2 if there is no project.
    """
    import os
    import sys

    import orjson

    from ravenml.data.inspection import Inspection, as_text, inspect_project, print_rich
    from ravenml.data.report import write_report

    root = _dataset(dataset)
    threads = min(os.cpu_count() or 1, 8)

    def look(progress: Callable[[int, int], None] = lambda done, total: None) -> Inspection:
        if page is None:
            return inspect_project(root, threads, progress)
        return write_report(root, page.expanduser(), threads, progress)

    if as_json:
        found = look()
        click.echo(orjson.dumps(found.as_dict(), option=orjson.OPT_INDENT_2).decode())
    elif sys.stdout.isatty():
        from rich.progress import Progress

        with Progress(transient=True) as bar:
            task = bar.add_task("Reading", total=None)
            found = look(lambda done, total: bar.update(task, completed=done, total=total))
        print_rich(found)
    else:
        found = look()
        click.echo(as_text(found))
    if page is not None:
        click.echo(f"Wrote {page} ({format_size(page.expanduser().stat().st_size)}).", err=True)
    ctx.exit(1 if found.problems else 0)


@data.command(short_help="Write a small synthetic dataset to try things on.")
@click.argument("directory", type=click.Path(path_type=Path))
@click.option("--images", default=30, show_default=True, help="Number of images.")
@click.option(
    "--seed", default=0, show_default=True, help="Random seed; the same seed gives the same images."
)
def demo(directory: Path, images: int, seed: int) -> None:
    """Write a small synthetic project into DIRECTORY, a new or empty folder.

    Gardens seen from above, with ponds (bitmaps), hedges (polygons, most with holes) and roofs
    (rectangles), tagged for training and validation.
    """
    from ravenml.data.demo import CLASSES, write_demo

    project = write_demo(directory, images, seed)
    quoted = shlex.quote(str(directory))
    click.echo(f"Wrote {len(project.items)} images to {project.root}")
    click.echo(f"Look at it:  raven data inspect {quoted}")
    click.echo(f"Train on it: {training_command(quoted, [shape for shape, _ in CLASSES.values()])}")


@data.command(short_help="Show or clear the cache of decoded images.")
@click.option("--clear", is_flag=True, help="Delete the cache; it is rebuilt when needed.")
def cache(clear: bool) -> None:
    """Show the size and location of the cache of decoded images, or clear it.

    The limit is $RAVENML_CACHE_BYTES (such as 5G), else the setting cache_gib, else 20 GiB.  The least
    recently used images are removed first.  0 turns the cache off.
    """
    from ravenml.common.formatting import format_size
    from ravenml.data.cache import default_cache

    decoded = default_cache()
    if clear:
        freed = decoded.clear()
        click.echo(f"Removed {format_size(freed)} from {decoded.root}")
        return
    images, used = decoded.size()
    limit = format_size(decoded.max_bytes) if decoded.max_bytes else "0: the cache is off"
    click.echo(f"{images} images, {format_size(used)} (limit {limit}), in {decoded.root}")


@data.command("list", short_help="List the datasets on this machine and in the bucket.")
@click.option("--local", is_flag=True, help="Only on this machine.")
@click.option("--remote", is_flag=True, help="Only in the bucket.")
@store_option
@click.option("--name", "wanted", help="Only names that contain this text.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def list_(local: bool, remote: bool, address: str | None, wanted: str | None, as_json: bool) -> None:
    """List the named datasets with their image counts, folders, sizes and dates.

    These are the folders in ravenML's datasets folder, the `datasets` of the configuration, and those in the
    configured bucket.  If the bucket cannot be read, the others are listed, with a note on stderr.
    """
    import json
    import sys

    from ravenml.common.formatting import format_size
    from ravenml.data.registry import list_local
    from ravenml.data.remote import DatasetRow, list_remote

    if local and (remote or address):
        raise click.UsageError("--local cannot be combined with --remote or --store.")
    found: list[DatasetRow] = [] if remote or address else list_local()
    if not local:
        with local_only_if_unreachable(bool(found)):
            found += list_remote(address, required=remote or bool(address))
    found = [one for one in found if wanted is None or wanted.lower() in one.name.lower()]
    if as_json:
        click.echo(json.dumps([one.as_dict() for one in found], indent=2))
        return
    rows = [(o.name, o.images, o.folder, format_size(o.size), local_time(o.date), o.where) for o in found]
    if not sys.stdout.isatty():
        for row in rows:
            click.echo("\t".join(row))
    elif not rows:
        click.echo("No dataset has a name yet; `raven data demo DIR` writes one to try.")
    else:
        print_table([("DATASET", "IMAGES", "FOLDER", "SIZE", "DATE", "WHERE"), *rows])


@data.command(short_help="Fetch a dataset from the bucket.")
@click.argument("name")
@store_option
@click.option(
    "--to",
    type=click.Path(file_okay=False, path_type=Path),
    help="Fetch into this folder instead of ravenML's own.",
)
def pull(name: str, address: str | None, to: Path | None) -> None:
    """Fetch the dataset NAME from the bucket; it is then known by that name on this machine.

    Every file is verified by its checksum; files that are complete are not fetched again.
    """
    from ravenml.data.remote import datasets_store, pull_dataset
    from ravenml.errors import Interrupted

    try:
        folder, done = pull_dataset(datasets_store(address), name, to)
    except KeyboardInterrupt:
        raise Interrupted(f"Interrupted; resume with: raven data pull {name}") from None
    click.echo(f"Fetched {name} to {folder}: {done.sent} files, {done.kept} were there; {done.summary}.")


@data.command(short_help="Store a dataset in the bucket.")
@click.argument("directory", type=click.Path(path_type=Path))
@click.option("--name", help="Name in the bucket.  Default: the folder's name.")
@click.option("--delete", is_flag=True, help="Delete files from the bucket that DIRECTORY no longer has.")
@store_option
def push(directory: Path, name: str | None, delete: bool, address: str | None) -> None:
    """Store the project in DIRECTORY in the bucket; unchanged files are not sent again."""
    from ravenml.data.remote import datasets_store, push_dataset
    from ravenml.errors import Interrupted

    store = datasets_store(address)
    try:
        done, gone = push_dataset(store, directory, name, delete)
    except KeyboardInterrupt:
        raise Interrupted(f"Interrupted; resume with: raven data push {directory}") from None
    click.echo(f"Stored in {store.name}: {done.sent} files, {done.kept} were there; {done.summary}.")
    if gone:
        click.echo(
            f"{len(gone)} files in the bucket are not in {directory} (such as {gone[0]}); "
            "--delete removes them."
        )


@data.command(short_help="Remove a dataset from the bucket or from this machine.")
@click.argument("name")
@click.option(
    "--local", is_flag=True, help="Remove the copy on this machine instead of the one in the bucket."
)
@store_option
@click.option("-y", "--yes", is_flag=True, help="Do not ask for confirmation.")
def rm(name: str, local: bool, address: str | None, yes: bool) -> None:
    """Remove the dataset NAME from the bucket; with --local, its copy in ravenML's datasets folder."""
    from ravenml.data.remote import datasets_store, remove_dataset

    if local:
        from ravenml.data.registry import remove_local

        if address:
            raise click.UsageError("--local excludes --store.")
        confirm(f"Remove the copy of {name} on this machine?", yes)
        click.echo(f"Removed {remove_local(name)}.")
        return
    store = datasets_store(address)
    confirm(f"Remove {name} from {store.name}?", yes)
    click.echo(f"Removed {remove_dataset(store, name)} files of {name} from {store.name}.")


def _dataset(given: str | None) -> Path:
    from ravenml.data.registry import resolve_dataset

    if given is None:
        from ravenml.config.config import load_config

        given = load_config().dataset
    if given is None:
        raise click.UsageError("Name a dataset: raven data inspect PATH, or set a default with raven config.")
    return resolve_dataset(given)


for command in (import_, export, convert, formats):
    data.add_command(command)
