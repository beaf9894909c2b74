"""The items of an import: written where they are new or changed, merged where one image is named twice, and
removed where the source no longer has them.
"""

from __future__ import annotations

import filecmp
import itertools
import os
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

from ravenml.common.formatting import terminal_safe
from ravenml.common.io import write_bytes
from ravenml.data.editable_annotation import (
    EditableAnnotation,
    Label,
    Tag,
    editable_content,
    parse_editable,
    read_editable,
)
from ravenml.data.formats.base import LeftOut, Record, left_out_image, record_problem
from ravenml.data.formats.import_journal import ImportJournal, Key
from ravenml.data.formats.orient_and_clip import fit, frame_of
from ravenml.data.image_header import Header
from ravenml.data.images import EXTENSIONS, decode_image, read_bytes, read_header, unread_kind
from ravenml.data.item_names import usable_name, why_unusable
from ravenml.data.layout import Item
from ravenml.data.problems import DataProblem, Notice
from ravenml.data.split import SPLIT_TAGS
from ravenml.data.writing import ProjectWriter, is_placed, place_image

Entry = Record | LeftOut | DataProblem  # what a format yields
_LONGEST = 240  # bytes of a name, to which `.json` is added


@dataclass(frozen=True)
class ImportedImage:
    """An item as an import made it, or found it.

    Attributes:
        item: where it lies.
        annotation: what it has now.
        kept: it was there and whole.
        edited: a person changed its annotation after an earlier import.
        cut: how many objects reached out of the image.
        left_out: the objects that are broken.
        more_pages: the image file holds further pages or frames, which are not read.
    """

    item: Item
    annotation: EditableAnnotation
    kept: bool = False
    edited: bool = False
    cut: int = 0
    left_out: tuple[LeftOut, ...] = ()
    more_pages: bool = False


@dataclass
class Gone:
    """Items of an earlier import that are not in the source any more."""

    removed: int = 0
    edited: list[Item] = field(default_factory=list)


class Importer:
    """Adds records to a project, in many threads."""

    def __init__(self, writer: ProjectWriter, journal: ImportJournal, copy: bool) -> None:
        self.writer, self.journal, self.link = writer, journal, not copy
        self.edited: set[Key] = set()

    def add(self, record: Entry) -> ImportedImage | LeftOut:
        if isinstance(record, DataProblem):
            return LeftOut(record, 0, images=1)
        if isinstance(record, LeftOut):
            return record
        try:
            item = self.writer.item(record.dataset, _item_name(record))
            made = self._convert(record, item)
            return self._write(made, record)
        except DataProblem as problem:
            return left_out_image(problem, record.labels, record.size)

    def merge(self, record: Record, key: Key) -> tuple[ImportedImage | None, ImportedImage | LeftOut]:
        """Add a record's objects and tags to an item that another record of the same image made.

        Returns:
            The item without them, None where the other record was left out; and the item with them.
        """
        item = self.writer.item(*key)
        if key not in self.edited and not self.journal.is_noted(item):
            return None, self.add(replace(record, dataset=item.dataset, name=item.name))
        there = read_editable(item.annotation_path)
        before = ImportedImage(item, there)
        if key in self.edited:
            return before, before
        try:
            made = self._convert(record, item)
        except DataProblem as problem:
            return None, replace(left_out_image(problem, record.labels, record.size), images=0)
        known = [label.entry for label in there.labels]
        labels = [label for label in made.annotation.labels if label.entry not in known]
        split = any(tag["name"] in SPLIT_TAGS for tag in there.tags)  # an image is in one set alone
        tags = [tag for tag in made.annotation.tags if not (split and tag["name"] in SPLIT_TAGS)]
        whole = replace(there, labels=(*there.labels, *labels), tags=_once([*there.tags, *tags]))
        return before, replace(self._write(replace(made, annotation=whole), record), kept=False)

    def _convert(self, record: Record, item: Item) -> ImportedImage:
        header = _header(record)
        frame = frame_of(record, header)
        labels = record.labels(frame) if callable(record.labels) else record.labels
        kept: list[Label] = []
        left_out, cut = [], 0
        for one in fit(labels, frame, header, record):
            if isinstance(one, LeftOut):
                left_out.append(one)
            else:
                kept.append(one.label)
                cut += one.cut
        annotation = EditableAnnotation(header.size, tuple(kept), _once(record.tags))
        return ImportedImage(item, annotation, cut=cut, left_out=tuple(left_out), more_pages=header.more)

    def _write(self, made: ImportedImage, record: Record) -> ImportedImage:
        """Write an item where it is not there yet; what a person has changed stays as it is."""
        item, image, content = made.item, record.image, editable_content(made.annotation)
        there = _content(item.annotation_path)
        if there is None and _hidden(item).is_file():  # a person changed it, and its image is back
            os.replace(_hidden(item), item.annotation_path)
            there = _content(item.annotation_path)
        same = there == content
        if there is not None and not same and not self.journal.is_own(item, there):
            with suppress(DataProblem):  # a broken annotation is rewritten
                own = parse_editable(there, item.annotation_path)
                self.edited.add((item.dataset, item.name))
                if not item.image_path.exists():
                    self._place(item, record)
                return ImportedImage(item, own, kept=True, edited=True, left_out=made.left_out)
        if record.content is not None:
            placed = not item.image_path.is_symlink() and _content(item.image_path) == record.content
        elif self.link:
            placed = is_placed(image, item.image_path, link=True)
        else:
            placed = self._is_copied(item, image)
        self.journal.note(item, content)
        if not placed:
            self._place(item, record)
        if not self.link and record.content is None:
            self.journal.note_copied(item, image)
        if not same:
            write_bytes(item.annotation_path, content)
        return replace(made, kept=placed and same)

    def _place(self, item: Item, record: Record) -> None:
        if record.content is not None:
            write_bytes(item.image_path, record.content)
        else:
            place_image(record.image, item.image_path, self.link)

    def _is_copied(self, item: Item, image: Path) -> bool:
        target = item.image_path
        if target.is_symlink() or not target.is_file() or target.stat().st_size != image.stat().st_size:
            return False
        return self.journal.is_copied(item, image) or filecmp.cmp(image, target, shallow=False)

    def remove_gone(self) -> Gone:
        """Remove the items that an earlier import wrote and the source no longer has."""
        gone = Gone()
        for key in self.journal.gone():
            item = self.writer.item(*key)
            there = _content(item.annotation_path)
            if key in self.edited or there is None:
                continue
            if not self.journal.is_own(item, there):
                gone.edited.append(item)
                if item.image_path.exists():
                    continue
                # without its image the project could not be read; hidden, the annotation hinders nobody
                os.replace(item.annotation_path, _unused(_hidden(item)))
            else:
                gone.removed += 1
            item.annotation_path.unlink(missing_ok=True)
            item.image_path.unlink(missing_ok=True)
            for folder in (
                item.annotation_path.parent,
                item.image_path.parent,
                item.image_path.parent.parent,
            ):
                with suppress(OSError):  # it is not empty
                    folder.rmdir()
        return gone


def _hidden(item: Item) -> Path:
    """Where the annotation of an item waits that a person has changed, and whose image is gone."""
    return item.annotation_path.with_name(f".{item.name}.json")


def _unused(path: Path) -> Path:
    """The path, or where something is there, one with a number."""
    numbers = (path.with_name(f"{path.stem}.{number}{path.suffix}") for number in itertools.count(2))
    return next(one for one in itertools.chain([path], numbers) if not one.exists())


class ItemNames:
    """Gives each image a name of its own, and finds the records of images that were there before.

    Attributes:
        repeated: records of an image that an earlier record names, with that item's dataset and name.
    """

    def __init__(self, notice: Notice) -> None:
        self.repeated: list[tuple[Record, Key]] = []
        self._notice = notice
        self._renamed: list[tuple[Path, str, str]] = []
        self._taken: dict[Key, Path] = {}
        self._items: dict[str, Key] = {}

    def unique(self, records: Iterable[Entry]) -> Iterator[Entry]:
        """The records, each with a name of its own, without those that are repeated."""
        for record in records:
            if not isinstance(record, Record):
                yield record
                continue
            image = os.path.normpath(record.image)
            if image in self._items:
                self.repeated.append((record, self._items[image]))
                continue
            named = record.name or record.image.name
            wanted = name = usable_name(named)
            number = 1
            while (record.dataset, name) in self._taken:
                stem, ending = os.path.splitext(wanted)
                number += 1
                name = f"{stem}_{number}{ending}"
            if name != named:
                record = replace(record, name=name)
            if wanted != named:
                self._renamed.append((record.image, why_unusable(named), name))
            elif name != wanted:
                other = self._taken[record.dataset, wanted]
                self._notice(f"{record.image} has the name of {other} in the project, and becomes {name}.")
            self._taken[record.dataset, name] = record.image
            self._items[image] = (record.dataset, name)
            yield record
        if self._renamed:
            path, reason, name = self._renamed[0]
            more = f", and {len(self._renamed) - 1:,} more" if len(self._renamed) > 1 else ""
            self._notice(terminal_safe(f"{path} {reason}, and is {name} in the project{more}."))
        if self.repeated:
            first = self.repeated[0][0].image
            rest = len(self.repeated) - 1
            said = f"and {rest:,} more are named twice; they get" if rest else "is named twice; it gets"
            self._notice(f"{first} {said} the objects of both places.")


def _header(record: Record) -> Header:
    if record.content is None:
        return read_header(record.image)
    height, width = decode_image(record.content, record.file or record.image).shape[:2]
    return Header((height, width))


def _content(path: Path) -> bytes | None:
    """A file's content; None where there is none."""
    try:
        return read_bytes(path)
    except DataProblem:
        return None


def _item_name(record: Record) -> str:
    name = record.name or record.image.name
    ending = os.path.splitext(name)[1].lower()
    if ending not in EXTENSIONS:
        raise unread_kind(record.image)
    if name.startswith(".") or "/" in name or len(name.encode(errors="surrogateescape")) > _LONGEST:
        raise record_problem(record, f"an item cannot be named {name!r}", "rename the image")
    return name


def _once(tags: Iterable[Tag]) -> tuple[Tag, ...]:
    """The tags, each name once."""
    named = {str(tag["name"]): tag for tag in reversed(list(tags))}
    return tuple(reversed(named.values()))
