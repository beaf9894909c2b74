"""YOLO's texts of labels: which one belongs to an image, and what its lines say.

A line is a class's number and shares of the image's sides: the middle, width and height of a box, or the
corners of an outline.  Behind a box there may be a confidence, or the keypoints of a pose.
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from ravenml.common.formatting import shortened
from ravenml.data.editable_annotation import Tag
from ravenml.data.formats import geometry_parsing
from ravenml.data.formats.base import Labels, make_label
from ravenml.data.formats.image_finder import IMAGE_FOLDERS, files_below
from ravenml.data.formats.text import read_lines
from ravenml.data.formats.yolo_dataset import CLASS_LISTS
from ravenml.data.geometry import AnyGeometry, Polygon, Rectangle, Size
from ravenml.data.geometry_json import InvalidGeometry
from ravenml.data.problems import DataProblem, Notice

LABELS = "labels"
_CLASS_NUMBER = re.compile(r"([0-9]{1,9})(?:\.0*)?")  # tools that write floats write class 1 as 1.0
_LABEL_LINE = re.compile(r"\s*[0-9]+(?:\.0*)?(?:\s+[-+.0-9eE]+){4,}\s*")
_FARTHEST = 2.0  # shares of a side; a box that is cut by the border reaches a little beyond 1
_SHARES = "write shares of the image's width and height, from 0 to 1"


class LabelTexts:
    """The texts of labels below some folders, found in upper or lower case.

    Args:
        folder: the dataset's folder.
        root: the folder of its images, which may be another.
    """

    def __init__(self, folder: Path, root: Path) -> None:
        self._folder, self._root = folder, root
        self._sibling = root.parent / LABELS if root.name.lower() in IMAGE_FOLDERS else None
        tops = [folder]
        for top in (root, self._sibling):
            if top is not None and not any(top.is_relative_to(known) for known in tops):
                tops.append(top)
        self._texts: dict[str, list[str]] = {}
        for top in tops:
            for path in files_below(top, frozenset({".txt"})):
                self._texts.setdefault(str(path).lower(), []).append(str(path))
        self._used: set[str] = set()

    def of(self, image: Path) -> Path | None:
        """The text of an image; None where it has none."""
        for place in self._places(image):
            alike = self._texts.get(place.lower())
            if alike:
                found = place if place in alike else alike[0]
                self._used.add(found)
                return Path(found)
        return None

    def unused(self) -> Iterator[tuple[Path, int]]:
        """The texts with labels that no image was found for, and how many lines each has."""
        for path in (Path(one) for alike in self._texts.values() for one in alike if one not in self._used):
            if path.name.lower() not in CLASS_LISTS and (count := count_labels(path)):
                yield path, count

    def _places(self, image: Path) -> Iterator[str]:
        """Where an image's text may be, as paths: first where Ultralytics looks for it."""
        name = f"{image.stem}.txt"
        top = next(top for top in (self._folder, self._root, image.parent) if image.is_relative_to(top))
        inside = image.parent.relative_to(top).parts
        folders = [at for at, part in enumerate(inside) if part.lower() in IMAGE_FOLDERS]
        if folders:
            at = folders[-1]
            yield os.path.join(top, *inside[:at], LABELS, *inside[at + 1 :], name)
        elif self._sibling is not None and image.is_relative_to(self._root):
            yield os.path.join(self._sibling, *image.parent.relative_to(self._root).parts, name)
        yield os.path.join(image.parent, name)
        yield os.path.join(image.parent, LABELS, name)
        yield os.path.join(self._folder, LABELS, *inside, name)
        if folders:
            yield os.path.join(self._folder, LABELS, *inside[:at], *inside[at + 1 :], name)
        yield os.path.join(self._folder, LABELS, name)


def count_labels(path: Path) -> int:
    """How many lines of a text are labels; 0 where it cannot be read."""
    try:
        return sum(_LABEL_LINE.fullmatch(line) is not None for line in read_lines(path, errors="replace"))
    except DataProblem:
        return 0


@dataclass(frozen=True)
class LabelLines:
    """Reads the lines of one image's text when it is asked for.

    Attributes:
        path: the text.
        titles: the classes' names by number.
        keypoints: how many keypoints an object has, and how many numbers each has, if the dataset says so.
        notice: is told of keypoints that the dataset does not speak of.
    """

    path: Path
    titles: list[str]
    keypoints: tuple[int, int] | None
    notice: Notice

    def __call__(self, size: Size) -> Labels:
        for number, line in enumerate(read_lines(self.path, errors="replace"), 1):
            words = line.split()
            if not words:
                continue
            where = f"line {number}"
            title = self._title(words[0])
            if title is None:
                shown, count = shortened(repr(words[0]), 40), len(self.titles)
                problem = f"{shown} is not a class: there are {count}, numbered from 0"
                fix = "correct the number, or name the class in data.yaml"
                yield DataProblem(self.path, where, problem, fix)
            else:
                shape = partial(self._shape, words[1:], size)
                yield make_label(self.path, where, title, shape, self._tags(words[1:]))

    def _shape(self, words: list[str], size: Size) -> AnyGeometry:
        values = [_number(word) for word in words]
        if self._has_confidence(len(values)):
            values.pop()
        posed = self._posed or (len(values) if _is_pose(values) else 0)
        if len(values) == 4 or (posed and len(values) == posed):
            if posed and not self._posed:
                self.notice("Objects with keypoints lose these; their boxes are imported.")
            return _box(values[:4], size)
        if posed:
            problem = f"has {len(words)} numbers behind the class: a box has 4, with its keypoints {posed}"
            raise InvalidGeometry("", problem)
        if len(values) < 6 or len(values) % 2:
            raise InvalidGeometry(
                "",
                f"has {len(words)} numbers behind the class: a box has 4, an outline 6, 8, 10 …",
                "correct it; keypoints are known by kpt_shape in data.yaml",
            )
        return _outline(values, size)

    def _tags(self, words: list[str]) -> list[Tag]:
        if not self._has_confidence(len(words)):
            return []
        with suppress(InvalidGeometry):  # `_shape` says so
            return [{"name": "confidence", "value": _number(words[-1])}]
        return []

    @property
    def _posed(self) -> int:
        """How many numbers a box and its keypoints have; 0 where there are none."""
        return 4 + math.prod(self.keypoints) if self.keypoints else 0

    def _has_confidence(self, count: int) -> bool:
        return count == 5 or (self._posed > 0 and count == self._posed + 1)

    def _title(self, word: str) -> str | None:
        match = _CLASS_NUMBER.fullmatch(word)
        if match is None:
            return word if word in self.titles else None
        number = int(match[1])
        return self.titles[number] if number < len(self.titles) else None


def _number(word: str) -> float:
    try:
        value = float(word)
    except ValueError:
        value = math.nan
    if not math.isfinite(value) or not word.isascii() or "_" in word:  # which Python alone reads
        raise InvalidGeometry("", f"{shortened(repr(word), 40)} is not a number", _SHARES)
    if abs(value) > _FARTHEST:
        raise InvalidGeometry("", f"{value:g} is not a share of a side of the image", _SHARES)
    return value


def _is_pose(values: list[float]) -> bool:
    """Whether numbers are a box and x, y, visibility of keypoints, although nothing says so.

    Every third number from the seventh is a visibility then: 0, 1 or 2.  An outline may have 0 and 1 in these
    places too, but not 2; and not an odd number of numbers.
    """
    seen = values[6::3]
    return (
        len(values) > 4
        and (len(values) - 4) % 3 == 0
        and all(value in (0, 1, 2) for value in seen)
        and (len(values) % 2 == 1 or 2 in seen)
    )


def _box(values: list[float], size: Size) -> Rectangle:
    (x, y, across, down), (height, width) = values, size
    if across <= 0 or down <= 0:
        raise InvalidGeometry("", "the box has no area")
    left, top = (x - across / 2) * width, (y - down / 2) * height
    return geometry_parsing.box(left, top, left + across * width, top + down * height)


def _outline(values: list[float], size: Size) -> Polygon:
    height, width = size
    corners = [[x * width, y * height] for x, y in zip(values[::2], values[1::2], strict=True)]
    return geometry_parsing.polygon(corners, "")


def label_line(number: int, geometry: AnyGeometry, size: Size) -> str:
    """The line of an object of the class ``number``; ``size`` is the image's (height, width)."""
    height, width = size
    if isinstance(geometry, Rectangle):
        left, top, right, bottom = geometry_parsing.edges(geometry)
        shares = [
            (left + right) / 2 / width,
            (top + bottom) / 2 / height,
            (right - left) / width,
            (bottom - top) / height,
        ]
    else:
        assert isinstance(geometry, Polygon)
        shares = ((geometry.exterior + 0.5) / (width, height)).reshape(-1).tolist()
    return " ".join([str(number), *(f"{share:.9g}" for share in shares)]) + "\n"
