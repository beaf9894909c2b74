"""``raven data import``, ``export`` and ``formats``: other programs' annotations."""

from __future__ import annotations

import shlex
from pathlib import Path

import click


@click.command("import", short_help="Make a project of other programs' annotations.")
@click.argument("words", nargs=-1, metavar="[FORMAT] SRC DST")
@click.option("--name", help="Instead of DST: keep it with ravenML's datasets, known by this name.")
@click.option("--copy", is_flag=True, help="Copy the images; without it they are linked.")
@click.option("--strict", is_flag=True, help="Stop at the first bad record instead of leaving it out.")
@click.option(
    "--images",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="The folder of the images, where it is not beside the annotations.",
)
@click.option("--class", "class_name", metavar="NAME", help="The class of objects that name none.")
@click.option(
    "--class-attribute", metavar="NAME", help="Which attribute of the objects is their class (via)."
)
@click.option(
    "--classes",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="A file with the classes' names, and their colours in masks (yolo, masks).",
)
def import_(
    words: tuple[str, ...],
    name: str | None,
    copy: bool,
    strict: bool,
    images: Path | None,
    class_name: str | None,
    class_attribute: str | None,
    classes: Path | None,
) -> None:
    """Make a project in DST of the annotations in SRC, a file or a folder.

    DST is a new folder, which can be trained on at once.  FORMAT is one of those that `raven data formats`
    lists, and may be left out where SRC can be recognised.  What is bad in SRC is named and left out.
    The same command goes on where it was interrupted.

    \b
    raven data import via droplets/ my_droplets
    raven data import coco instances_val2017.json my_coco --images val2017/
    raven data import labels/ --name my_labels
    """
    from ravenml.data.formats.base import Options
    from ravenml.data.formats.importing import import_project
    from ravenml.data.formats.registry import guess_format, load_format
    from ravenml.data.notices import to_stderr
    from ravenml.data.plugin_suggestion import training_command
    from ravenml.data.progress import Meter
    from ravenml.errors import Interrupted

    format_name, source, target = _where(words, name)
    if format_name is None:
        format_name = guess_format(source)
        to_stderr(f"{source} is read as {format_name}.")
    options = Options(images, class_name, class_attribute, classes)
    meter = Meter(0)
    try:
        done = import_project(
            format_name, load_format(format_name), source, target, options, copy, strict, meter
        )
    except KeyboardInterrupt:
        raise Interrupted("Interrupted; the same command goes on where it was.") from None
    if done.cut:
        whose = "its image, and was cut" if done.cut == 1 else "their image, and were cut"
        to_stderr(f"{_count(done.cut, 'object')} reached out of {whose} to it.")
    if done.faults:
        to_stderr(f"{_count(done.faults, 'bad record')} {_were(done.faults)} left out.")
    classes_said = _count(len({title for title, _ in done.kinds}), "class", "classes")
    there = f" ({done.kept} {_were(done.kept)} there)" if done.kept else ""
    click.echo(
        f"Imported {_count(done.images, 'image')}{there} with {_count(done.objects, 'object')} of "
        f"{classes_said} to {done.root}; {meter.summary()}."
    )
    given = shlex.quote(name or words[-1])
    click.echo(f"Look at it:  raven data inspect {given}")
    click.echo(f"Train on it: {training_command(given, {kind for _, kind in done.kinds})}")


@click.command(short_help="Write a project as other programs' annotations.")
@click.argument("format_name", metavar="FORMAT")
@click.argument("project")
@click.argument("target", metavar="DST", type=click.Path(path_type=Path))
@click.option("--copy", is_flag=True, help="Copy the images; without it they are linked.")
@click.option("--strict", is_flag=True, help="Stop at the first broken image instead of leaving it out.")
def export(format_name: str, project: str, target: Path, copy: bool, strict: bool) -> None:
    """Write PROJECT, a folder or a dataset's name, into the new folder DST as FORMAT.

    What FORMAT cannot hold is changed into what it can, or left out; each kind is counted and named at the
    end.  The formats are those that `raven data formats` lists.

    \b
    raven data export coco my_project my_coco
    raven data export yolo camvid my_yolo --copy
    """
    from ravenml.data.formats.exporting import export_project
    from ravenml.data.formats.registry import load_format
    from ravenml.data.notices import to_stderr
    from ravenml.data.progress import Meter
    from ravenml.data.project import Project
    from ravenml.data.registry import resolve_dataset
    from ravenml.errors import InputError, Interrupted

    format = load_format(format_name)
    found = Project.read(resolve_dataset(project), lambda fault: to_stderr(f"left out: {fault}"))
    if not found.items:
        raise InputError(f"{found.root} holds no images to export.")
    meter = Meter(0)
    try:
        done = export_project(format_name, format, found, target, copy, strict, meter)
    except KeyboardInterrupt:
        raise Interrupted("Interrupted; the same command goes on where it was.") from None
    for (what, became), count in done.lost.items():
        said = became.replace("were", "was", 1) if count == 1 else became
        to_stderr(f"{format_name} cannot hold {what}: {count:,} {said}.")
    if done.faults:
        to_stderr(f"{_count(len(done.faults), 'broken record')} {_were(len(done.faults))} left out.")
    click.echo(f"Exported {_count(done.images, 'image')} to {done.target}; {meter.summary()}.")


@click.command(short_help="List the formats that can be imported and exported.")
def formats() -> None:
    """List the formats that `raven data import` and `raven data export` know."""
    from ravenml.data.formats.registry import format_names, load_format
    from ravenml.errors import RavenError

    for name in format_names():
        try:
            title = load_format(name).title
        except RavenError as error:
            title = str(error)
        click.echo(f"{name:10} {title}")


def _where(words: tuple[str, ...], name: str | None) -> tuple[str | None, Path, Path]:
    """The format's name (None: to be guessed), the source and the target."""
    from ravenml.config.home import datasets_dir
    from ravenml.data.formats.registry import format_names

    wanted = 1 if name else 2
    if len(words) == wanted and words[0] in format_names() and not Path(words[0]).exists():
        missing = "SRC" if name else "DST, the folder to write,"
        raise click.UsageError(f"{missing} is missing: raven data import {words[0]} SRC DST")
    if len(words) not in (wanted, wanted + 1):
        expected = "[FORMAT] SRC --name NAME" if name else "[FORMAT] SRC DST"
        raise click.UsageError(f"Give {expected}.")
    format_name = words[0] if len(words) > wanted else None
    source = Path(words[len(words) - wanted]).expanduser()
    if not name:
        return format_name, source, Path(words[-1]).expanduser()
    if name.startswith(".") or "/" in name or "\\" in name:
        raise click.UsageError(f"--name {name!r} is no plain name; to write into a folder, give DST.")
    return format_name, source, datasets_dir() / name


def _were(number: int) -> str:
    return "was" if number == 1 else "were"


def _count(number: int, one: str, many: str | None = None) -> str:
    return f"{number:,} {one if number == 1 else many or one + 's'}"
