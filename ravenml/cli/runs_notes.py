"""The commands of ``raven runs`` for what people say of a run: tags, note, name, whether it is archived."""

from __future__ import annotations

import click

from ravenml.common.formatting import terminal_safe


@click.command()
@click.argument("run", metavar="ID")
@click.argument("tags", nargs=-1, metavar="[TAG]...")
@click.option("--remove", multiple=True, metavar="TAG", help="Remove this tag; repeatable.")
def tag(run: str, tags: tuple[str, ...], remove: tuple[str, ...]) -> None:
    """Add tags to a run, or remove them; without any, print its tags."""
    from ravenml.runs.layout import find_run
    from ravenml.runs.notes import change_tags, read_notes

    folder = find_run(run)
    has = change_tags(folder, tags, remove) if tags or remove else read_notes(folder).get("tags") or ()
    click.echo(terminal_safe(" ".join(has)) or "(no tags)")


@click.command()
@click.argument("run", metavar="ID")
@click.argument("text", required=False)
@click.option("--remove", is_flag=True, help="Remove the note.")
def note(run: str, text: str | None, remove: bool) -> None:
    """Set a run's note; without TEXT, print it."""
    from ravenml.runs.layout import find_run
    from ravenml.runs.notes import change_note, read_notes

    folder = find_run(run)
    if text is not None and remove:
        raise click.UsageError("Give a TEXT or --remove, not both.")
    if text is None and not remove:
        click.echo(terminal_safe(read_notes(folder).get("note") or "(no note)", newlines=True))
        return
    change_note(folder, text)


@click.command()
@click.argument("run", metavar="ID")
@click.argument("name", required=False)
@click.option("--undo", is_flag=True, help="Bring back the name that it began with.")
def rename(run: str, name: str | None, undo: bool) -> None:
    """Give a run another name.

    Lists, pages and comparisons show it; the run's own record and what trackers have keep the first.
    """
    from ravenml.runs.layout import find_run
    from ravenml.runs.notes import rename_run

    if (name is None) != undo:
        raise click.UsageError("Give a NAME, or --undo.")
    rename_run(find_run(run), name)


@click.command()
@click.argument("names", nargs=-1, required=True, metavar="ID...")
def archive(names: tuple[str, ...]) -> None:
    """Leave runs out of lists; nothing is deleted.

    `raven runs list --archived` lists them, `raven runs restore` brings them back.
    """
    _archive(names, True)


@click.command()
@click.argument("names", nargs=-1, required=True, metavar="ID...")
def restore(names: tuple[str, ...]) -> None:
    """Bring archived runs back into lists."""
    _archive(names, False)


def _archive(names: tuple[str, ...], archived: bool) -> None:
    from ravenml.runs.layout import find_run
    from ravenml.runs.notes import archive_run

    for folder in dict.fromkeys(find_run(name) for name in names):
        changed = archive_run(folder, archived)
        said = "Archived" if archived else "Restored"
        already = "was archived already" if archived else "was not archived"
        click.echo(f"{said} {folder.name}." if changed else f"{folder.name} {already}.")
