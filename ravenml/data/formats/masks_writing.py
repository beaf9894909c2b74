"""Writing masks: `images/<dataset>/`, `masks/<dataset>/`, and `classes.txt`: names and colours by number."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import numpy as np

from ravenml.data.classes import BACKGROUND
from ravenml.data.formats.indexed_png import write_mask
from ravenml.data.geometry import Line, Point
from ravenml.data.masks import draw, mask_type
from ravenml.data.meta import ObjClass

if TYPE_CHECKING:
    from ravenml.data.formats.exporting import Export, ExportedImage

IMAGES, MASKS, CLASSES = "images", "masks", "classes.txt"


def write_masks(export: Export) -> None:
    """Write an image's objects into one mask, a later one over an earlier one."""
    classes = [one for one in export.classes if one.title != BACKGROUND]
    numbers = {one.title: number for number, one in enumerate(classes, 1)}
    kind = mask_type(len(classes) + 1)  # 255 would be read as "not annotated"
    listed = [ObjClass(BACKGROUND, "bitmap", "#000000"), *classes]
    palette = np.array([one.rgb for one in listed[:256]], np.uint8)

    def one(picture: ExportedImage) -> None:
        item = picture.item
        stem = export.stem(item)
        mask = np.zeros(picture.size, kind)
        drawn = np.zeros(picture.size, bool)
        for thing in picture.things:
            assert not isinstance(thing.geometry, Line | Point)
            own = np.zeros(picture.size, np.uint8)
            draw(own, thing.geometry, 1)
            export.lose("what lies below other objects", "were painted over", int((drawn & (own > 0)).any()))
            drawn |= own > 0
            mask[own > 0] = numbers.get(thing.title, 0)
        titles = [thing.title for thing in picture.things]
        export.lose("objects one by one", "were joined in one mask", len(titles) - len(set(titles)))
        name = stem + os.path.splitext(item.name)[1]
        export.place(item, export.target / IMAGES / item.dataset / name)
        export.write(export.target / MASKS / item.dataset / f"{stem}.png", write_mask(mask, palette))

    for _ in export.map(one):
        pass
    lines = "".join(f"{one.title} {one.color}\n" for one in listed)
    export.write(export.target / CLASSES, lines.encode())
