"""Which classes a model knows, and in which order."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ravenml.data.masks import mask_type
from ravenml.data.problems import suggestion
from ravenml.data.project import ObjClass, Project
from ravenml.errors import InputError

BACKGROUND = "__bg__"


def class_order(project: Project, chosen: Sequence[str] | None = None) -> list[ObjClass]:
    """The classes of a fresh model: `__bg__` first, then those chosen, in the order of meta.json.

    A class of the project that is itself called `__bg__` is that background.

    Raises:
        InputError: a chosen class is not in the project.
    """
    if chosen is not None:
        _check(project, chosen)
    own = next((known for known in project.classes if known.title == BACKGROUND), None)
    background = own or ObjClass(BACKGROUND, "bitmap", "#000000")
    wanted = None if chosen is None else set(chosen)
    others = [known for known in project.classes if known.title != BACKGROUND]
    return [background, *(known for known in others if wanted is None or known.title in wanted)]


def lookup_table(project: Project, order: Sequence[str]) -> np.ndarray:
    """The table from a project mask's numbers to a model's class indices.

    ``table[mask]`` is the position in ``order`` of each pixel's class.  Where nothing was drawn, and for
    every class that is not in ``order``, it is the position of `__bg__`.

    Returns:
        uint8 (256,), or uint16 (65536,) where the project has more than 255 classes.

    Raises:
        InputError: ``order`` has a title that the project does not know, one twice, or no `__bg__`
            although something becomes background.
    """
    _check(project, order)
    if len(set(order)) != len(order):
        twice = next(title for title in order if list(order).count(title) > 1)
        raise InputError(f'The class "{twice}" is named twice; name each class once.')
    if BACKGROUND not in order:
        raise InputError(f"The model's classes have no {BACKGROUND}; add it to them.")
    positions = {title: index for index, title in enumerate(order)}
    background = positions[BACKGROUND]
    kind = np.promote_types(mask_type(len(project.classes)), mask_type(len(order) - 1))
    size = 256 if mask_type(len(project.classes)) is np.uint8 else 65536
    table = np.full(size, background, kind)
    for index, known in enumerate(project.classes):
        table[index + 1] = positions.get(known.title, background)
    return table


def _check(project: Project, titles: Sequence[str]) -> None:
    known = set(project.titles)
    for title in titles:
        if title not in known and title != BACKGROUND:
            raise InputError(
                f'{project.root / "meta.json"} has no class "{title}"; {suggestion(title, project.titles)}.'
            )
