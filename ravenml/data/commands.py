"""``raven data``: look into datasets, make the demo one, and keep the cache of decoded images."""

from __future__ import annotations

from pathlib import Path

import click


@click.group()
def data() -> None:
    """Look into datasets, write the demo project, and see or clear the cache.

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
    from ravenml.data.demo import write_demo

    project = write_demo(directory, images, seed)
    click.echo(f"Wrote {len(project.items)} images to {project.root}")
    click.echo(f"Look at it:  raven data inspect {directory}")
    click.echo(f"Train on it: raven train --dataset {directory} unet train")


@data.command(short_help="Show or clear the cache of decoded images.")
@click.option("--clear", is_flag=True, help="Remove all of it; it is made again when it is needed.")
def cache(clear: bool) -> None:
    """Say how large the cache of decoded images is and where it lies, or clear it.

    Its limit is $RAVENML_CACHE_BYTES (such as 5G), else the configuration's cache_gib, else 20 GiB;
    what was least recently used goes first.  0 turns the cache off.
    """
    from ravenml.data.cache import default_cache

    decoded = default_cache()
    if clear:
        freed = decoded.clear()
        click.echo(f"Removed {_size(freed)} from {decoded.root}")
        return
    images, used = decoded.size()
    limit = _size(decoded.max_bytes) if decoded.max_bytes else "0: the cache is off"
    click.echo(f"{images} images, {_size(used)} (limit {limit}), in {decoded.root}")


@data.command("list", short_help="List the datasets that have a name.")
def list_() -> None:
    """List the datasets that have a name, with their images and folders.

    These are the folders below ravenML's datasets folder and the `datasets` of the configuration.
    """
    import sys

    from ravenml.data.known import known_datasets
    from ravenml.data.project import Project
    from ravenml.errors import RavenError

    rows = []
    for name, path in known_datasets().items():
        try:
            count = str(len(Project.read(path, lambda fault: None).items))
        except RavenError:
            count = "missing" if not path.exists() else "broken"
        rows.append((name, count, str(path)))
    if not sys.stdout.isatty():
        for row in rows:
            click.echo("\t".join(row))
    elif not rows:
        click.echo("No dataset has a name yet; `raven data demo DIR` writes one to try.")
    else:
        from rich import box
        from rich.console import Console
        from rich.table import Table

        table = Table("dataset", "images", "folder", box=box.SIMPLE_HEAD)
        for row in rows:
            table.add_row(*row)
        Console(highlight=False).print(table)


def _dataset(given: str | None) -> Path:
    from ravenml.data.known import resolve_dataset

    if given is None:
        from ravenml.config.config import load_config

        given = load_config().dataset
    if given is None:
        raise click.UsageError("Name a dataset: raven data inspect PATH, or set a default with raven config.")
    return resolve_dataset(given)


def _size(count: int) -> str:
    number = float(count)
    for unit in ("B", "KiB", "MiB"):
        if number < 1024:
            return f"{number:.0f} {unit}" if unit == "B" else f"{number:.1f} {unit}"
        number /= 1024
    return f"{number:.1f} GiB"
