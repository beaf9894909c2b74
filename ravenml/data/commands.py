"""``raven data``: look into datasets, make, fetch and store them, import others, and keep the cache."""

from __future__ import annotations

import shlex
from pathlib import Path

import click

from ravenml.common.formatting import local_time
from ravenml.data.formats.commands import export, formats, import_


@click.group()
def data() -> None:
    """Look into datasets, import, fetch and store them, and see or clear the cache of decoded images.

    A dataset is a Supervisely project: a folder with meta.json, and in it datasets with img/ and ann/.
    """


@data.command(short_help="Say what is in a dataset, and what is wrong with it.")
@click.argument("dataset", metavar="[PATH_OR_NAME]", required=False)
@click.option("--json", "as_json", is_flag=True, help="Print JSON, for scripts.")
@click.pass_context
def inspect(ctx: click.Context, dataset: str | None, as_json: bool) -> None:
    """Say what is in a dataset, and everything that is wrong with it.

    Counts images per dataset, objects per class, shape and tag, each class's share of the pixels, and
    image sizes.  Every image and annotation is read; each fault is one line with the file, the field and
    what mends it.  Without PATH_OR_NAME the configured default is inspected.

    Exit code: 0 without faults, 1 with faults, 2 where there is no project at all.
    """
    import os
    import sys

    import orjson

    from ravenml.data.inspection import inspect_project
    from ravenml.data.inspection_view import as_text, print_rich

    root = _dataset(dataset)
    threads = min(os.cpu_count() or 1, 8)
    if as_json:
        found = inspect_project(root, threads)
        click.echo(orjson.dumps(found.as_dict(), option=orjson.OPT_INDENT_2).decode())
    elif sys.stdout.isatty():
        from rich.progress import Progress

        with Progress(transient=True) as bar:
            task = bar.add_task("Reading", total=None)
            found = inspect_project(
                root, threads, lambda done, total: bar.update(task, completed=done, total=total)
            )
        print_rich(found)
    else:
        found = inspect_project(root, threads)
        click.echo(as_text(found))
    ctx.exit(1 if found.faults else 0)


@data.command(short_help="Write a small, made-up project to try things on.")
@click.argument("directory", type=click.Path(path_type=Path))
@click.option("--images", default=30, show_default=True, help="How many images to paint.")
@click.option("--seed", default=0, show_default=True, help="The same seed paints the same pictures.")
def demo(directory: Path, images: int, seed: int) -> None:
    """Write a small, made-up project into DIRECTORY, a new or empty folder.

    Gardens seen from above, with ponds (bitmaps), hedges (polygons, most with holes) and roofs
    (rectangles), tagged for training and validation.
    """
    from ravenml.data.demo import CLASSES, write_demo
    from ravenml.data.plugin_suggestion import training_command

    project = write_demo(directory, images, seed)
    quoted = shlex.quote(str(directory))
    click.echo(f"Wrote {len(project.items)} images to {project.root}")
    click.echo(f"Look at it:  raven data inspect {quoted}")
    click.echo(f"Train on it: {training_command(quoted, [shape for shape, _ in CLASSES.values()])}")


@data.command(short_help="Show or clear the cache of decoded images.")
@click.option("--clear", is_flag=True, help="Remove all of it; it is made again when it is needed.")
def cache(clear: bool) -> None:
    """Say how large the cache of decoded images is and where it lies, or clear it.

    Its limit is $RAVENML_CACHE_BYTES (such as 5G), else the configuration's cache_gib, else 20 GiB;
    what was least recently used goes first.  0 turns the cache off.
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


@data.command("list", short_help="List the datasets that have a name, here and in the bucket.")
@click.option("--local", is_flag=True, help="Only what is on this machine.")
@click.option("--remote", is_flag=True, help="Only what is in the bucket.")
@click.option(
    "--store", "address", metavar="BUCKET", help="Another bucket or s3:// address than the configured."
)
@click.option("--name", "wanted", help="Only names that contain this.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON, for scripts.")
def list_(local: bool, remote: bool, address: str | None, wanted: str | None, as_json: bool) -> None:
    """List the datasets that have a name, with their images, folders, sizes and dates.

    These are the folders below ravenML's datasets folder, the `datasets` of the configuration, and what
    lies in the configured bucket.
    """
    import json
    import sys

    from ravenml.common.formatting import format_size
    from ravenml.data.listing import Listed, here, there

    if local and (remote or address):
        raise click.UsageError("--local excludes --remote and --store.")
    found: list[Listed] = [] if remote or address else here()
    if not local:
        found += there(address, required=remote or bool(address))
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
        from rich import box
        from rich.console import Console
        from rich.table import Table

        table = Table("dataset", "images", "folder", "size", "date", "where", box=box.SIMPLE_HEAD)
        for row in rows:
            table.add_row(*row)
        Console(highlight=False).print(table)


@data.command(short_help="Fetch a dataset from the bucket.")
@click.argument("name")
@click.option(
    "--store", "address", metavar="BUCKET", help="Another bucket or s3:// address than the configured."
)
@click.option(
    "--to", type=click.Path(file_okay=False, path_type=Path), help="This folder, not ravenML's own."
)
def pull(name: str, address: str | None, to: Path | None) -> None:
    """Fetch the dataset NAME from the bucket; it is then known here by that name.

    Every file is checked by its checksum; what is there and whole is not fetched again.
    """
    from ravenml.data.remote import datasets_store, pull_dataset
    from ravenml.errors import Interrupted

    try:
        folder, done = pull_dataset(datasets_store(address), name, to)
    except KeyboardInterrupt:
        raise Interrupted(f"Interrupted; the same command goes on: raven data pull {name}") from None
    click.echo(f"Fetched {name} to {folder}: {done.sent} files, {done.kept} were there; {done.summary}.")


@data.command(short_help="Store a dataset in the bucket.")
@click.argument("directory", type=click.Path(path_type=Path))
@click.option("--name", help="Under this name; by custom the folder's.")
@click.option("--delete", is_flag=True, help="Remove from the bucket what DIRECTORY no longer has.")
@click.option(
    "--store", "address", metavar="BUCKET", help="Another bucket or s3:// address than the configured."
)
def push(directory: Path, name: str | None, delete: bool, address: str | None) -> None:
    """Store the project in DIRECTORY in the bucket; what is there and the same is not sent again."""
    from ravenml.data.remote import datasets_store, push_dataset
    from ravenml.errors import Interrupted

    store = datasets_store(address)
    try:
        done, gone = push_dataset(store, directory, name, delete)
    except KeyboardInterrupt:
        raise Interrupted(f"Interrupted; the same command goes on: raven data push {directory}") from None
    click.echo(f"Stored in {store.name}: {done.sent} files, {done.kept} were there; {done.summary}.")
    if gone:
        click.echo(
            f"{len(gone)} files in the bucket are not in {directory} (such as {gone[0]}); "
            "--delete removes them."
        )


@data.command(short_help="Remove a dataset from the bucket, or from this machine.")
@click.argument("name")
@click.option(
    "--local", is_flag=True, help="The copy in ravenML's datasets folder, not the one in the bucket."
)
@click.option(
    "--store", "address", metavar="BUCKET", help="Another bucket or s3:// address than the configured."
)
@click.option("--yes", is_flag=True, help="Do not ask.")
def rm(name: str, local: bool, address: str | None, yes: bool) -> None:
    """Remove the dataset NAME from the bucket; with --local, its copy below ravenML's datasets folder."""
    from ravenml.data.remote import datasets_store, remove_dataset
    from ravenml.store.commands import confirm

    if local:
        from ravenml.data.listing import remove_here

        if address:
            raise click.UsageError("--local excludes --store.")
        confirm(f"Remove the copy of {name} on this machine?", yes)
        click.echo(f"Removed {remove_here(name)}.")
        return
    store = datasets_store(address)
    confirm(f"Remove {name} from {store.name}?", yes)
    click.echo(f"Removed {remove_dataset(store, name)} files of {name} from {store.name}.")


for command in (import_, export, formats):
    data.add_command(command)


def _dataset(given: str | None) -> Path:
    from ravenml.data.registry import resolve_dataset

    if given is None:
        from ravenml.config.config import load_config

        given = load_config().dataset
    if given is None:
        raise click.UsageError("Name a dataset: raven data inspect PATH, or set a default with raven config.")
    return resolve_dataset(given)
