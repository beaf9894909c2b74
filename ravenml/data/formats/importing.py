"""Importing: records of a format become a project."""

from __future__ import annotations

import itertools
import os
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from ravenml.common.io import read_json, write_json
from ravenml.data.editable_annotation import EditableAnnotation, Label, Tag, read_editable
from ravenml.data.formats.base import Format, ImportOptions, ImportSource, Record
from ravenml.data.formats.orient_and_clip import fit, frame_of
from ravenml.data.formats.parallel import in_order
from ravenml.data.image_header import read_header
from ravenml.data.images import EXTENSIONS
from ravenml.data.layout import IMPORT_NOTE, Item
from ravenml.data.meta import ObjClass, TagMeta, spare_color
from ravenml.data.problems import DataProblem, Notice
from ravenml.data.progress import ImageProgress
from ravenml.data.writing import ProjectWriter, meta_json
from ravenml.errors import InputError

_LONGEST = 240  # bytes of a name, to which `.json` is added


@dataclass
class Imported:
    """What an import did.

    Attributes:
        root: the project.
        images: how many it has now.
        kept: how many of these were there and whole.
        objects: how many objects.
        kinds: objects per class and shape.
        tags: the kinds of values that each tag has.
        cut: objects of which a part lay outside of their image.
        problems: records and objects that were left out.
    """

    root: Path
    images: int = 0
    kept: int = 0
    objects: int = 0
    kinds: Counter[tuple[str, str]] = field(default_factory=Counter)
    tags: dict[str, set[str]] = field(default_factory=dict)
    cut: int = 0
    problems: int = 0

    def add(self, one: _Done) -> None:
        """Count an image."""
        self.images += 1
        self.kept += one.kept
        self.cut += one.cut
        self.objects += len(one.document.labels)
        self.kinds.update((label.title, label.kind) for label in one.document.labels)
        for tag in itertools.chain(one.document.tags, *(label.tags for label in one.document.labels)):
            self.tags.setdefault(str(tag["name"]), set()).add(_value_type(tag.get("value")))


@dataclass(frozen=True)
class _Done:
    document: EditableAnnotation
    kept: bool = False
    cut: int = 0
    problems: tuple[DataProblem, ...] = ()


def import_project(
    name: str,
    format: Format,
    path: Path,
    target: Path,
    options: ImportOptions | None = None,
    copy: bool = False,
    strict: bool = False,
    meter: ImageProgress | None = None,
) -> Imported:
    """Import a file or folder as a project; what an earlier call has done is kept.

    Args:
        name: the format's name, which is noted in the project.
        format: reads the source.
        target: the project's folder: new, empty, or of the same import.
        copy: copy the images instead of linking them.
        strict: stop at the first bad record.
        meter: shows the progress, bad records and notices.

    Raises:
        InputError: the source or the target is not usable, nothing could be read, or a record is bad
            (DataProblem, with ``strict``).
        RavenError: the disk is full or may not be written.
    """
    path, target = (Path(os.path.abspath(given.expanduser())) for given in (path, target))
    options = options or ImportOptions()
    if options.images is not None:
        options = replace(options, images=Path(os.path.abspath(options.images.expanduser())))
    meter = meter or ImageProgress(0)
    source = ImportSource(path, options, notice=lambda text: meter.line(f"Note: {text}"))
    if not path.exists():
        raise InputError(f"{path} does not exist; name the file or folder to import.")
    if target.is_relative_to(path):
        raise InputError(f"{target} lies within what is imported, {path}; name a folder beside it.")
    request = {"format": name, "source": str(path), **_plain(source.options)}
    _check(target, request)
    work = _Work(ProjectWriter(target), copy)
    result = Imported(target)
    records = iter(format.read(source))
    first = list(
        itertools.islice(records, 1)
    )  # what is told before the first record, total and all, is known then
    write_json(target / IMPORT_NOTE, request)
    meter.total = source.total
    with meter:
        for done in in_order(work.do, _unique(itertools.chain(first, records), source.notice)):
            for error in (done,) if isinstance(done, DataProblem) else done.problems:
                if strict:
                    raise error
                result.problems += 1
                meter.line(f"Left out: {error}")
            if not isinstance(done, DataProblem):
                result.add(done)
            meter.advance()
    if not result.images:
        with suppress(OSError):  # nothing came of it, so nothing stays
            (target / IMPORT_NOTE).unlink()
            target.rmdir()
        raise InputError(f"{path} holds no image that could be imported as {name}.")
    work.writer.write_meta(meta_json(_classes(source.classes, result), _tags(result)))
    return result


class _Work:
    """What is done for each record, in many threads."""

    def __init__(self, writer: ProjectWriter, copy: bool) -> None:
        self.writer, self.copy = writer, copy

    def do(self, record: Record | DataProblem) -> _Done | DataProblem:
        try:
            if isinstance(record, DataProblem):
                raise record
            name = _name(record)
            item = self.writer.item(record.dataset, name)
            there = self._there(item, record)
            if there is not None:
                return _Done(there, kept=True)
            header = read_header(record.image)
            frame = frame_of(record, header)
            labels = record.labels(frame) if callable(record.labels) else record.labels
            kept: list[Label] = []
            problems, cut = [], 0
            for one in fit(labels, frame, header, record):
                if isinstance(one, DataProblem):
                    problems.append(one)
                else:
                    kept.append(one.label)
                    cut += one.cut
            document = EditableAnnotation(header.size, tuple(kept), tuple(_once(record.tags)))
            self.writer.add(record.dataset, name, record.image, document, link=not self.copy)
            return _Done(document, cut=cut, problems=tuple(problems))
        except DataProblem as error:
            return error

    def _there(self, item: Item, record: Record) -> EditableAnnotation | None:
        """The item's annotation if it is whole and newer than what describes it, and its image is right."""
        try:
            written = item.annotation_path.stat().st_mtime_ns
            if record.file is not None and record.file.stat().st_mtime_ns > written:
                return None
            if item.image_path.is_symlink() == self.copy:
                return None
            there, image = item.image_path.stat(), record.image.stat()
            if there.st_size != image.st_size or image.st_mtime_ns > written:
                return None
            if not self.copy and not os.path.samestat(there, image):
                return None
            return read_editable(item.annotation_path)
        except (OSError, DataProblem):
            return None


def _check(target: Path, request: dict[str, Any]) -> None:
    """Refuse a folder that holds something else than this import."""
    note = target / IMPORT_NOTE
    if target.is_file():
        raise InputError(f"{target} is a file; name a new folder.")
    if target.is_dir() and not note.is_file() and any(target.iterdir()):
        raise InputError(f"{target} is not empty; name a new folder.")
    if note.is_file():
        before = read_json(note)
        if before != request:
            other = before.get("source", "something else") if isinstance(before, dict) else "something else"
            how = " with other options" if other == request["source"] else f" of {other}"
            raise InputError(f"{target} holds an import{how}; name a new folder, or remove that one.")


def _unique(records: Iterable[Record | DataProblem], notice: Notice) -> Iterator[Record | DataProblem]:
    """The records, each with a name of its own; a `DataProblem` for each whose image was there before."""
    seen: dict[tuple[str, str], Path] = {}
    for record in records:
        if isinstance(record, Record):
            wanted = name = record.name or record.image.name
            number = 1
            while (record.dataset, name) in seen and seen[record.dataset, name] != record.image:
                stem, ending = os.path.splitext(wanted)
                number += 1
                name = f"{stem}_{number}{ending}"
            if (record.dataset, name) in seen:
                problem = f"the image {record.image} is there twice"
                yield DataProblem(
                    record.file or record.image, record.field, problem, "remove one of the entries"
                )
                continue
            if name != wanted:
                other = seen[record.dataset, wanted]
                notice(f"{record.image} has the name of {other} in the project, and becomes {name}.")
                record = replace(record, name=name)
            seen[record.dataset, name] = record.image
        yield record


def _name(record: Record) -> str:
    name = record.name or record.image.name
    file = record.file or record.image
    ending = os.path.splitext(name)[1].lower()
    if ending not in EXTENSIONS:
        raise DataProblem(
            file, record.field, f'images of the kind "{ending}" are not read', "convert it to PNG or JPEG"
        )
    if name.startswith(".") or "/" in name or len(name.encode(errors="surrogateescape")) > _LONGEST:
        raise DataProblem(file, record.field, f"an item cannot be named {name!r}", "rename the image")
    return name


def _once(tags: Iterable[Tag]) -> list[Tag]:
    """The tags, each name once."""
    named = {str(tag["name"]): tag for tag in reversed(list(tags))}
    return list(named.values())[::-1]


def _classes(listed: list[ObjClass], result: Imported) -> list[ObjClass]:
    """The project's classes: those that the source lists, then the others as they came.

    A class whose objects are of one shape has that shape, others are of any.
    """
    shapes: dict[str, set[str]] = {}
    for title, kind in result.kinds:
        shapes.setdefault(title, set()).add(kind)
    classes = {one.title: one for one in listed}
    for title in shapes:
        classes.setdefault(title, ObjClass(title, "any", ""))
    made = []
    for number, (title, one) in enumerate(classes.items()):
        shape = next(iter(shapes[title])) if len(shapes.get(title, ())) == 1 else "any"
        made.append(replace(one, shape=shape, color=one.color or spare_color(number)))
    return made


def _tags(result: Imported) -> list[TagMeta]:
    def kind(name: str) -> str:
        kinds = result.tags[name] - {"none"}
        return "none" if not kinds else kinds.pop() if len(kinds) == 1 else "any_string"

    return [TagMeta(name, kind(name)) for name in result.tags]


def _value_type(value: object) -> str:
    if value is None:
        return "none"
    return "any_number" if isinstance(value, int | float) and not isinstance(value, bool) else "any_string"


def _plain(options: ImportOptions) -> dict[str, Any]:
    given = {name: value for name, value in asdict(options).items() if value is not None}
    return {
        name: str(value.absolute()) if isinstance(value, Path) else value for name, value in given.items()
    }
