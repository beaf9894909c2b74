"""An export under way: images and objects as a format can hold them, and the means to write files."""

from __future__ import annotations

import os
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from ravenml.common.io import write_bytes
from ravenml.data.editable_annotation import EditableAnnotation, Label, Tag, read_editable
from ravenml.data.formats.degrade import convert
from ravenml.data.formats.parallel import in_order
from ravenml.data.geometry import AnyGeometry, Size
from ravenml.data.meta import ObjClass
from ravenml.data.problems import DataProblem
from ravenml.data.progress import ImageProgress
from ravenml.data.project import Item, Project
from ravenml.data.split import SPLIT_TAGS
from ravenml.data.writing import is_placed, place_image

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
        objects: the objects in the order of drawing, in shapes that the format holds.
        tags: the image's tags, if the format holds them.
    """

    item: Item
    size: Size
    objects: list[ExportedObject]
    tags: tuple[Tag, ...] = ()

    @property
    def split(self) -> str | None:
        """``train``, ``val`` or ``test`` where the image has that tag alone."""
        names = {str(tag["name"]) for tag in self.tags}.intersection(SPLIT_TAGS)
        return names.pop() if len(names) == 1 else None


@dataclass
class Export:
    """What a format writes, and the means to write it.

    Attributes:
        project: the project.
        target: the folder to write into.
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

    def each(self, function: Callable[[ExportedImage], object]) -> None:
        """Call a function with each image, in several threads."""
        for _ in self.map(function):
            pass

    def lose(self, what: str, became: str = "were left out", count: int = 1) -> None:
        """Count what the format cannot hold; may be called from any thread."""
        if count:
            with self._lock:
                self.lost[what, became] += count

    def place(self, item: Item, path: Path) -> Path:
        """Link or copy an item's image to ``path``, unless it is there; returns ``path``."""
        if not is_placed(item.image_path, path, link=not self.copy):
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

    def file_name(self, item: Item) -> str:
        """`stem` with the image's own ending."""
        return self.stem(item) + os.path.splitext(item.name)[1]

    def write(self, path: Path, content: bytes) -> None:
        """Write a file, whole or not at all."""
        write_bytes(path, content)

    def _do(self, function: Callable[[ExportedImage], Made], item: Item) -> Made | DataProblem:
        try:
            return function(self._read(item))
        except DataProblem as error:
            return error

    def _read(self, item: Item) -> ExportedImage:
        shapes = {one.title: one.shape for one in self.classes}
        annotation = read_editable(item.annotation_path, shapes)
        objects: list[ExportedObject] = []
        for label in annotation.labels:
            try:
                objects += self._held_objects(label, annotation)
            except DataProblem as error:
                with self._lock:
                    self._tell(error)
        if annotation.rest.get("description"):
            self.lose("descriptions")
        with self._lock:
            self.used.update(label.title for label in annotation.labels)
        return ExportedImage(item, annotation.size, objects, self._held_tags(annotation.tags, "image tags"))

    def _held_objects(self, label: Label, annotation: EditableAnnotation) -> Iterator[ExportedObject]:
        geometry = label.geometry
        if geometry is None:
            self.lose(f"objects of the shape {label.kind}")
            return
        if label.entry.get("description"):
            self.lose("descriptions")
        tags = self._held_tags(tuple(label.tags), "object tags")
        for shape in convert(geometry, self.holds, annotation.size, self.lose):
            yield ExportedObject(label.title, shape, tags)

    def _held_tags(self, tags: tuple[Tag, ...], where: str) -> tuple[Tag, ...]:
        if where not in self.holds:
            tags, kept = tuple(t for t in tags if t["name"] in SPLIT_TAGS), tags
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
