"""``notes.json``: people's tags, their note on a run, and the name they gave it afterwards.

What ``metadata.comments`` says of a training is its first note; apart from that, a training never touches
the file.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path

from ravenml.common.io import JsonObject, write_json
from ravenml.common.locks import exclusive_lock
from ravenml.common.schema import Fields, read_object
from ravenml.errors import InputError, RavenError
from ravenml.runs.layout import NOTES

SCHEMA = 1
ARCHIVED = "archived"  # the tag of runs that lists leave out
_NAME = 200  # characters of a name
_FIELDS = Fields({"v": int, "tags": [str], "note": str, "name": str})
_TAG = re.compile(r"[\w.:/+-]{1,64}")


def read_notes(folder: Path) -> JsonObject:
    """The run's ``tags`` (sorted), its ``note``, and its ``name`` if it was renamed; empty where nobody wrote
    any.

    Raises:
        RavenError: the file is broken, or of a newer ravenML.
    """
    path = folder / NOTES
    if not path.exists():
        return {"v": SCHEMA, "tags": [], "note": None}
    notes = read_object(path, _FIELDS)
    if (notes.get("v") or SCHEMA) > SCHEMA:
        raise RavenError(f"{path} was written by a newer ravenML; upgrade ravenML to change it.")
    return notes


def notes_or_reason(folder: Path) -> JsonObject:
    """The run's notes for showing; broken ones do not hide the run: their note says what is wrong."""
    try:
        return read_notes(folder)
    except RavenError as error:
        return {"note": str(error)}


def change_tags(folder: Path, add: Sequence[str] = (), remove: Sequence[str] = ()) -> list[str]:
    """Add tags to a run and take tags off it; the tags that it has now.

    Raises:
        InputError: a tag that holds more than letters, digits and ``. _ : / + -``; one to be removed that
            the run does not have.
    """
    for tag in add:
        if not _TAG.fullmatch(tag):
            raise InputError(
                f"The tag {tag!r} cannot be used: a tag is a word of letters, digits and . _ : / + -"
            )

    def change(notes: JsonObject) -> None:
        tags = set(notes.get("tags") or ())
        for tag in remove:
            if tag not in tags:
                has = ", ".join(sorted(tags)) or "none"
                raise InputError(f"{folder.name} has no tag {tag!r}; it has {has}.")
        notes["tags"] = sorted((tags | set(add)) - set(remove))

    return list(_change(folder, change)["tags"])


def change_note(folder: Path, text: str | None) -> None:
    """Replace a run's note; None or an empty text removes it."""

    def change(notes: JsonObject) -> None:
        notes["note"] = text.strip() or None if text else None

    _change(folder, change)


def archive_run(folder: Path, archived: bool = True) -> bool:
    """Leave a run out of lists, or restore it there; whether that changed anything.

    It is a tag, so that filters know it, and exports and trackers keep it.
    """
    if (ARCHIVED in (read_notes(folder).get("tags") or ())) == archived:
        return False
    change_tags(folder, **{"add" if archived else "remove": [ARCHIVED]})
    return True


def rename_run(folder: Path, name: str | None) -> None:
    """Give a run another name; None or an empty one brings back the name that it began with.

    Raises:
        InputError: the name is too long, or has several lines.
    """
    name = (name or "").strip()
    if len(name) > _NAME or not name.isprintable():
        raise InputError(f"A run's name is one line of at most {_NAME} characters.")

    def change(notes: JsonObject) -> None:
        notes["name"] = name or None

    _change(folder, change)


def apply_notes(record: JsonObject, notes: JsonObject) -> JsonObject:
    """A run's record under the name that people gave it since."""
    return {**record, "name": notes["name"]} if notes.get("name") else record


def _change(folder: Path, change: Callable[[JsonObject], None]) -> JsonObject:
    with exclusive_lock(folder / f".{NOTES}.lock"):
        notes = read_notes(folder)
        change(notes)
        write_json(folder / NOTES, {**notes, "v": SCHEMA})
    return notes
