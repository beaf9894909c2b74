"""``raven data import``, ``export``, ``convert`` and ``formats``: annotations of other tools."""

from __future__ import annotations

import functools
import shlex
from collections.abc import Callable, Collection
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ravenml.common.hooks import SETTINGS
from ravenml.plugin.discovery import plugins

if TYPE_CHECKING:
    from ravenml.data.formats.base import ImportOptions
    from ravenml.data.formats.conversion import Imported
    from ravenml.data.formats.export import Export

_source_options = (
    click.option(
        "--images",
        type=click.Path(exists=True, file_okay=False, path_type=Path),
        help="Folder of the images, if it is not beside the annotations.",
    ),
    click.option("--class", "class_name", metavar="NAME", help="Class of objects that have none."),
    click.option("--class-attribute", metavar="NAME", help="Object attribute that holds the class (via)."),
    click.option(
        "--classes",
        type=click.Path(exists=True, dir_okay=False, path_type=Path),
        help="File with the class names and, for masks, their colours (yolo, masks).",
    ),
    click.option(
        "--resize-annotations",
        is_flag=True,
        help="Scale masks of another size to their image (nearest neighbour) instead of leaving it out "
        "(masks).",
    ),
    click.option(
        "--max-lost",
        type=click.FloatRange(0, 1),
        metavar="SHARE",
        help="Exit with 1 if more than this share of the images or of the objects is left out, from 0 to 1.  "
        "Default: more than half, or every object of a class.",
    ),
)


def source_options(command: Callable[..., None]) -> Callable[..., None]:
    """The options that say how SRC is read; the command gets them as one `ImportOptions`."""

    @functools.wraps(command)
    def with_options(
        images: Path | None,
        class_name: str | None,
        class_attribute: str | None,
        classes: Path | None,
        resize_annotations: bool,
        **given: Any,
    ) -> None:
        from ravenml.data.formats.base import ImportOptions

        command(
            options=ImportOptions(images, class_name, class_attribute, classes, resize_annotations), **given
        )

    decorated: Callable[..., None] = with_options
    for option in reversed(_source_options):
        decorated = option(decorated)
    return decorated


@click.command("import", short_help="Convert annotations of other tools into a project.")
@click.argument("words", nargs=-1, metavar="[FORMAT] SRC DST")
@click.option("--name", help="Instead of DST: add it to ravenML's datasets under this name.")
@click.option("--copy", is_flag=True, help="Copy the images instead of linking them.")
@click.option("--strict", is_flag=True, help="Stop at the first bad record instead of skipping it.")
@source_options
@click.option("--json", "as_json", is_flag=True, help="Print what was imported and left out as JSON.")
def import_(
    words: tuple[str, ...],
    name: str | None,
    copy: bool,
    strict: bool,
    options: ImportOptions,
    max_lost: float | None,
    as_json: bool,
) -> None:
    """Convert the annotations in SRC, a file or a folder, into a project in DST.

    SRC may be a ZIP, too.  DST is a new folder, ready for training.  FORMAT is one of `raven data formats`;
    without it, or with `auto`, SRC is recognised by its content.  Bad records are reported and skipped.

    Run the same command again to resume an interrupted import, or to bring DST up to date: what has changed
    in SRC is imported again, what is gone from SRC is removed, and annotations that you have changed in DST
    stay.

    \b
    raven data import via droplets/ my_droplets
    raven data import coco instances_val2017.json my_coco --images val2017/
    raven data import labels/ --name my_labels
    """
    import json

    from ravenml.data.formats.conversion import import_project
    from ravenml.data.progress import ImageProgress
    from ravenml.errors import Interrupted, RavenError

    format_name, source, target = _where(words, name)
    meter = ImageProgress(0)
    try:
        done = import_project(source, target, format_name or "auto", options, copy, strict, meter)
    except KeyboardInterrupt:
        raise Interrupted("Interrupted; run the same command again to resume.") from None
    _print_balance(done, source)
    given = shlex.quote(name or words[-1])
    excess = done.excess(max_lost)
    if as_json:
        click.echo(json.dumps({"source": str(source)} | done.as_json(), indent=2))
    else:
        classes_said = _count(len({title for title, _ in done.kinds}), "class", "classes")
        there = f" ({done.kept} {_were(done.kept)} there)" if done.kept else ""
        click.echo(
            f"Imported {_count(done.images, 'image')}{there} with {_count(done.objects, 'object')} of "
            f"{classes_said} to {done.root}; {meter.summary()}."
        )
        click.echo(f"Look at it:  raven data inspect {given}")
        if excess is None and done.objects:
            click.echo(f"Train on it: {training_command(given, {kind for _, kind in done.kinds})}")
    if excess is not None:
        raise RavenError(
            f"{source}: {excess}; mend the source and run the same command again, or accept it with "
            "--max-lost 1."
        )


@click.command("export", short_help="Convert a project to another tool's format.")
@click.argument("format_name", metavar="FORMAT")
@click.argument("project")
@click.argument("target", metavar="DST", type=click.Path(path_type=Path))
@click.option("--copy", is_flag=True, help="Copy the images instead of linking them.")
@click.option("--strict", is_flag=True, help="Stop at the first broken image instead of skipping it.")
def export(format_name: str, project: str, target: Path, copy: bool, strict: bool) -> None:
    """Convert PROJECT, a folder or a dataset name, to FORMAT in the new folder DST.

    What FORMAT cannot represent is converted or omitted; a summary at the end counts each kind.  `raven
    data formats` lists the formats.

    \b
    raven data export coco my_project my_coco
    raven data export yolo camvid my_yolo --copy
    """
    from ravenml.data.formats.conversion import export_project
    from ravenml.data.formats.registry import load_format
    from ravenml.data.problems import print_notice
    from ravenml.data.progress import ImageProgress
    from ravenml.data.project import Project
    from ravenml.data.registry import resolve_dataset
    from ravenml.errors import InputError, Interrupted

    load_format(format_name)  # whether it is there, before anything is read
    found = Project.read(resolve_dataset(project), lambda problem: print_notice(f"left out: {problem}"))
    if not found.items:
        raise InputError(f"{found.root} holds no images to export.")
    meter = ImageProgress(0)
    try:
        done = export_project(found, target, format_name, copy, strict, meter)
    except KeyboardInterrupt:
        raise Interrupted("Interrupted; run the same command again to resume.") from None
    _print_lost(format_name, done)
    click.echo(f"Exported {_count(done.images, 'image')} to {done.target}; {meter.summary()}.")


@click.command("convert", short_help="Convert one tool's format into another's.")
@click.argument("source", metavar="SRC", type=click.Path(exists=True, path_type=Path))
@click.argument("target", metavar="DST", type=click.Path(path_type=Path))
@click.option("--to", "to", metavar="FORMAT", required=True, help="Format to write.")
@click.option(
    "--from",
    "origin",
    metavar="FORMAT",
    default="auto",
    help="Format of SRC.  Default: recognised.",
)
@click.option("--copy", is_flag=True, help="Copy the images instead of linking them.")
@click.option("--strict", is_flag=True, help="Stop at the first bad record instead of skipping it.")
@source_options
def convert(
    source: Path,
    target: Path,
    to: str,
    origin: str,
    copy: bool,
    strict: bool,
    options: ImportOptions,
    max_lost: float | None,
) -> None:
    """Convert the annotations in SRC into another FORMAT in the new folder DST.

    This is `raven data import` and `raven data export` in one; no project stays.  SRC is a file, a folder, a
    ZIP, or a project.

    \b
    raven data convert annotations.json my_yolo --to yolo
    raven data convert export.zip my_coco --from cvat --to coco
    """
    from ravenml.data.formats.conversion import convert_dataset
    from ravenml.data.progress import ImageProgress
    from ravenml.errors import Interrupted

    meter = ImageProgress(0)
    try:
        imported, done = convert_dataset(source, target, to, origin, options, copy, strict, max_lost, meter)
    except KeyboardInterrupt:
        raise Interrupted("Interrupted; run the same command again.") from None
    if imported is not None:
        _print_balance(imported, source)
    _print_lost(to, done)
    click.echo(f"Converted {_count(done.images, 'image')} to {to} in {done.target}.")


@click.command("formats", short_help="List the formats for import and export.")
def formats() -> None:
    """List the formats that `raven data import` and `raven data export` support."""
    from ravenml.data.formats.registry import format_names, load_format
    from ravenml.errors import RavenError

    for name in format_names():
        try:
            title = load_format(name).title
        except RavenError as error:
            title = str(error)
        click.echo(f"{name:10} {title}")


def _print_balance(done: Imported, source: Path) -> None:
    """Say what an import changed, kept and lost."""
    from ravenml.data.problems import print_notice

    if done.cut:
        whose = "its image, and was cut" if done.cut == 1 else "their image, and were cut"
        print_notice(f"{_count(done.cut, 'object')} reached out of {whose} to it.")
    if done.edited:
        named = ", ".join(done.edited[:3]) + (", …" if len(done.edited) > 3 else "")
        count = len(done.edited)
        print_notice(
            f"{_count(count, 'annotation')} {_were(count)} changed in {done.root} since the import, and "
            f"kept: {named}.  Delete what is to be imported again."
        )
    if done.removed:
        print_notice(
            f"{_count(done.removed, 'image')} {_were(done.removed)} removed: {source} no longer has "
            f"{'it' if done.removed == 1 else 'them'}."
        )
    if done.problems:
        lost = done.losses
        print_notice(
            f"{_count(done.problems, 'bad record')} {_were(done.problems)} left out: "
            f"{lost.images:,} of {_count(lost.images + done.images, 'image')}, and "
            f"{lost.objects:,} of {_count(lost.objects + done.objects, 'object')}."
        )
    if not done.objects:
        print_notice(f"not one image in {source} has an object, so there is nothing to train on.")


def _print_lost(format_name: str, done: Export) -> None:
    """Say what a format could not hold."""
    from ravenml.data.problems import print_notice

    for (what, became), count in done.lost.items():
        said = became.replace("were", "was", 1) if count == 1 else became
        print_notice(f"{format_name} cannot hold {what}: {count:,} {said}.")
    if done.problems:
        print_notice(f"{_count(len(done.problems), 'broken record')} {_were(len(done.problems))} left out.")


def _where(words: tuple[str, ...], name: str | None) -> tuple[str | None, Path, Path]:
    """The format's name (None: to be guessed), the source and the target."""
    from ravenml.config.home import datasets_dir
    from ravenml.data.formats.registry import format_names

    wanted = 1 if name else 2
    if len(words) == wanted and words[0] in ("auto", *format_names()) and not Path(words[0]).exists():
        missing = "SRC" if name else "DST, the folder to write,"
        raise click.UsageError(f"{missing} is missing: raven data import {words[0]} SRC DST")
    if len(words) not in (wanted, wanted + 1):
        expected = "[FORMAT] SRC --name NAME" if name else "[FORMAT] SRC DST"
        raise click.UsageError(f"Give {expected}.")
    format_name = words[0] if len(words) > wanted and words[0] != "auto" else None
    source = Path(words[len(words) - wanted]).expanduser()
    if not name:
        return format_name, source, Path(words[-1]).expanduser()
    if name.startswith(".") or "/" in name or "\\" in name:
        raise click.UsageError(f"--name {name!r} is not a plain name; to write into a folder, give DST.")
    return format_name, source, datasets_dir() / name


def _were(number: int) -> str:
    return "was" if number == 1 else "were"


def _count(number: int, one: str, many: str | None = None) -> str:
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def training_command(dataset: str, kinds: Collection[str]) -> str:
    """The command that trains on a project.

    Areas are learned by segmentation or, where no plugin does that, by detection of the boxes around them;
    rectangles the other way round.

    Args:
        dataset: the project's name or folder, quoted for a shell.
        kinds: the shapes of its objects, as annotations name them.

    Returns:
        The command with an installed plugin that fits, or with ``PLUGIN`` where none says that it does.
    """
    learned = _learned_tasks()
    areas = {"bitmap", "polygon", "rectangle"} & set(kinds)
    wanted = ["segmentation", "detection"] if areas else []
    if areas == {"rectangle"}:
        wanted.reverse()
    fits = [name for task in wanted for name, its in learned.items() if its == task]
    return f"raven train --dataset {dataset} {(fits or ['PLUGIN'])[0]} train"


def _learned_tasks() -> dict[str, str]:
    """By their names, what the installed plugins learn; those that are broken or do not say are left out."""
    found = {}
    for name, plugin in plugins(SETTINGS).items():
        try:
            learns = getattr(plugin.load(), "learns", "")
        except Exception:  # a plugin that is broken must not spoil what has been done
            continue
        if isinstance(learns, str) and learns:
            found[name] = learns
    return found
