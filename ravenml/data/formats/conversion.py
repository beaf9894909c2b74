"""Conversion: records of a format become a project, and a project becomes a source of another format."""

from __future__ import annotations

import itertools
import os
from collections import Counter
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from ravenml.common.io import read_json, temporary_folder, write_json
from ravenml.common.permissions import make_folder
from ravenml.data.editable_annotation import read_editable
from ravenml.data.formats.archive import unpacked
from ravenml.data.formats.base import Format, ImportOptions, ImportSource, LeftOut
from ravenml.data.formats.export import Export
from ravenml.data.formats.import_journal import JOURNAL, ImportJournal, Key
from ravenml.data.formats.importer import ImportedImage, Importer, ItemNames
from ravenml.data.formats.losses import Losses
from ravenml.data.formats.parallel import in_order
from ravenml.data.formats.registry import guess_format, load_format
from ravenml.data.images import more_pages_notice
from ravenml.data.layout import IMPORT_NOTE
from ravenml.data.meta import ObjClass, TagMeta, spare_color
from ravenml.data.problems import DataProblem
from ravenml.data.progress import ImageProgress
from ravenml.data.project import Project
from ravenml.data.writing import META, ProjectWriter, meta_json
from ravenml.errors import InputError, RavenError

_EXPORT_NOTE = ".ravenml-export.json"  # hidden, so that no reader of a format stumbles over it


@dataclass
class Imported:
    """What an import did.

    Attributes:
        root: the project.
        format: the name of the format.
        images: how many images it has now.
        kept: how many of these were there and whole.
        edited: the items whose annotation a person changed after an earlier import; they stay as they are.
        removed: how many items of an earlier import are gone from the source, and from the project.
        objects: how many objects.
        kinds: objects per class and shape.
        tags: the kinds of values that each tag has.
        cut: objects of which a part lay outside of their image.
        losses: the images and objects that were left out, and why.
        notices: what was not wrong, but good to know.
    """

    root: Path
    format: str = ""
    images: int = 0
    kept: int = 0
    edited: list[str] = field(default_factory=list)
    removed: int = 0
    objects: int = 0
    kinds: Counter[tuple[str, str]] = field(default_factory=Counter)
    tags: dict[str, set[str]] = field(default_factory=dict)
    cut: int = 0
    losses: Losses = field(default_factory=Losses)
    notices: list[str] = field(default_factory=list)

    @property
    def problems(self) -> int:
        """How many problems there were."""
        return len(self.losses)

    @property
    def classes(self) -> Counter[str]:
        """How many objects each class has."""
        counts: Counter[str] = Counter()
        for (title, _), count in self.kinds.items():
            counts[title] += count
        return counts

    def excess(self, max_lost: float | None = None) -> str | None:
        """What the import lost beyond the limit, as the beginning of a sentence; None where that is nothing.

        Args:
            max_lost: which share of the images, and of the objects, may be lost, from 0 to 1; None: half of
                them, and no class as a whole.
        """
        return self.losses.excess(self.images, self.objects, self.classes, max_lost)

    def add(self, one: ImportedImage, times: int = 1) -> None:
        """Count an image; ``times=-1`` takes one back."""
        self.images += times
        self.kept += times * one.kept
        self.cut += times * one.cut
        labels = one.annotation.labels
        self.objects += times * len(labels)
        for label in labels:
            self.kinds[label.title, label.kind] += times
        for tag in itertools.chain(one.annotation.tags, *(label.tags for label in labels)):
            self.tags.setdefault(str(tag["name"]), set()).add(_value_type(tag.get("value")))

    def as_json(self) -> dict[str, object]:
        """The balance for programs: what was found, imported and left out, and why."""
        lost = self.losses

        def balance(imported: int, left_out: int) -> dict[str, int]:
            return {"found": imported + left_out, "imported": imported, "left_out": left_out}

        counts = self.classes
        titles = [*counts, *(title for title in lost.classes if title not in counts)]
        return {
            "project": str(self.root),
            "format": self.format,
            "images": {**balance(self.images, lost.images), "unchanged": self.kept, "removed": self.removed},
            "objects": {**balance(self.objects, lost.objects), "cut": self.cut},
            "classes": {title: balance(counts[title], lost.classes[title]) for title in titles},
            "left_out": lost.as_json(),
            "edited": self.edited,
            "notices": self.notices,
        }


def import_project(
    path: Path,
    target: Path,
    origin: str = "auto",
    options: ImportOptions | None = None,
    copy: bool = False,
    strict: bool = False,
    meter: ImageProgress | None = None,
) -> Imported:
    """Import a file, a folder or a ZIP as a project, or bring an earlier import up to date.

    A further import writes what has changed, and removes what is gone from the source.  An annotation that
    was changed in the project stays as it is.

    Args:
        path: the file, folder or ZIP.
        target: the project's folder: new, empty, or of the same import.
        origin: the name of the format to read; ``auto``: the one that recognises the source.
        copy: copy the images instead of linking them; those of a ZIP are always copied.
        strict: stop at the first bad record.
        meter: shows the progress, bad records and notices.

    Raises:
        InputError: the source or the target is not usable, no format or several recognise the source,
            nothing could be read, or a record is bad (DataProblem, with ``strict``).
        RavenError: the disk is full or may not be written.
    """
    path, target = (Path(os.path.abspath(given.expanduser())) for given in (path, target))
    if origin != "auto":
        load_format(origin)  # whether it is there at all, before anything is read
    options = options or ImportOptions()
    if options.images is not None:
        options = replace(options, images=Path(os.path.abspath(options.images.expanduser())))
    meter = meter or ImageProgress(0)
    if not path.exists():
        raise InputError(f"{path} does not exist; name the file or folder to import.")
    if target.is_relative_to(path):
        raise InputError(f"{target} lies within what is imported, {path}; name a folder beside it.")
    make_folder(target.parent)
    with unpacked(path, target) as folder:
        return _import(path, folder, target, origin, options, copy or folder != path, strict, meter)


def _import(
    path: Path,
    folder: Path,
    target: Path,
    origin: str,
    options: ImportOptions,
    copy: bool,
    strict: bool,
    meter: ImageProgress,
) -> Imported:
    """Import what lies at ``folder``, which is ``path`` or what was unpacked from it."""
    name = guess_format(folder) if origin == "auto" else origin
    format = load_format(name)
    result = Imported(target, name)

    def shown(text: str) -> str:
        return text.replace(str(folder), str(path))

    def notice(text: str) -> None:
        result.notices.append(shown(text))
        meter.line(f"Note: {shown(text)}")

    source = ImportSource(folder, options, notice)
    if origin == "auto":
        notice(f"{path} is read as {name}{f': it has {format.sign}' if format.sign else ''}.")
    request: dict[str, object] = {"format": name, "source": str(path)}
    for key, value in asdict(options).items():
        if value not in (None, False):
            request[key] = str(value.absolute()) if isinstance(value, Path) else value
    before = _check_target(target, target / IMPORT_NOTE)
    if before not in (None, request):
        other = before.get("source", "something else") if isinstance(before, dict) else "something else"
        how = " with other options" if other == request["source"] else f" of {other}"
        raise InputError(f"{target} holds an import{how}; name a new folder, or remove that one.")
    records = iter(format.read(source))
    first = list(itertools.islice(records, 1))  # from then on the source's total is known
    write_json(target / IMPORT_NOTE, request)
    journal = ImportJournal(target)
    importer = Importer(ProjectWriter(target), journal, copy)
    meter.total = source.total

    def lose(one: LeftOut) -> None:
        problem = one.problem
        if folder != path:
            file = Path(shown(str(problem.file)))
            problem = DataProblem(file, problem.field, shown(problem.problem), shown(problem.fix))
        if strict:
            raise problem
        classes = one.classes or ({one.title: one.objects} if one.title is not None else {})
        result.losses.add(problem, one.images, one.objects, classes)

    kept: set[Key] | None = None
    more_pages: list[Path] = []
    try:
        with meter:
            names = ItemNames(notice)
            for done in in_order(importer.add, names.unique(itertools.chain(first, records))):
                if isinstance(done, LeftOut):
                    lose(done)
                    if done.images:
                        meter.advance()
                    continue
                meter.advance()
                result.add(done)
                more_pages += [done.item.image_path] if done.more_pages else []
                result.edited += [done.item.key] if done.edited else []
                for one in done.left_out:
                    lose(one)
            for record, item_key in names.repeated:
                without, whole = importer.merge(record, item_key)
                if isinstance(whole, LeftOut):
                    lose(whole)
                    continue
                if without is not None:
                    result.add(without, -1)
                result.add(whole)
                for one in whole.left_out:
                    lose(one)
        if more_pages:
            notice(more_pages_notice(more_pages))
        for text, count in source.remarks.items():
            notice(f"{text} ({count:,} times)." if count > 1 else f"{text}.")
        for reason in result.losses.reasons:
            meter.line(str(reason))
        if not result.images:
            raise InputError(f"{path} holds no image that could be imported as {name}.")
        gone = importer.remove_gone()
        result.removed, result.edited = gone.removed, result.edited + [item.key for item in gone.edited]
        for item in gone.edited:
            if item.image_path.exists():  # it stays, and so do its classes and tags
                result.add(ImportedImage(item, read_editable(item.annotation_path), kept=True))
        importer.writer.write_meta(meta_json(_classes(source.classes, result), _tags(result)))
        kept = importer.edited | {(item.dataset, item.name) for item in gone.edited}
    finally:
        journal.close(kept)
        if before is None:
            _remove_if_empty(target)
    return result


def _remove_if_empty(target: Path) -> None:
    """Remove the folder of an import of which nothing came."""
    own = {IMPORT_NOTE, JOURNAL}
    with suppress(OSError):
        if {path.name for path in target.iterdir()} <= own:
            for name in own:
                (target / name).unlink(missing_ok=True)
            target.rmdir()


def export_project(
    project: Project,
    target: Path,
    to: str,
    copy: bool = False,
    strict: bool = False,
    meter: ImageProgress | None = None,
    source: Path | None = None,
) -> Export:
    """Write a project in another format.

    Args:
        project: what is exported.
        target: the folder: new, empty, or of the same export, which is then done again.
        to: the name of the format to write.
        copy: copy the images instead of linking them.
        strict: stop at the first broken item.
        source: what the project was made of, where it is noted instead of the project.

    Raises:
        InputError: the target is not usable, the format cannot be written, or an item is broken (DataProblem,
            with ``strict``).
        RavenError: the disk is full or may not be written.
    """
    target = target.expanduser().absolute()
    format = load_format(to)
    if type(format).write is Format.write:
        raise InputError(f"The format {to} can be imported, but not exported.")
    request = {"format": to, "project": str(source or project.root)}
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


def convert_dataset(
    path: Path,
    target: Path,
    to: str,
    origin: str = "auto",
    options: ImportOptions | None = None,
    copy: bool = False,
    strict: bool = False,
    max_lost: float | None = None,
    meter: ImageProgress | None = None,
) -> tuple[Imported | None, Export]:
    """Convert a source of one format to another: an import into a temporary project, and an export of it.

    Args:
        path: the file, folder or ZIP; or a project, which is exported.
        target: the folder: new, empty, or of the same conversion, which is then done again.
        to: the name of the format to write.
        origin: the name of the format to read; ``auto``: the one that recognises the source.
        options: as for an import.
        copy: copy the images instead of linking them; those of a ZIP are always copied.
        strict: stop at the first bad record or item.
        max_lost: what the import may lose; see `Imported.excess`.
        meter: shows the progress, bad records and notices.

    Returns:
        What the import did, None for a project; and what the export did.

    Raises:
        InputError: as `import_project` and `export_project`.
        RavenError: the import lost too much, so nothing is exported; or the disk is full or may not be
            written.
    """
    path, target = (Path(os.path.abspath(given.expanduser())) for given in (path, target))
    load_format(to)  # whether it is there at all, before anything is read
    _check_target(target, target / _EXPORT_NOTE)
    if origin == "auto" and (path / META).is_file():
        return None, export_project(Project.open(path), target, to, copy, strict, meter)
    make_folder(target.parent)
    with temporary_folder(target) as made:
        project = made / (path.stem if path.is_file() else path.name)
        done = import_project(path, project, origin, options, strict=strict, meter=meter)
        if excess := done.excess(max_lost):
            raise RavenError(f"{path}: {excess}; mend the source, or accept it with --max-lost 1.")
        opened = Project.open(project)
        # what lies in the temporary project itself cannot be linked
        copy = copy or not all(item.image_path.is_symlink() for item in opened.items)
        return done, export_project(opened, target, to, copy, strict, ImageProgress(0), path)


def _check_target(target: Path, note: Path) -> object:
    """What an earlier call noted in the folder, None where it is new; refuse any other folder."""
    if target.is_file():
        raise InputError(f"{target} is a file; name a new folder.")
    if note.is_file():
        return read_json(note)
    if target.is_dir() and any(target.iterdir()):
        raise InputError(f"{target} is not empty; name a new folder.")
    return None


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
