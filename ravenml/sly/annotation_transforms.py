"""Annotations made of masks, and of other annotations."""

from __future__ import annotations

import operator
from collections.abc import Callable, Collection, Mapping

import cv2
import numpy as np

from ravenml.sly.annotation import Annotation, Label
from ravenml.sly.geometry import Bitmap, Point, Rectangle
from ravenml.sly.project_meta import ObjClass


def extract_labels_from_mask(mask: np.ndarray, color_id_to_obj_class: Mapping[int, ObjClass]) -> list[Label]:
    """Bitmaps from a mask of class numbers: one for each connected area, in the order of their first pixels.

    Args:
        mask: whole numbers (height, width).
        color_id_to_obj_class: the class of each number; areas of other numbers are left out.
    """
    found: list[tuple[int, Label]] = []
    for number, obj_class in color_id_to_obj_class.items():
        count, areas, boxes, _ = cv2.connectedComponentsWithStats(
            (mask == number).astype(np.uint8), connectivity=4
        )
        for area in range(1, count):
            left, top, width, height = (int(side) for side in boxes[area][:4])
            part = areas[top : top + height, left : left + width] == area
            first = top * mask.shape[1] + left + int(part[0].argmax())
            found.append((first, Label(Bitmap(part, Point(top, left)), obj_class)))
    return [label for _, label in sorted(found, key=lambda one: one[0])]


def add_background(ann: Annotation, bg_class: ObjClass) -> Annotation:
    """With a rectangle over the whole image."""
    return ann.add_label(Label(Rectangle.from_size(ann.img_size), bg_class))


def filter_objects_by_area(
    ann: Annotation,
    classes: Collection[str],
    comparator: Callable[[float, float], bool] = operator.lt,
    thresh_percent: float = 0.0,
) -> Annotation:
    """Without objects of some classes whose area, in percent of the image, is below (or above) a limit."""
    image = ann.img_size[0] * ann.img_size[1]

    def stays(label: Label) -> bool:
        share = 100 * label.area / image
        return label.obj_class.name not in classes or not comparator(share, thresh_percent)

    return ann.clone(labels=[label for label in ann.labels if stays(label)])
