"""``notes.json``: people's tags and their note on a run.

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
_FIELDS = Fields({"v": int, "tags": [str], "note": str})
_TAG = re.compile(r"[\w.:/+-]{1,64}")


def read_notes(folder: Path) -> JsonObject:
    """The run's ``tags`` (sorted) and ``note``; empty where nobody wrote any.

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


def _change(folder: Path, change: Callable[[JsonObject], None]) -> JsonObject:
    with exclusive_lock(folder / f".{NOTES}.lock"):
        notes = read_notes(folder)
        change(notes)
        write_json(folder / NOTES, {**notes, "v": SCHEMA})
    return notes
