"""Annotations made of masks, and of other annotations."""

from __future__ import annotations

import operator
from collections.abc import Callable, Collection, Mapping

import cv2
import numpy as np

from ravenml.sly.annotation import Annotation, Label
from ravenml.sly.bitmap import Bitmap, SkeletonizeMethod
from ravenml.sly.geometry import Point, Polygon, Polyline, Rectangle
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


def drop_object_by_class(ann: Annotation, classes: Collection[str]) -> Annotation:
    """Without the objects of some classes."""
    return ann.clone(labels=[label for label in ann.labels if label.obj_class.name not in classes])


def approximate_vector(ann: Annotation, classes: Collection[str], epsilon: float) -> Annotation:
    """With fewer points in the lines and polygons of some classes, at most ``epsilon`` pixels off.

    Raises:
        RuntimeError: an object of one of the classes is neither.
    """

    def simpler(label: Label) -> list[Label]:
        if label.obj_class.name not in classes:
            return [label]
        if not isinstance(label.geometry, Polygon | Polyline):
            raise RuntimeError(f"An object of {label.obj_class.name!r} is neither a polygon nor a line.")
        return [label.clone(geometry=label.geometry.approx_dp(epsilon))]

    return ann.transform_labels(simpler)


def skeletonize_bitmap(ann: Annotation, classes: Collection[str], method_id: SkeletonizeMethod) -> Annotation:
    """With the bitmaps of some classes thinned to lines of one pixel; see `Bitmap.skeletonize`.

    Raises:
        RuntimeError: an object of one of the classes is not a bitmap.
    """

    def thinned(label: Label) -> list[Label]:
        if label.obj_class.name not in classes:
            return [label]
        return [label.clone(geometry=_bitmap(label).skeletonize(method_id))]

    return ann.transform_labels(thinned)


def bitwise_mask(
    ann: Annotation,
    class_mask: str,
    classes_to_correct: Collection[str],
    bitwise_op: Callable[[np.ndarray, np.ndarray], np.ndarray] = np.logical_and,
) -> Annotation:
    """With the bitmaps of some classes corrected by the first one of another class.

    Args:
        class_mask: the class whose bitmap corrects the others; without one, nothing is changed.
        classes_to_correct: the classes that are corrected; of what becomes nothing, nothing is kept.
        bitwise_op: gets the correcting mask and the other, both bool of the whole image.

    Raises:
        RuntimeError: an object of one of these classes is not a bitmap.
    """
    mask = next((label for label in ann.labels if label.obj_class.name == class_mask), None)
    if mask is None:
        return ann.clone()
    whole = np.zeros(ann.img_size, bool)
    _bitmap(mask).draw(whole, True)

    def corrected(label: Label) -> list[Label]:
        if label.obj_class.name not in classes_to_correct or label.obj_class.name == class_mask:
            return [label]
        left = _bitmap(label).bitwise_mask(whole, bitwise_op)
        return [] if left is None else [label.clone(geometry=left)]

    return ann.transform_labels(corrected)


def find_contours(ann: Annotation, classes_mapping: Mapping[str, ObjClass]) -> Annotation:
    """With polygons instead of the bitmaps of some classes.

    Args:
        classes_mapping: the polygons' class for each such class.

    Raises:
        RuntimeError: an object of one of the classes is not a bitmap.
    """

    def outlined(label: Label) -> list[Label]:
        new = classes_mapping.get(label.obj_class.name)
        return [label] if new is None else [Label(one, new) for one in _bitmap(label).to_contours()]

    return ann.transform_labels(outlined)


def _bitmap(label: Label) -> Bitmap:
    if not isinstance(label.geometry, Bitmap):
        raise RuntimeError(f"An object of {label.obj_class.name!r} is not a bitmap.")
    return label.geometry
