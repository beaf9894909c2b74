"""Where everything stands in a COCO file, in little memory."""

from __future__ import annotations

import os
from array import array
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from ravenml.common.parsing import ParseError, parse_json
from ravenml.common.reading import open_file
from ravenml.data.formats.json_stream import JsonEntry, entries
from ravenml.data.meta import ObjClass
from ravenml.data.problems import DataProblem, from_parse_error
from ravenml.store.progress import Meter

_NONE, _NOBODY = -(1 << 62), -(1 << 62) - 1  # no whole number; an entry that was told already
_LISTS = ("images", "annotations", "categories")


class CocoIndex:
    """A COCO file whose images and annotations are read when they are asked for; threads may share it.

    Attributes:
        path: the file.
        classes: the categories, in the file's order.
        titles: a category's id to its name.
        problems: entries that belong to nothing, or are there twice.

    Raises:
        DataProblem: the file is not JSON, or no COCO file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.classes: list[ObjClass] = []
        self.titles: dict[object, str] = {}
        self.problems: list[DataProblem] = []
        self._numbers: dict[object, int] = {}  # an image's id to its number
        self._images: array[int] = array("q")  # place, start, end
        self._spans: array[int] = array("q")  # of annotations: start, end
        self._owners: array[int] = array("q")  # the id of an annotation's image, where it is a whole number
        self._ids: array[int] = array("q")  # an annotation's own, where it is
        self._odd: dict[int, object] = {}  # the ids of images that are none
        self._scan()

    def __len__(self) -> int:
        return len(self._images) // 3

    def place(self, number: int) -> int:
        """Which entry of the file's ``images`` an image is."""
        return self._images[3 * number]

    def image(self, number: int) -> dict[str, object]:
        """An image's entry.

        Raises:
            DataProblem: its text is not valid.
        """
        return self._load(*self._images[3 * number + 1 : 3 * number + 3])

    def annotations(self, number: int) -> Iterator[tuple[int, dict[str, object] | DataProblem]]:
        """An image's annotations: which entry of the file's ``annotations`` each is, and what it says."""
        for place in self._sorted[self._begins[number] : self._begins[number + 1]].tolist():
            try:
                yield place, self._load(self._spans[2 * place], self._spans[2 * place + 1])
            except DataProblem as problem:
                yield place, problem

    def _load(self, start: int, end: int) -> dict[str, object]:
        try:
            entry = parse_json(os.pread(self._file.fileno(), end - start, start), str(self.path))
        except ParseError as error:
            problem = from_parse_error(self.path, error, "correct or remove it")
            raise DataProblem(self.path, f"byte {start}", problem.problem, problem.fix) from None
        if not isinstance(entry, dict):  # the file was changed meanwhile
            raise DataProblem(self.path, f"byte {start}", "is not an object", "correct or remove it")
        return entry

    def _scan(self) -> None:
        lists: set[str] = set()
        try:
            self._file = open_file(self.path)
        except OSError as error:
            raise DataProblem(
                self.path, "", f"cannot be read ({error.strerror})", "make it readable"
            ) from None
        with Meter(f"Reading {self.path.name}", os.fstat(self._file.fileno()).st_size) as meter:
            told = 0
            for entry in entries(self.path):
                if entry.key not in _LISTS:
                    continue
                if entry.number < 0:
                    lists |= {entry.key} if entry.value == [] else set()
                    continue
                where = f"{entry.key}[{entry.number}]"
                if not isinstance(entry.value, dict):
                    self.problems.append(
                        DataProblem(self.path, where, "is not an object", "correct or remove it")
                    )
                    if entry.key == "annotations":
                        self._annotation(entry, {"image_id": _NOBODY})
                elif entry.key == "images":
                    self._image(entry.number, entry.start, entry.end, _id(entry.value.get("id")))
                elif entry.key == "categories":
                    try:
                        self._category(where, self._load(entry.start, entry.end))
                    except DataProblem as error:
                        self.problems.append(error)
                else:
                    self._annotation(entry, entry.value)
                if entry.end - told > 1 << 22:
                    meter(entry.end - told)
                    told = entry.end
        if missing := [name for name in _LISTS if name not in lists]:
            problem = f"has no list of {' and no list of '.join(missing)}"
            raise DataProblem(self.path, "", problem, "name a COCO file of object detection")
        self._finish()

    def _image(self, place: int, start: int, end: int, known: object) -> None:
        if known is None or known in self._numbers:
            problem = "is missing" if known is None else f"{known!r} is another image's too"
            self.problems.append(
                DataProblem(self.path, f"images[{place}].id", problem, "give it one of its own")
            )
            return
        self._numbers[known] = len(self)
        self._images.extend((place, start, end))

    def _category(self, where: str, entry: dict[str, object]) -> None:
        known, title = _id(entry.get("id")), entry.get("name")
        if known is None or not isinstance(title, str) or not title:
            self.problems.append(DataProblem(self.path, where, "has no id and name", "correct or remove it"))
        elif known in self.titles:
            problem = f'{known!r} is that of "{self.titles[known]}" too'
            self.problems.append(DataProblem(self.path, f"{where}.id", problem, "give it one of its own"))
        else:
            self.titles[known] = title
            if title not in {one.title for one in self.classes}:
                self.classes.append(ObjClass(title, "any", _color(entry.get("color"))))

    def _annotation(self, entry: JsonEntry, value: dict[str, object]) -> None:
        owner, own = _id(value.get("image_id")), value.get("id")
        if not isinstance(owner, int) or owner < _NOBODY or owner > -_NONE:
            self._odd[entry.number] = owner
            owner = _NONE
        self._spans.extend((entry.start, entry.end))
        self._owners.append(owner)
        self._ids.append(own if isinstance(own, int) and abs(own) < -_NONE else _NONE)

    def _finish(self) -> None:
        """Find each image's annotations, and those that are no image's or have another's id."""
        ids, places = np.unique(_array(self._owners), return_inverse=True)
        known = np.array([self._numbers.get(one, -1) for one in ids.tolist()], np.int64)
        owners = known[places.reshape(-1)]
        for place in np.flatnonzero((owners < 0) & (_array(self._owners) != _NOBODY)).tolist():
            said = self._odd.get(place, self._owners[place])
            owners[place] = self._numbers.get(said, -1)
            if owners[place] < 0:
                problem = "is missing" if said is None else f"{said!r} is not an image of the file"
                fix = "correct the number, or remove the annotation"
                self.problems.append(DataProblem(self.path, f"annotations[{place}].image_id", problem, fix))
        for first, second in _twice(_array(self._ids)):
            problem = f"is that of annotations[{first}] too"
            fix = "give it one of its own"
            self.problems.append(DataProblem(self.path, f"annotations[{second}].id", problem, fix))
            owners[second] = -1
        self._sorted = np.argsort(owners, kind="stable")
        self._begins = np.searchsorted(owners[self._sorted], np.arange(len(self) + 1))
        self._numbers, self._odd = {}, {}
        self._owners, self._ids = array("q"), array("q")


def _array(numbers: array[int]) -> np.ndarray:
    return np.frombuffer(numbers, np.int64) if numbers else np.zeros(0, np.int64)


def _twice(ids: np.ndarray) -> list[tuple[int, int]]:
    """Places of annotations with one id: the first, and each further one."""
    order = np.argsort(ids, kind="stable")
    same = np.flatnonzero((ids[order[1:]] == ids[order[:-1]]) & (ids[order[1:]] != _NONE))
    found, first = [], -1
    for at in same.tolist():
        if first < 0 or ids[order[at]] != ids[order[first]]:
            first = at
        found.append((int(order[first]), int(order[at + 1])))
    return found


def _id(given: object) -> object:
    """An id, as UTF-8 has it; None where it is neither text nor number."""
    if isinstance(given, str):
        try:
            return given.encode("latin-1").decode()
        except UnicodeError:
            return given
    return given if isinstance(given, int | float) and not isinstance(given, bool) else None


def _color(given: object) -> str:
    """A category's colour, as COCO's panoptic files say it; empty where it has none."""
    if not isinstance(given, list):
        return ""
    try:
        red, green, blue = (int(part) for part in given)
    except (TypeError, ValueError):
        return ""
    inside = all(0 <= part < 256 for part in (red, green, blue))
    return f"#{red:02X}{green:02X}{blue:02X}" if inside else ""
