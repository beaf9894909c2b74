"""``raven runs tag`` and ``note``: what people say about a run."""

from __future__ import annotations

import click


@click.command()
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


@click.command()
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
