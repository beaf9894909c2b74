"""Conversion: records of a format become a project, and a project becomes a source of another format."""

from __future__ import annotations

import itertools
import os
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from ravenml.common.io import read_json, write_json
from ravenml.data.editable_annotation import EditableAnnotation, Label, Tag, read_editable
from ravenml.data.formats.base import Format, ImportOptions, ImportSource, Record, record_problem
from ravenml.data.formats.export import Export
from ravenml.data.formats.orient_and_clip import fit, frame_of
from ravenml.data.formats.parallel import in_order
from ravenml.data.images import EXTENSIONS, read_header
from ravenml.data.layout import IMPORT_NOTE, Item
from ravenml.data.meta import ObjClass, TagMeta, spare_color
from ravenml.data.problems import DataProblem, Notice
from ravenml.data.progress import ImageProgress
from ravenml.data.project import Project
from ravenml.data.writing import ProjectWriter, is_placed, meta_json
from ravenml.errors import InputError

_EXPORT_NOTE = ".ravenml-export.json"  # hidden, so that no reader of a format stumbles over it
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

    def add(self, one: _ImportedImage) -> None:
        """Count an image."""
        self.images += 1
        self.kept += one.kept
        self.cut += one.cut
        labels = one.annotation.labels
        self.objects += len(labels)
        self.kinds.update((label.title, label.kind) for label in labels)
        for tag in itertools.chain(one.annotation.tags, *(label.tags for label in labels)):
            self.tags.setdefault(str(tag["name"]), set()).add(_value_type(tag.get("value")))


@dataclass(frozen=True)
class _ImportedImage:
    annotation: EditableAnnotation
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
    request: dict[str, object] = {"format": name, "source": str(path)}
    for key, value in asdict(options).items():
        if value is not None:
            request[key] = str(value.absolute()) if isinstance(value, Path) else value
    before = _check_target(target, target / IMPORT_NOTE)
    if before not in (None, request):
        other = before.get("source", "something else") if isinstance(before, dict) else "something else"
        how = " with other options" if other == request["source"] else f" of {other}"
        raise InputError(f"{target} holds an import{how}; name a new folder, or remove that one.")
    importer = _Importer(ProjectWriter(target), copy)
    result = Imported(target)
    records = iter(format.read(source))
    first = list(itertools.islice(records, 1))  # from then on the source's total is known
    write_json(target / IMPORT_NOTE, request)
    meter.total = source.total
    with meter:
        for done in in_order(importer.add, _unique(itertools.chain(first, records), source.notice)):
            for problem in (done,) if isinstance(done, DataProblem) else done.problems:
                if strict:
                    raise problem
                result.problems += 1
                meter.line(f"Left out: {problem}")
            if not isinstance(done, DataProblem):
                result.add(done)
            meter.advance()
    if not result.images:
        with suppress(OSError):  # nothing came of it, so nothing stays
            (target / IMPORT_NOTE).unlink()
            target.rmdir()
        raise InputError(f"{path} holds no image that could be imported as {name}.")
    importer.writer.write_meta(meta_json(_classes(source.classes, result), _tags(result)))
    return result


def export_project(
    name: str,
    format: Format,
    project: Project,
    target: Path,
    copy: bool = False,
    strict: bool = False,
    meter: ImageProgress | None = None,
) -> Export:
    """Write a project in another format.

    Args:
        name: the format's name, which is noted in the folder.
        format: writes.
        target: the folder: new, empty, or of the same export, which is then done again.
        copy: copy the images instead of linking them.
        strict: stop at the first broken item.

    Raises:
        InputError: the target is not usable, the format cannot be written, or an item is broken (DataProblem,
            with ``strict``).
        RavenError: the disk is full or may not be written.
    """
    target = target.expanduser().absolute()
    if type(format).write is Format.write:
        raise InputError(f"The format {name} can be imported, but not exported.")
    request = {"format": name, "project": str(project.root)}
    if _check_target(target, target / _EXPORT_NOTE) not in (None, request):
        raise InputError(f"{target} holds another export; name a new folder, or remove that one.")
    write_json(target / _EXPORT_NOTE, request)
    export = Export(project, target, format.holds, copy, strict, meter or ImageProgress(0))
    export.meter.total = len(project.items)
    with export.meter:
        format.write(export)
    if "colours" not in format.holds:
        export.lose("the colours of classes", count=len(project.classes))
    if "unused classes" not in format.holds:
        export.lose("classes without objects", count=len(set(project.titles) - export.used))
    return export


def _check_target(target: Path, note: Path) -> object:
    """What an earlier call noted in the folder, None where it is new; refuse any other folder."""
    if target.is_file():
        raise InputError(f"{target} is a file; name a new folder.")
    if note.is_file():
        return read_json(note)
    if target.is_dir() and any(target.iterdir()):
        raise InputError(f"{target} is not empty; name a new folder.")
    return None


class _Importer:
    """Adds records to a project, in many threads."""

    def __init__(self, writer: ProjectWriter, copy: bool) -> None:
        self.writer, self.link = writer, not copy

    def add(self, record: Record | DataProblem) -> _ImportedImage | DataProblem:
        try:
            if isinstance(record, DataProblem):
                raise record
            name = _item_name(record)
            existing = self._existing(self.writer.item(record.dataset, name), record)
            if existing is not None:
                return _ImportedImage(existing, kept=True)
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
            annotation = EditableAnnotation(header.size, tuple(kept), _once(record.tags))
            self.writer.add(record.dataset, name, record.image, annotation, link=self.link)
            return _ImportedImage(annotation, cut=cut, problems=tuple(problems))
        except DataProblem as problem:
            return problem

    def _existing(self, item: Item, record: Record) -> EditableAnnotation | None:
        """The item's annotation if it is whole and newer than what describes it, and its image is right."""
        try:
            written = item.annotation_path.stat().st_mtime_ns
            sources = [file for file in (record.file, record.image) if file is not None]
            if any(file.stat().st_mtime_ns > written for file in sources):
                return None
            if not is_placed(record.image, item.image_path, self.link):
                return None
            return read_editable(item.annotation_path)
        except (OSError, DataProblem):
            return None


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
                yield record_problem(record, problem, "remove one of the entries")
                continue
            if name != wanted:
                other = seen[record.dataset, wanted]
                notice(f"{record.image} has the name of {other} in the project, and becomes {name}.")
                record = replace(record, name=name)
            seen[record.dataset, name] = record.image
        yield record


def _item_name(record: Record) -> str:
    name = record.name or record.image.name
    ending = os.path.splitext(name)[1].lower()
    if ending not in EXTENSIONS:
        raise record_problem(
            record, f'images of the kind "{ending}" are not read', "convert it to PNG or JPEG"
        )
    if name.startswith(".") or "/" in name or len(name.encode(errors="surrogateescape")) > _LONGEST:
        raise record_problem(record, f"an item cannot be named {name!r}", "rename the image")
    return name


def _once(tags: Iterable[Tag]) -> tuple[Tag, ...]:
    """The tags, each name once."""
    named = {str(tag["name"]): tag for tag in reversed(list(tags))}
    return tuple(reversed(named.values()))


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
