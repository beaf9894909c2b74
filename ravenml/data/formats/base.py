"""What a format of annotations is: a class that reads records of images, and writes a project.

A distribution adds a format of its own by an entry point in the group `ravenml.plugins.data`::

    entry_points={"ravenml.plugins.data": ["csv = my_package.csv_boxes:Csv"]}

Reading is a stream: a format yields one image at a time, a `DataProblem` in place of a broken one, and a
`LeftOut` in place of a broken object.
Writing is one too.
Everything that formats have in common is done for them: finding images, linking or copying them, sizes,
EXIF orientations, cutting shapes to the image, `meta.json`, progress, resuming, and telling what is wrong.
"""

from __future__ import annotations

import math
import threading
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ravenml.data.editable_annotation import Label, Tag
from ravenml.data.formats.export import Export
from ravenml.data.geometry import AnyGeometry, Size
from ravenml.data.geometry_json import InvalidGeometry
from ravenml.data.meta import ObjClass
from ravenml.data.problems import DataProblem, Notice, print_notice
from ravenml.renamed import former_names

__getattr__ = former_names(__name__, {"Source": "ImportSource", "Options": "ImportOptions"})

SHAPES = frozenset({"polygon", "holes", "bitmap", "rectangle", "line", "point"})
TAGS = frozenset({"image tags", "object tags", "tag values"})
SPLITS = frozenset({"splits"})  # the image tags `train`, `val` and `test`
CLASSES = frozenset({"colours", "unused classes"})
EVERYTHING = SHAPES | TAGS | SPLITS | CLASSES
_LARGE = 1 << 26  # bytes of a file; to read it through takes seconds
_REPAIR = "correct or remove it"
_ANY_SIZE = 1000, 1000


@dataclass(frozen=True)
class ImportOptions:
    """What the user chose for an import.

    Attributes:
        images: the folder of the images, where it is not the source's own.
        class_name: the class of objects that name none.
        class_attribute: which of an object's attributes is its class.
        classes: a file that lists the classes.
        resize_annotations: bring masks of another size to that of their image.
    """

    images: Path | None = None
    class_name: str | None = None
    class_attribute: str | None = None
    classes: Path | None = None
    resize_annotations: bool = False


@dataclass
class ImportSource:
    """What an import reads.

    Attributes:
        path: the file or folder that the user named.
        options: what the user chose.
        notice: tells the user what is not wrong, but good to know.
        total: how many images there will be, for the progress; the format sets it when it knows.
        classes: the classes that the source lists, in its order; the format may leave it empty.
        remarks: what `remark` was told, with how often.
    """

    path: Path
    options: ImportOptions = field(default_factory=ImportOptions)
    notice: Notice = print_notice
    total: int = 0
    classes: list[ObjClass] = field(default_factory=list)
    remarks: Counter[str] = field(default_factory=Counter)
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def remark(self, text: str) -> None:
        """Note what is good to know of one object; it is told when all is read, once, with how often it was
        noted.  Threads may call it.
        """
        with self._lock:
            self.remarks[text] += 1

    @property
    def folder(self) -> Path:
        """The folder that was named, or that of the file that was named."""
        return self.path if self.path.is_dir() else self.path.parent

    def read_through(self, files: Iterable[Path]) -> None:
        """Tell that large files are read to their ends before the first image, and the progress, comes."""
        for file in files:
            if (size := file.stat().st_size) >= _LARGE:
                self.notice(f"{file.name} ({size / 2**20:,.0f} MiB) is read through before its images come.")


@dataclass(frozen=True)
class LeftOut:
    """Objects that cannot be read, and are counted as lost.

    It takes the place of an object in a record's labels.  `Format.read` yields it for objects that belong to
    no image.

    Attributes:
        problem: what is wrong.
        objects: how many objects that costs.
        title: their class, if it is known.
        images: how many images that costs.
        classes: how many of the objects are of each class, where they are of several.
    """

    problem: DataProblem
    objects: int = 1
    title: str | None = None
    images: int = 0
    classes: Mapping[str, int] = field(default_factory=dict)


# A `DataProblem` among labels is an object of an unknown class.
Labels = Iterable[Label | LeftOut | DataProblem]


@dataclass(frozen=True)
class Record:
    """One image of a source.

    Attributes:
        image: the image file.
        dataset: the dataset that it belongs to; parts of nested ones are divided by ``/``.
        labels: the objects in the order of drawing, a `LeftOut` in place of each that is broken; or a
            function that makes them from the upright image's (height, width), called in another thread.
        tags: the image's tags.
        size: (height, width) as the source says, if it does.
        file: the file that describes the image, for messages.
        field: where in that file.
        name: the item's name; by default the image file's.
        content: the picture itself, where ``image`` is only where its file would be.
    """

    image: Path
    dataset: str
    labels: Labels | Callable[[Size], Labels] = ()
    tags: Sequence[Tag] = ()
    size: Size | None = None
    file: Path | None = None
    field: str = ""
    name: str | None = None
    content: bytes | None = None


class Format(ABC):
    """A format of annotations; derive from it and register the class as an entry point.

    Attributes:
        title: the format's name for people, such as ``VGG Image Annotator 1 and 2``.
        sign: what `recognises` looks for, such as ``a JSON with images, annotations and categories``.
        holds: what of `EVERYTHING` can be said in it; all else is changed into what can, or left out, and
            counted.
    """

    title: str = ""
    sign: str = ""
    holds: frozenset[str] = frozenset()

    def recognises(self, path: Path) -> bool:
        """Whether a file or folder looks like this format; only its beginning should be read."""
        return False

    @abstractmethod
    def read(self, source: ImportSource) -> Iterator[Record | LeftOut | DataProblem]:
        """Yield the images of a source, a `DataProblem` for each that cannot be read, and a `LeftOut` for
        objects that belong to no image.

        Raises:
            InputError: the source as a whole is not of this format.
        """

    def write(self, export: Export) -> None:
        """Write a project's images and annotations into ``export.target``; a format may only be read.

        `Export.map` gives each image with objects that the format holds.
        """
        raise NotImplementedError


def left_out_image(
    problem: DataProblem, labels: Labels | Callable[[Size], Labels], size: Size | None = None
) -> LeftOut:
    """An image that is left out, with its objects.

    Args:
        size: (height, width) as the source says, if it does; without it, shapes are not right, but counted.
    """
    try:
        given = list(labels(size or _ANY_SIZE) if callable(labels) else labels)
    except DataProblem:  # they could not be read without the image
        given = []
    classes: Counter[str] = Counter()
    for one in given:
        title = one.title if isinstance(one, Label | LeftOut) else None
        if title is not None:
            classes[title] += 1
    return LeftOut(problem, len(given), images=1, classes=classes)


def record_problem(record: Record, problem: str, fix: str) -> DataProblem:
    """What is wrong with a record as a whole."""
    return DataProblem(record.file or record.image, record.field, problem, fix)


def title_of(given: object) -> str:
    """A class's name as a file says it, as text or as a number; nothing where it says none."""
    if isinstance(given, str):
        return given if given.strip() else ""
    if isinstance(given, float):
        return f"{given:g}" if math.isfinite(given) else ""
    return str(given) if isinstance(given, int) and not isinstance(given, bool) else ""


def make_label(
    file: Path, field: str, title: str, shape: Callable[[], AnyGeometry], tags: Iterable[Tag] = ()
) -> Label | LeftOut:
    """An object whose shape ``shape`` makes; a `LeftOut` if it raises InvalidGeometry or ValueError."""
    try:
        return Label.make(title, shape(), tags)
    except InvalidGeometry as bad:
        where = f"{field}.{bad.field}" if bad.field else field
        problem = DataProblem(file, where, bad.problem, bad.fix or _REPAIR)
    except ValueError as error:
        problem = DataProblem(file, field, f"is not a shape ({error})", _REPAIR)
    return LeftOut(problem, title=title)
