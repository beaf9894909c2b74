"""Masks as plugin authors know them: bitmaps, numbers for every pixel, and any shape as a bitmap."""

from __future__ import annotations

import base64
import io
import zlib
from collections.abc import Callable
from enum import Enum
from typing import Any, Self

import cv2
import numpy as np

from ravenml.common.io import JsonObject
from ravenml.data import geometry as shapes
from ravenml.data.bitmap import decode_bitmap, encode_bitmap, trim
from ravenml.sly.geometry import Geometry, Point, Polygon, Rectangle, Rotator, Size
from ravenml.sly.json_fields import expect_object, inside
from ravenml.utils.plugins import lazy_import

_morphology = lazy_import("skimage.morphology", "pip install scikit-image")


class SkeletonizeMethod(Enum):
    """How a bitmap is thinned to lines; each as scikit-image's ``morphology`` does it."""

    SKELETONIZE, MEDIAL_AXIS, THINNING = 0, 1, 2


class Bitmap(Geometry):
    """A mask; rows and columns without a set pixel at its sides are cut off.

    Args:
        data: bool (height, width).
        origin: where its top left lies.

    Raises:
        ValueError: no pixel is set, or the mask is not bool of two dimensions.
    """

    _name = "bitmap"
    shape: shapes.Bitmap

    def __init__(self, data: np.ndarray, origin: Point | None = None, **info: Any) -> None:
        data, origin = _data_first(data, origin)
        if data.dtype != bool or data.ndim != 2:
            raise ValueError("A bitmap's data must be a bool array (height, width).")
        (x, y), mask = trim(data)
        origin = origin or Point(0, 0)
        self.shape = shapes.Bitmap((origin.col + x, origin.row + y), mask)
        self._note(info)

    @property
    def origin(self) -> Point:
        """Its top left."""
        x, y = self.shape.origin
        return Point(y, x)

    @property
    def data(self) -> np.ndarray:
        """The mask, bool (height, width)."""
        return np.asarray(self.shape.mask)

    @property
    def area(self) -> float:
        """Its set pixels."""
        return float(self.data.sum())

    def rotate(self, rotator: Rotator) -> Self:
        """Turned with its image.

        Raises:
            ValueError: it is so small that no pixel is left of it.
        """
        mask = np.zeros(rotator.src_imsize, np.uint8)
        self.draw(mask, 1)
        return type(self)(rotator.rotate_img(mask, use_inter_nearest=True).astype(bool))

    def scale(self, factor: float) -> Self:
        """Scaled around the image's top left; every new pixel is an old one."""
        size = [max(1, round(side * factor)) for side in self.data.shape]
        mask = cv2.resize(self.data.astype(np.uint8), size[::-1], interpolation=cv2.INTER_NEAREST_EXACT)
        origin = Point(self.origin.row * factor, self.origin.col * factor)
        return type(self)(np.asarray(mask).astype(bool), origin)

    def skeletonize(self, method_id: SkeletonizeMethod) -> Self:
        """Thinned to lines of one pixel.

        Raises:
            MissingPackage: scikit-image is not installed.
        """
        method = {
            SkeletonizeMethod.SKELETONIZE: "skeletonize",
            SkeletonizeMethod.MEDIAL_AXIS: "medial_axis",
            SkeletonizeMethod.THINNING: "thin",
        }[SkeletonizeMethod(method_id)]
        # Without a margin in which nothing is set, the medial axis of a full mask lies off its middle.
        thin = getattr(_morphology, method)(np.pad(self.data, 1))[1:-1, 1:-1]
        return type(self)(np.asarray(thin).astype(bool), self.origin)

    def to_contours(self) -> list[Polygon]:
        """A polygon around each connected area, with its holes; areas of one or two pixels have none."""
        contours, levels = cv2.findContours(
            self.data.astype(np.uint8), cv2.RETR_CCOMP, cv2.CHAIN_APPROX_SIMPLE, offset=self.shape.origin
        )
        rings = [np.asarray(ring)[:, 0, ::-1] for ring in contours]
        found = []
        for number, (_, _, hole, outer) in enumerate(levels[0] if levels is not None else ()):
            holes = []
            while hole >= 0:
                holes.append(rings[hole].tolist())
                hole = levels[0][hole][0]
            if outer < 0 and len(rings[number]) > 2:
                found.append(Polygon(rings[number].tolist(), holes))
        return found

    def bitwise_mask(
        self, full_target_mask: np.ndarray, bit_op: Callable[[np.ndarray, np.ndarray], np.ndarray]
    ) -> Self | None:
        """What an operation such as ``np.logical_and`` leaves of it; None where that is nothing.

        Args:
            full_target_mask: the other mask, bool of the whole image.
            bit_op: gets that mask, and this one of the whole image.
        """
        whole = np.zeros(full_target_mask.shape[:2], bool)
        self.draw(whole, True)
        box = self.to_bbox()
        left = box.get_cropped_numpy_slice(np.asarray(bit_op(full_target_mask, whole)).astype(bool))
        return type(self)(left, self.origin) if left.any() else None

    @staticmethod
    def base64_2_data(s: str) -> np.ndarray:
        """A mask from its text."""
        return decode_bitmap(s)

    @staticmethod
    def data_2_base64(mask: np.ndarray) -> str:
        """A mask's text."""
        return encode_bitmap(mask)


class MultichannelBitmap(Geometry):
    """Numbers for every pixel, such as probabilities: (height, width, channels) with a place.

    It is written as an annotation's probabilities, not as an object.
    """

    _name = "multichannelBitmap"

    def __init__(self, data: np.ndarray, origin: Point | None = None, **info: Any) -> None:
        data, origin = _data_first(data, origin)
        self._note(info)
        if data.ndim != 3:
            raise ValueError(
                f"A multichannel bitmap's data must be (height, width, channels), not {data.shape}."
            )
        self.origin, self.data = origin or Point(0, 0), data

    @staticmethod
    def data_2_base64(data: np.ndarray) -> str:
        """The numbers' text: numpy's format, compressed."""
        file = io.BytesIO()
        np.save(file, data, allow_pickle=False)
        return base64.b64encode(zlib.compress(file.getvalue())).decode()

    @staticmethod
    def base64_2_data(s: str) -> np.ndarray:
        """The numbers from their text.

        Raises:
            ValueError: it is not such a text.
        """
        try:
            return np.asarray(np.load(io.BytesIO(zlib.decompress(base64.b64decode(s))), allow_pickle=False))
        except (TypeError, ValueError, zlib.error, EOFError, OSError):
            raise ValueError("is not an array in numpy's format, compressed and in base64") from None

    @classmethod
    def from_json(cls, data: JsonObject) -> Self:
        """Read it as `to_json` writes it.

        Raises:
            InvalidJson: a field is missing or unusable.
        """
        entry = expect_object(expect_object(data).get(cls._name))
        with inside(cls._name):
            try:
                column, row = entry["origin"]
                origin = Point(row, column)
            except (KeyError, TypeError, ValueError, OverflowError):
                raise ValueError("has no origin [x, y]") from None
            return cls(cls.base64_2_data(entry.get("data", "")), origin)

    def to_json(self) -> JsonObject:
        """As annotations hold probabilities."""
        entry = {"origin": [self.origin.col, self.origin.row], "data": self.data_2_base64(self.data)}
        return {self._name: entry, "shape": self._name, "geometryType": self._name}

    def to_bbox(self) -> Rectangle:
        """The smallest rectangle that holds it."""
        height, width = self.data.shape[:2]
        return Rectangle(
            self.origin.row, self.origin.col, self.origin.row + height - 1, self.origin.col + width - 1
        )

    def translate(self, drow: int, dcol: int) -> Self:
        """Moved down and to the right."""
        return type(self)(self.data, self.origin.translate(drow, dcol))

    def resize(self, in_size: Size, out_size: Size) -> Self:
        """Scaled with its image; every new pixel is an old one."""
        box = self.to_bbox().resize(in_size, out_size)
        data = cv2.resize(self.data, (box.width, box.height), interpolation=cv2.INTER_NEAREST_EXACT)
        return type(self)(data.reshape(box.height, box.width, -1), Point(box.top, box.left))

    def fliplr(self, img_size: Size) -> Self:
        """Mirrored with its image."""
        box = self.to_bbox().fliplr(img_size)
        return type(self)(self.data[:, ::-1], Point(box.top, box.left))

    def flipud(self, img_size: Size) -> Self:
        """Turned upside down with its image."""
        box = self.to_bbox().flipud(img_size)
        return type(self)(self.data[::-1], Point(box.top, box.left))

    def rotate(self, rotator: Rotator) -> Self:
        """Turned with its image: the rectangle around what becomes of it."""
        whole = np.zeros((*rotator.src_imsize, self.data.shape[2]), self.data.dtype)
        self.to_bbox().get_cropped_numpy_slice(whole)[:] = self.data
        turned = rotator.rotate_img(whole, use_inter_nearest=True)
        (box,) = self.to_bbox().rotate(rotator).crop(Rectangle.from_array(turned))
        data = box.get_cropped_numpy_slice(turned)
        return type(self)(data.reshape(box.height, box.width, -1), Point(box.top, box.left))

    def scale(self, factor: float) -> Self:
        """Scaled around the image's top left; every new pixel is an old one."""
        height, width = (max(1, round(side * factor)) for side in self.data.shape[:2])
        data = cv2.resize(self.data, (width, height), interpolation=cv2.INTER_NEAREST_EXACT)
        return type(self)(
            data.reshape(height, width, -1), Point(self.origin.row * factor, self.origin.col * factor)
        )

    def crop(self, rect: Rectangle) -> list[Self]:
        """What of it lies in a rectangle."""
        found = []
        for part in self.to_bbox().crop(rect):
            inner = part.translate(-self.origin.row, -self.origin.col)
            data = inner.get_cropped_numpy_slice(self.data)
            found.append(type(self)(data, Point(part.top, part.left)))
        return found


def geometry_to_bitmap(
    geometry: Geometry, radius: int = 0, crop_image_shape: Size | None = None
) -> list[Bitmap]:
    """The pixels of a shape, whose lines are drawn ``radius`` wider to each side; none, or one bitmap."""
    box = geometry.to_bbox()
    data = np.zeros((box.height + 2 * radius, box.width + 2 * radius), bool)
    top, left = box.top - radius, box.left - radius
    geometry.translate(-top, -left).draw(data, True, radius + 1)
    bitmap = Bitmap(data, Point(top, left))
    return [bitmap] if crop_image_shape is None else bitmap.crop(Rectangle.from_size(crop_image_shape))


def _data_first(data: Any, origin: Any) -> tuple[np.ndarray, Any]:
    """Both in this order; ravenML 2.0 had them the other way round."""
    return (origin, data) if isinstance(data, Point) else (data, origin)
