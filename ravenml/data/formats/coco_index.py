"""Where everything stands in a COCO file, in little memory."""

from __future__ import annotations

import os
import re
from array import array
from collections.abc import Iterator
from pathlib import Path
from typing import IO, TypeVar

import numpy as np

from ravenml.common.parsing import ParseError, parse_json
from ravenml.data.formats.base import LeftOut, title_of
from ravenml.data.formats.encodings import has_halves
from ravenml.data.formats.json_stream import JsonEntry, entries
from ravenml.data.meta import ObjClass
from ravenml.data.problems import DataProblem, Notice, from_parse_error
from ravenml.store.progress import Meter

_NONE, _NOBODY = -(1 << 62), -(1 << 62) - 1  # no whole number; an entry that was told already
_LISTS = ("images", "annotations", "categories")
_NAME_ANOTHER = "name a COCO file of object detection"
_CORRECT = "correct or remove it"
_OWN = "give it one of its own"
Found = TypeVar("Found")


class OtherCocoFile(DataProblem):
    """A file of COCO's that holds something else than objects: captions, panoptic segments, results."""


class CocoIndex:
    """A COCO file whose images and annotations are read when they are asked for; threads may share it.

    An id is found as it is, or as the number that it says: 7, 7.0 and "7" are one where they do not stand for
    two things in the file.

    Args:
        path: the file, for messages.
        file: its text in UTF-8, which stays open.

    Attributes:
        path: the file.
        classes: the categories, in the file's order.
        parents: the titles of categories that only group others: no annotation is of them.
        broken: images whose entries are not usable.

    Raises:
        DataProblem: the file is not JSON, or no COCO file.
        OtherCocoFile: it is another one of COCO's.
    """

    def __init__(self, path: Path, file: IO[bytes]) -> None:
        self.path, self._file = path, file
        self.classes: list[ObjClass] = []
        self.parents: set[str] = set()
        self.broken: list[DataProblem] = []
        self._titles: dict[object, str] = {}
        self._unclear: dict[object, str] = {}  # a category's id to the names that it stands for
        self._problems: list[LeftOut] = []
        self._numbers: dict[object, int] = {}  # an image's id to its number
        self._again: dict[int, list[tuple[int, int, int]]] = {}  # further entries with an image's id
        self._images: array[int] = array("q")  # place, start, end
        self._spans: array[int] = array("q")  # of annotations: start, end
        self._owners: array[int] = array("q")  # the id of an annotation's image, where it is a whole number
        self._ids: array[int] = array("q")  # an annotation's own, where it is
        self._odd: dict[int, object] = {}  # the ids of images that are none
        self._repeated = self._keypoints = 0
        self._halves = False
        self._supers: set[object] = set()
        self._used: set[object] = set()  # ids of categories
        self._scan()

    def __len__(self) -> int:
        return len(self._images) // 3

    def place(self, number: int) -> int:
        """Which entry of the file's ``images`` an image is."""
        return self._images[3 * number]

    def image(self, number: int) -> dict[str, object]:
        """An image's entry.

        Raises:
            DataProblem: its text is not valid, or other images have its id, so that nobody knows whose the
                objects are.
        """
        if number in self._again:
            raise self._twice(number, self.place(number))
        return self._load(*self._images[3 * number + 1 : 3 * number + 3])

    def annotations(self, number: int) -> Iterator[tuple[int, dict[str, object] | DataProblem]]:
        """An image's annotations: which entry of the file's ``annotations`` each is, and what it says."""
        for place in self._sorted[self._begins[number] : self._begins[number + 1]].tolist():
            try:
                yield place, self._annotation(place)
            except DataProblem as problem:
                yield place, problem

    def title(self, category: object) -> str | None:
        """The name of the category with this id; None where there is none, or more than one."""
        return _find(self._titles, self._whole_titles, category)

    def category_problem(self, category: object) -> tuple[str, str]:
        """What is wrong with the id of a category without a title, and the fix."""
        if category is None:
            return "is missing", "say the category, or remove the annotation"
        if names := _find(self._unclear, _by_whole_number(self._unclear), category):
            return f"{category!r} is the id of {names}", "give each category an id of its own"
        return (
            f"{category!r} is not a category of the file",
            "add it to the categories, or correct the number",
        )

    def left_out(self) -> Iterator[DataProblem | LeftOut]:
        """Images that are broken, and annotations that are no image's."""
        yield from self.broken
        yield from self._problems
        for number, others in self._again.items():
            yield from (self._twice(number, place) for place, _, _ in others)
            for place in self._sorted[self._begins[number] : self._begins[number + 1]].tolist():
                said = "is that of more than one image"
                yield self._lost(place, said, "give each image an id of its own")
        for place, owner in zip(self._lost_places.tolist(), self._lost_owners.tolist(), strict=True):
            missing: object = self._odd.get(place, owner)
            problem = "is missing" if missing is None else f"{missing!r} is not an image of the file"
            yield self._lost(place, problem, "correct the number, or remove the annotation")

    def tell(self, notice: Notice) -> None:
        """Say what costs no object."""
        name = self.path.name
        if self._shared:
            notice(f"{name}: {self._shared:,} annotations share their ids with others; all are kept.")
        if self._repeated:
            notice(f"{name}: images that are listed more than once are taken once ({self._repeated:,}).")
        if self._keypoints:
            notice(f"{name}: keypoints are not imported (in {self._keypoints:,} of its annotations).")
        if self._halves:
            notice(f'{name}: names of categories have halves of characters, each read as "?".')

    def _twice(self, number: int, place: int) -> DataProblem:
        other = self._again[number][0][0] if place == self.place(number) else self.place(number)
        problem = f"is that of images[{other}] too, so that the objects of neither are known"
        return DataProblem(self.path, f"images[{place}].id", problem, "give each image an id of its own")

    def _lost(self, place: int, problem: str, fix: str) -> LeftOut:
        try:
            title = self.title(self._annotation(place).get("category_id"))
        except DataProblem:
            title = None
        return LeftOut(DataProblem(self.path, f"annotations[{place}].image_id", problem, fix), title=title)

    def _annotation(self, place: int) -> dict[str, object]:
        return self._load(self._spans[2 * place], self._spans[2 * place + 1])

    def _text(self, start: int, end: int) -> bytes:
        return os.pread(self._file.fileno(), end - start, start)

    def _load(self, start: int, end: int) -> dict[str, object]:
        try:
            entry = parse_json(self._text(start, end), str(self.path))
        except ParseError as error:
            problem = from_parse_error(self.path, error, _CORRECT)
            raise DataProblem(self.path, f"byte {start}", problem.problem, problem.fix) from None
        if not isinstance(entry, dict):  # the file was changed meanwhile
            raise DataProblem(self.path, f"byte {start}", "is not an object", _CORRECT)
        return entry

    def _scan(self) -> None:
        lists: set[str] = set()
        if self._file.read(64).lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"["):
            problem = "is a list, as COCO's results are, and names no images"
            raise OtherCocoFile(self.path, "", problem, _NAME_ANOTHER)
        with Meter(f"Reading {self.path.name}", os.fstat(self._file.fileno()).st_size) as meter:
            told = 0
            for entry in entries(self.path, file=self._file):
                if entry.key not in _LISTS:
                    continue
                if entry.number < 0:
                    if entry.key in lists:
                        raise DataProblem(self.path, entry.key, "is there twice", "remove one of them")
                    lists |= {entry.key} if entry.value == [] else set()
                    continue
                if not isinstance(entry.value, dict):
                    self._not_an_object(entry)
                elif entry.key == "images":
                    self._add_image(entry, _id(entry.value.get("id")))
                elif entry.key == "categories":
                    self._add_category(entry)
                else:
                    self._add_annotation(entry, entry.value)
                if entry.end - told > 1 << 22:
                    meter(entry.end - told)
                    told = entry.end
        if missing := [name for name in _LISTS if name not in lists]:
            problem = f"has no list of {' and no list of '.join(missing)}"
            raise DataProblem(self.path, "", problem, _NAME_ANOTHER)
        self._finish()

    def _not_an_object(self, entry: JsonEntry) -> None:
        problem = DataProblem(self.path, f"{entry.key}[{entry.number}]", "is not an object", _CORRECT)
        if entry.key == "images":
            self.broken.append(problem)
            return
        self._problems.append(LeftOut(problem, objects=int(entry.key == "annotations")))
        if entry.key == "annotations":
            self._add_annotation(entry, {"image_id": _NOBODY})

    def _add_image(self, entry: JsonEntry, known: object) -> None:
        if known is None:
            where = f"images[{entry.number}].id"
            self.broken.append(DataProblem(self.path, where, "is missing", _OWN))
        elif known in self._numbers:
            again = self._again.setdefault(self._numbers[known], [])
            again.append((entry.number, entry.start, entry.end))
        else:
            self._numbers[known] = len(self)
            self._images.extend((entry.number, entry.start, entry.end))

    def _add_category(self, entry: JsonEntry) -> None:
        where = f"categories[{entry.number}]"
        try:
            value = self._load(entry.start, entry.end)
        except DataProblem as error:
            self._problems.append(LeftOut(error, objects=0))
            return
        known, title = _id(value.get("id")), title_of(value.get("name"))
        self._halves |= "?" in title and has_halves(self._text(entry.start, entry.end))
        if (parent := title_of(value.get("supercategory"))) != title:
            self._supers.add(parent)
        if known is None or not title:
            problem = DataProblem(self.path, where, "has no id and name", _CORRECT)
            self._problems.append(LeftOut(problem, objects=0))
            return
        if known not in self._titles:
            self._titles[known] = title
        elif self._titles[known] != title:
            problem = DataProblem(
                self.path, f"{where}.id", f'{known!r} is that of "{self._titles[known]}" too', _OWN
            )
            self._problems.append(LeftOut(problem, objects=0))
            self._unclear[known] = f'"{self._titles[known]}" and of "{title}"'
        if title not in {one.title for one in self.classes}:
            self.classes.append(ObjClass(title, "any", _color(value.get("color"))))

    def _add_annotation(self, entry: JsonEntry, value: dict[str, object]) -> None:
        owner, own, category = value.get("image_id"), value.get("id"), value.get("category_id")
        if category is None and entry.number == 0:
            for field, kind in (("segments_info", "panoptic segments"), ("caption", "captions")):
                if field in value:
                    problem = f"is COCO's file of {kind}, which are not read"
                    raise OtherCocoFile(self.path, "", problem, _NAME_ANOTHER)
        if type(owner) is not int or owner < _NOBODY or owner > -_NONE:
            self._odd[entry.number] = _id(owner)
            owner = _NONE
        self._spans.extend((entry.start, entry.end))
        self._owners.append(owner)
        self._ids.append(own if type(own) is int and abs(own) < -_NONE else _NONE)
        self._used.add(category if type(category) is int else _id(category))
        if value.get("keypoints"):
            self._keypoints += 1

    def _finish(self) -> None:
        """Find each image's annotations, and those that are no image's."""
        for known in self._unclear:
            del self._titles[known]
        self._whole_titles = _by_whole_number(self._titles)
        whole_numbers = _by_whole_number(self._numbers)
        ids, places = np.unique(_array(self._owners), return_inverse=True)
        known = [_find(self._numbers, whole_numbers, one) for one in ids.tolist()]
        owners = np.array([-1 if one is None else one for one in known], np.int64)[places.reshape(-1)]
        for place, said in self._odd.items():
            found = _find(self._numbers, whole_numbers, said)
            owners[place] = -1 if found is None else found
        self._sorted = np.argsort(owners, kind="stable")
        self._begins = np.searchsorted(owners[self._sorted], np.arange(len(self) + 1))
        self._lost_places = np.flatnonzero((owners < 0) & (_array(self._owners) != _NOBODY))
        self._lost_owners = _array(self._owners)[self._lost_places]
        self._odd = {place: said for place, said in self._odd.items() if owners[place] < 0}
        own = np.sort(_array(self._ids)[_array(self._ids) != _NONE])
        same = own[1:] == own[:-1]
        self._shared = int(np.count_nonzero(np.append(same, False) | np.insert(same, 0, False)))
        for number, others in list(self._again.items()):
            self._merge(number, others)
        used = {_find(self._titles, self._whole_titles, one) for one in self._used}
        self.parents = {one.title for one in self.classes if one.title in self._supers} - used
        self._numbers, self._owners, self._ids = {}, array("q"), array("q")

    def _merge(self, number: int, others: list[tuple[int, int, int]]) -> None:
        """Take an image that is listed more than once with one name as one."""
        names = set()
        first = self._images[3 * number : 3 * number + 3]
        for _, start, end in (first, *others):
            try:
                names.add(str(self._load(start, end).get("file_name")))
            except DataProblem:
                names.add(f"byte {start}")
        if len(names) == 1:
            del self._again[number]
            self._repeated += 1


def _find(exact: dict[object, Found], whole: dict[int, Found | None], said: object) -> Found | None:
    """What an id stands for: exactly, or by the number that it says."""
    known = _id(said)
    if known is None:
        return None
    found = exact.get(known)
    if found is None and (number := _whole(known)) is not None:
        found = whole.get(number)
    return found


def _by_whole_number(exact: dict[object, Found]) -> dict[int, Found | None]:
    """What stands under ids that say a whole number; None where that is more than one thing."""
    found: dict[int, Found | None] = {}
    for known, value in exact.items():
        if (number := _whole(known)) is not None:
            found[number] = value if found.setdefault(number, value) == value else None
    return found


def _whole(known: object) -> int | None:
    """The whole number that an id says: 7, 7.0, "7" or "007"."""
    if isinstance(known, int):
        return known
    if isinstance(known, float):
        return int(known) if known.is_integer() else None
    match = re.fullmatch(r"\s*(-?[0-9]{1,18})(?:\.0*)?\s*", known) if isinstance(known, str) else None
    return int(match[1]) if match else None


def _array(numbers: array[int]) -> np.ndarray:
    return np.frombuffer(numbers, np.int64) if numbers else np.zeros(0, np.int64)


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
