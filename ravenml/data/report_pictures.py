"""The thumbnails of ``raven data inspect --html``."""

from __future__ import annotations

import threading
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ravenml.data.annotation import Annotation
from ravenml.data.geometry import Rectangle
from ravenml.data.project import Item, Project
from ravenml.data.suspicious import REASONS, SuspiciousObject
from ravenml.data.thumbnails import Drawn, make_thumbnail, window_around

SHEET = 72  # images of the contact sheet
PER_REASON = 12  # suspicious objects shown per reason
PER_CLASS = 3  # images kept per class, of which those of rare classes are shown
_SIDE, _DETAIL = 240, 160  # pixels of the longer side: of an image, of an object
_WHITE = (255, 255, 255)


@dataclass(frozen=True)
class Picture:
    """A thumbnail: a JPEG, the image that it is from, and what is in it."""

    item: Item
    jpeg: bytes
    objects: dict[str, int]  # by class
    about: str = ""


class Pictures:
    """The thumbnails that are made while a project is inspected, from images that are decoded anyway.

    Attributes:
        sheet: evenly spaced images with all their objects, by the image's key.
        suspicious: by reason.
        classes: a few images with an object of each class, by the class's title.
    """

    def __init__(self) -> None:
        self.sheet: dict[str, Picture] = {}
        self.suspicious: dict[str, list[Picture]] = {reason: [] for reason in REASONS}
        self.classes: dict[str, list[Picture]] = {}
        self._sampled: set[str] = set()
        self._colors: dict[str, tuple[int, int, int]] = {}
        self._lock = threading.Lock()

    def begin(self, project: Project) -> None:
        """Choose the images of the contact sheet."""
        self._colors = {known.title: known.rgb for known in project.classes}
        self.classes = {known.title: [] for known in project.classes}
        places = np.linspace(0, len(project.items) - 1, min(SHEET, len(project.items)))
        self._sampled = {project.items[round(place)].key for place in places.tolist()}

    def see(
        self,
        item: Item,
        image: NDArray[np.uint8],
        annotation: Annotation | None,
        suspicious: list[SuspiciousObject],
    ) -> None:
        """Make the thumbnails of one image; may be called by several threads."""
        objects = annotation.objects if annotation is not None else []
        drawn: list[Drawn] = [(one.geometry, self._colors[one.class_title]) for one in objects]
        counts: dict[str, int] = {}
        for one in objects:
            counts[one.class_title] = counts.get(one.class_title, 0) + 1
        wanting = [title for title in counts if len(self.classes[title]) < PER_CLASS]
        if item.key in self._sampled or wanting:
            picture = Picture(item, make_thumbnail(image, drawn, _SIDE), counts)
            with self._lock:
                if item.key in self._sampled:
                    self.sheet[item.key] = picture
                for title in wanting:
                    self.classes[title].append(picture)
        for reason in {one.reason for one in suspicious if len(self.suspicious[one.reason]) < PER_REASON}:
            first = next(one for one in suspicious if one.reason == reason)
            jpeg = _close_up(image, drawn[first.number], first.box)
            with self._lock:
                self.suspicious[reason].append(Picture(item, jpeg, {first.class_title: 1}, first.detail))


def _close_up(image: NDArray[np.uint8], drawn: Drawn, box: Rectangle) -> bytes:
    """An object in a white frame, and what is around it."""
    window = window_around(box, (image.shape[0], image.shape[1]))
    gap = 1 + max(window.right - window.left, window.bottom - window.top) // _DETAIL
    frame = Rectangle(box.left - gap, box.top - gap, box.right + gap, box.bottom + gap)
    return make_thumbnail(image, [(frame, _WHITE), drawn], _DETAIL, window)
