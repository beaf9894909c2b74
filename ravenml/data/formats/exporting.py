"""Exporting: a project becomes a source of another format."""

from __future__ import annotations

import os
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from ravenml.common.io import read_json, write_bytes, write_json
from ravenml.data.editable_annotation import EditableAnnotation, Label, Tag, read_editable
from ravenml.data.formats.base import Format, Size
from ravenml.data.formats.degrade import convert
from ravenml.data.formats.parallel import in_order
from ravenml.data.geometry import AnyGeometry
from ravenml.data.meta import ObjClass
from ravenml.data.problems import DataProblem
from ravenml.data.progress import ImageProgress
from ravenml.data.project import Item, Project
from ravenml.data.split import TRAIN, VAL
from ravenml.data.writing import place_image
from ravenml.errors import InputError

_NOTE = ".ravenml-export.json"  # hidden, so that no reader of a format stumbles over it
Made = TypeVar("Made")


@dataclass(frozen=True)
class ExportedObject:
    """An object as the format can hold it: its class, its shape, and its tags."""

    title: str
    geometry: AnyGeometry
    tags: tuple[Tag, ...] = ()


@dataclass(frozen=True)
class ExportedImage:
    """An image to be exported.

    Attributes:
        item: where it lies, and what it is called.
        size: (height, width).
        things: the objects in the order of drawing, in shapes that the format holds.
        tags: the image's tags, if the format holds them.
    """

    item: Item
    size: Size
    things: list[ExportedObject]
    tags: tuple[Tag, ...] = ()

    @property
    def split(self) -> str | None:
        """``train`` or ``val`` where the image has that tag alone."""
        names = {str(tag["name"]) for tag in self.tags} & {TRAIN, VAL}
        return names.pop() if len(names) == 1 else None


@dataclass
class Export:
    """What a format writes, and the means to write it.

    Attributes:
        project: the project.
        target: the folder to write into.
        name: the format's name.
        holds: what the format can hold; all else is changed or left out, and counted.
        copy: images are copied, not linked.
        strict: the first broken item raises.
        meter: shows the progress.
        images: how many were exported.
        lost: what could not be held, and what became of it, with how often.
        problems: items and objects that are broken.
        used: the classes that have objects.
    """

    project: Project
    target: Path
    name: str
    holds: frozenset[str]
    copy: bool = False
    strict: bool = False
    meter: ImageProgress = field(default_factory=lambda: ImageProgress(0))
    images: int = 0
    lost: Counter[tuple[str, str]] = field(default_factory=Counter)
    problems: list[DataProblem] = field(default_factory=list)
    used: set[str] = field(default_factory=set)
    _stems: dict[str, str] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def classes(self) -> list[ObjClass]:
        """The project's classes."""
        return self.project.classes

    def map(self, function: Callable[[ExportedImage], Made]) -> Iterator[Made]:
        """Call a function with each image, in several threads; the results come in the project's order."""
        for made in in_order(lambda item: self._do(function, item), self.project.items):
            self.meter.advance()
            if isinstance(made, DataProblem):
                self._tell(made)
            else:
                self.images += 1
                yield made

    def lose(self, what: str, became: str = "were left out", count: int = 1) -> None:
        """Count what the format cannot hold; may be called from any thread."""
        if count:
            with self._lock:
                self.lost[what, became] += count

    def place(self, item: Item, path: Path) -> Path:
        """Link or copy an item's image to ``path``, unless it is there; returns ``path``."""
        try:
            there, image = path.stat(), item.image_path.stat()
            whole = there.st_size == image.st_size and there.st_mtime_ns >= image.st_mtime_ns
            if path.is_symlink() != self.copy and (whole if self.copy else os.path.samestat(there, image)):
                return path
        except OSError:
            pass
        place_image(item.image_path, path, link=not self.copy)
        return path

    def stem(self, item: Item) -> str:
        """An item's name without its ending, for formats that name files by it.

        No other item of its dataset has it: of `a.jpg` and `a.png` the second is `a_png`, which is told.
        """
        with self._lock:
            if not self._stems:
                self._stems = dict(self._unique_stems())
            return self._stems[item.key]

    def _unique_stems(self) -> Iterator[tuple[str, str]]:
        """By the items' keys, their names without endings; the first in the project's order keeps its own."""
        named: dict[tuple[str, str], Item] = {}
        for item in self.project.items:
            named.setdefault((item.dataset, os.path.splitext(item.name)[0]), item)
        for item in self.project.items:
            stem, ending = os.path.splitext(item.name)
            first = named[item.dataset, stem]
            if first is not item:
                stem = f"{stem}_{ending[1:]}"
                while named.setdefault((item.dataset, stem), item) is not item:
                    stem += "_"
                told = f"{item.key} has the name of {first.name} but for its ending"
                self.meter.line(f"Note: {told}, and is exported as {stem}.")
            yield item.key, stem

    def write(self, path: Path, content: bytes) -> None:
        """Write a file, whole or not at all."""
        write_bytes(path, content)

    def _do(self, function: Callable[[ExportedImage], Made], item: Item) -> Made | DataProblem:
        try:
            return function(self._picture(item))
        except DataProblem as error:
            return error

    def _picture(self, item: Item) -> ExportedImage:
        shapes = {one.title: one.shape for one in self.classes}
        document = read_editable(item.annotation_path, shapes)
        things: list[ExportedObject] = []
        for label in document.labels:
            try:
                things += self._things(label, document)
            except DataProblem as error:
                with self._lock:
                    self._tell(error)
        if document.rest.get("description"):
            self.lose("descriptions")
        with self._lock:
            self.used.update(label.title for label in document.labels)
        return ExportedImage(item, document.size, things, self._held(document.tags, "image tags"))

    def _things(self, label: Label, document: EditableAnnotation) -> Iterator[ExportedObject]:
        geometry = label.geometry
        if geometry is None:
            self.lose(f"objects of the shape {label.kind}")
            return
        if label.entry.get("description"):
            self.lose("descriptions")
        tags = self._held(tuple(label.tags), "object tags")
        for shape in convert(geometry, self.holds, document.size, self.lose):
            yield ExportedObject(label.title, shape, tags)

    def _held(self, tags: tuple[Tag, ...], where: str) -> tuple[Tag, ...]:
        if where not in self.holds:
            tags, kept = tuple(t for t in tags if t["name"] in (TRAIN, VAL)), tags
            split = "splits" in self.holds and where == "image tags"
            self.lose(where, count=len(kept) - (len(tags) if split else 0))
            return tags if split else ()
        if "tag values" not in self.holds:
            self.lose("tag values", count=sum(tag.get("value") is not None for tag in tags))
            return tuple({"name": tag["name"]} for tag in tags)
        return tags

    def _tell(self, error: DataProblem) -> None:
        if self.strict:
            raise error
        self.problems.append(error)
        self.meter.line(f"Left out: {error}")


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
    _claim(target, {"format": name, "project": str(project.root)})
    export = Export(project, target, name, format.holds, copy, strict, meter or ImageProgress(0))
    export.meter.total = len(project.items)
    with export.meter:
        format.write(export)
    if "colours" not in format.holds:
        export.lose("the colours of classes", count=len(project.classes))
    if "unused classes" not in format.holds:
        export.lose("classes without objects", count=len(set(project.titles) - export.used))
    return export


def _claim(target: Path, request: Mapping[str, Any]) -> None:
    note = target / _NOTE
    if target.is_file():
        raise InputError(f"{target} is a file; name a new folder.")
    if target.is_dir() and not note.is_file() and any(target.iterdir()):
        raise InputError(f"{target} is not empty; name a new folder.")
    if note.is_file() and read_json(note) != request:
        raise InputError(f"{target} holds another export; name a new folder, or remove that one.")
    write_json(note, dict(request))
