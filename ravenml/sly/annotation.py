"""Objects and annotations as plugin authors know them.  Nothing is changed: each method gives a new one."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Self

import numpy as np

from ravenml.common.io import JsonObject, read_json
from ravenml.data.annotation import parse_size, shape_kind
from ravenml.data.images import read_image
from ravenml.sly.bitmap import MultichannelBitmap
from ravenml.sly.geometry import (
    Color,
    Geometry,
    Rectangle,
    Rotator,
    Size,
)
from ravenml.sly.json_fields import InvalidJson, expect_object, get_text, inside, read_list
from ravenml.sly.project_meta import ObjClass, ProjectMeta, Tag, TagCollection, accepts_geometry
from ravenml.sly.reporting import logger
from ravenml.sly.rotation import ImageRotator
from ravenml.sly.text import (
    CornerAnchorMode,
    Font,
    draw_text_sequence,
    get_font,
    get_readable_font_size,
)
from ravenml.sly.undrawn_geometry import OtherGeometry, deserialize_geometry, geometry_type

ANN_EXT = ".json"
_SHAPE = ("bitmap", "points", "geometryType", "shape", "multichannelBitmap")  # fields that tell a shape
# The fields of an object that are not its shape's, whatever that is.
_ABOUT = ("id", "classId", "classTitle", "description", "tags", "labelerLogin", "createdAt", "updatedAt")
_CUSTOM, _SCORES, _SCORES_CLASSES = "customBigData", "probabilityLabels", "probabilityClasses"


class Label:
    """One annotated thing.

    Args:
        geometry: its shape.
        obj_class: its class, whose objects have that shape.
        tags: its tags.
        description: words about it.
        rest: what else the annotation says of it.

    Raises:
        ValueError: the class's objects have another shape.
    """

    def __init__(
        self,
        geometry: Geometry,
        obj_class: ObjClass,
        tags: Iterable[Tag] | None = None,
        description: str = "",
        rest: JsonObject | None = None,
    ) -> None:
        if not self._accepts(geometry, obj_class):
            raise ValueError(
                f"The class {obj_class.name!r} has objects of the shape {obj_class.shape}, "
                f"not {geometry.geometry_name() or 'unknown'}."
            )
        self.geometry, self.obj_class, self.description = geometry, obj_class, description
        self.tags = TagCollection(tags)
        self._rest = rest or {}

    @staticmethod
    def _accepts(geometry: Geometry, obj_class: ObjClass) -> bool:
        return accepts_geometry(obj_class, geometry)

    @classmethod
    def from_json(cls, data: JsonObject, project_meta: ProjectMeta) -> Self:
        """Read an object of an annotation.

        Raises:
            InvalidJson: a field is missing or unusable, or its class is not in ``meta.json``.
        """
        data = expect_object(data)
        title = get_text(data, "classTitle")
        obj_class = project_meta.get_obj_class(title)
        if obj_class is None:
            raise InvalidJson("classTitle", f'the class "{title}" is not in meta.json; add it there')
        name = shape_kind(data, obj_class.shape)
        other = issubclass(geometry_type(name), OtherGeometry)
        shape = {
            field: value
            for field, value in data.items()
            if (field not in _ABOUT if other else field in _SHAPE)
        }
        geometry = deserialize_geometry(name, shape)
        with inside("tags"):
            tags = TagCollection.from_json(data.get("tags"), project_meta.tag_metas)
        rest = {key: value for key, value in data.items() if key not in shape}
        if not accepts_geometry(obj_class, geometry):  # an older project may say so; it is read all the same
            obj_class = obj_class.clone(geometry_type=type(geometry))
        return cls(geometry, obj_class, tags, get_text(data, "description", ""), rest)

    def to_json(self) -> JsonObject:
        """As an object of an annotation."""
        fields = {
            "classTitle": self.obj_class.name,
            "description": self.description,
            "tags": self.tags.to_json(),
        }
        return {**self._rest, **fields, **self.geometry.to_json()}

    def clone(
        self,
        geometry: Geometry | None = None,
        obj_class: ObjClass | None = None,
        tags: Iterable[Tag] | None = None,
        description: str | None = None,
    ) -> Self:
        """The same with something changed."""
        rest = {k: v for k, v in self._rest.items() if obj_class is None or k not in ("id", "classId")}
        return type(self)(
            geometry or self.geometry,
            obj_class or self.obj_class,
            self.tags if tags is None else tags,
            self.description if description is None else description,
            rest,
        )

    def add_tag(self, tag: Tag) -> Self:
        """With one more tag."""
        return self.clone(tags=self.tags.add(tag))

    def add_tags(self, tags: Iterable[Tag]) -> Self:
        """With more tags."""
        return self.clone(tags=self.tags.add_items(tags))

    def crop(self, rect: Rectangle) -> list[Self]:
        """What of it lies in a rectangle."""
        return [self.clone(geometry=part) for part in self.geometry.crop(rect)]

    def relative_crop(self, rect: Rectangle) -> list[Self]:
        """What of it lies in a rectangle, placed relative to that."""
        return [self.clone(geometry=part) for part in self.geometry.relative_crop(rect)]

    def translate(self, drow: int, dcol: int) -> Self:
        """Moved down and to the right."""
        return self.clone(geometry=self.geometry.translate(drow, dcol))

    def resize(self, in_size: Size, out_size: Size) -> Self:
        """Scaled with its image."""
        return self.clone(geometry=self.geometry.resize(in_size, out_size))

    def fliplr(self, img_size: Size) -> Self:
        """Mirrored with its image."""
        return self.clone(geometry=self.geometry.fliplr(img_size))

    def flipud(self, img_size: Size) -> Self:
        """Turned upside down with its image."""
        return self.clone(geometry=self.geometry.flipud(img_size))

    def rotate(self, rotator: Rotator) -> Self:
        """Turned with its image."""
        return self.clone(geometry=self.geometry.rotate(rotator))

    def scale(self, factor: float) -> Self:
        """Scaled around the image's top left."""
        return self.clone(geometry=self.geometry.scale(factor))

    def draw(
        self,
        bitmap: np.ndarray,
        color: Color | None = None,
        thickness: int = 1,
        draw_tags: bool = False,
        tags_font: Font | None = None,
    ) -> None:
        """Draw it in its class's colour, or another; with its tags above it, the image must be uint8 RGB."""
        self.geometry.draw(bitmap, self.obj_class.color if color is None else color, thickness)
        if draw_tags:
            self._draw_tags(bitmap, tags_font)

    def draw_contour(
        self,
        bitmap: np.ndarray,
        color: Color | None = None,
        thickness: int = 1,
        draw_tags: bool = False,
        tags_font: Font | None = None,
    ) -> None:
        """Draw its outline; otherwise as `draw`."""
        self.geometry.draw_contour(bitmap, self.obj_class.color if color is None else color, thickness)
        if draw_tags:
            self._draw_tags(bitmap, tags_font)

    def _draw_tags(self, bitmap: np.ndarray, font: Font | None) -> None:
        try:
            box = self.geometry.to_bbox()
        except NotImplementedError:  # it is not known where it lies, so nothing can stand beside it
            return
        texts = [tag.get_compact_str() for tag in self.tags]
        draw_text_sequence(bitmap, texts, (box.top, box.left), CornerAnchorMode.BOTTOM_LEFT, font=font)

    @property
    def area(self) -> float:
        """Its pixels."""
        return self.geometry.area


class PixelwiseScoresLabel(Label):
    """A class's score for every pixel, as a ``MultichannelBitmap``."""

    @staticmethod
    def _accepts(geometry: Geometry, obj_class: ObjClass) -> bool:
        return isinstance(geometry, MultichannelBitmap)


class Annotation:
    """What is known about one image.  What reaches out of the image is cut off.

    Args:
        img_size: (height, width) of the image.
        labels: the objects, in the order in which they are drawn.
        img_tags: the image's tags.
        img_description: words about the image.
        pixelwise_scores_labels: scores for every pixel.
        rest: what else the file says.
    """

    def __init__(
        self,
        img_size: Size,
        labels: Iterable[Label] | None = None,
        img_tags: Iterable[Tag] | None = None,
        img_description: str = "",
        pixelwise_scores_labels: Iterable[Label] | None = None,
        rest: JsonObject | None = None,
    ) -> None:
        self.img_size: Size = (int(img_size[0]), int(img_size[1]))
        whole = Rectangle.from_size(self.img_size)
        self._labels = [part for label in labels or () for part in label.crop(whole)]
        self.img_tags = TagCollection(img_tags)
        self.img_description = img_description
        self._scores = [part for label in pixelwise_scores_labels or () for part in label.crop(whole)]
        self._rest = rest or {}

    @property
    def labels(self) -> list[Label]:
        """The objects."""
        return list(self._labels)

    @property
    def custom_data(self) -> JsonObject:
        """What a program of its own has noted in the file."""
        found = self._rest.get(_CUSTOM)
        return dict(found) if isinstance(found, dict) else {}

    @property
    def pixelwise_scores_labels(self) -> list[Label]:
        """The scores for every pixel, a label for each class."""
        return list(self._scores)

    @classmethod
    def from_json(cls, data: JsonObject, project_meta: ProjectMeta) -> Annotation:
        """Read the content of an annotation file.

        Raises:
            InvalidJson: a field is missing or unusable; the error names its place.
        """
        data = expect_object(data)
        with inside(""):
            size = parse_size(data, Path("annotation"))
        with inside("objects"):
            labels = read_list(data.get("objects"), lambda entry: Label.from_json(entry, project_meta))
        with inside("tags"):
            tags = TagCollection.from_json(data.get("tags"), project_meta.tag_metas)
        known = ("size", "tags", "objects", "description")
        rest = {key: value for key, value in data.items() if key not in known}
        scores: list[Label] = []
        custom = rest.get(_CUSTOM)
        if isinstance(custom, dict) and _SCORES in custom and _SCORES_CLASSES in custom:
            with inside(_CUSTOM):
                scores = _read_scores(custom)
            rest[_CUSTOM] = {k: v for k, v in custom.items() if k not in (_SCORES, _SCORES_CLASSES)}
        return cls(size, labels, tags, get_text(data, "description", ""), scores, rest)

    @classmethod
    def load_json_file(cls, path: str | bytes, project_meta: ProjectMeta) -> Annotation:
        """Read an annotation file.

        Raises:
            InputError: it cannot be read, or is not JSON.
            InvalidJson: a field is missing or unusable; the error names the file and the place.
        """
        data = read_json(Path(os.fsdecode(path)))
        with inside("", os.fsdecode(path)):
            return cls.from_json(data, project_meta)

    @classmethod
    def from_img_path(cls, img_path: str | bytes) -> Annotation:
        """An annotation without anything, of an image's size."""
        return cls(read_image(Path(os.fsdecode(img_path))).shape[:2])

    def to_json(self) -> JsonObject:
        """The content of an annotation file."""
        height, width = self.img_size
        custom = {_CUSTOM: {**self.custom_data, **_write_scores(self._scores)}} if self._scores else {}
        return {
            **self._rest,
            **custom,
            "description": self.img_description,
            "size": {"height": height, "width": width},
            "tags": self.img_tags.to_json(),
            "objects": [label.to_json() for label in self._labels],
        }

    def clone(
        self,
        img_size: Size | None = None,
        labels: Iterable[Label] | None = None,
        img_tags: Iterable[Tag] | None = None,
        img_description: str | None = None,
        pixelwise_scores_labels: Iterable[Label] | None = None,
        custom_data: JsonObject | None = None,
    ) -> Annotation:
        """The same with something changed."""
        return Annotation(
            img_size or self.img_size,
            self._labels if labels is None else labels,
            self.img_tags if img_tags is None else img_tags,
            self.img_description if img_description is None else img_description,
            self._scores if pixelwise_scores_labels is None else pixelwise_scores_labels,
            self._rest if custom_data is None else {**self._rest, _CUSTOM: dict(custom_data)},
        )

    def add_label(self, label: Label) -> Annotation:
        """With one more object."""
        return self.add_labels([label])

    def add_labels(self, labels: Iterable[Label]) -> Annotation:
        """With more objects."""
        return self.clone(labels=[*self._labels, *labels])

    def delete_label(self, label: Label) -> Annotation:
        """Without one object."""
        return self.clone(labels=[other for other in self._labels if other is not label])

    def add_pixelwise_score_label(self, label: Label) -> Annotation:
        """With the scores of one more class."""
        return self.add_pixelwise_score_labels([label])

    def add_pixelwise_score_labels(self, labels: Iterable[Label]) -> Annotation:
        """With the scores of more classes."""
        return self.clone(pixelwise_scores_labels=[*self._scores, *labels])

    def delete_tags_by_name(self, tag_names: Iterable[str]) -> Annotation:
        """Without the image's tags of some names."""
        return self.clone(img_tags=self.img_tags.remove_items(tag_names))

    def delete_tag_by_name(self, tag_name: str) -> Annotation:
        """Without the image's tags of a name."""
        return self.delete_tags_by_name([tag_name])

    def delete_tags(self, tags: Iterable[Tag]) -> Annotation:
        """Without some of the image's tags."""
        return self.delete_tags_by_name([tag.name for tag in tags])

    def delete_tag(self, tag: Tag) -> Annotation:
        """Without one of the image's tags."""
        return self.delete_tags_by_name([tag.name])

    def add_tag(self, tag: Tag) -> Annotation:
        """With one more tag of the image."""
        return self.clone(img_tags=self.img_tags.add(tag))

    def add_tags(self, tags: Iterable[Tag]) -> Annotation:
        """With more tags of the image."""
        return self.clone(img_tags=self.img_tags.add_items(tags))

    def transform_labels(
        self, label_transform_fn: Callable[[Label], Iterable[Label]], new_size: Size | None = None
    ) -> Annotation:
        """With each object replaced by what a function makes of it.

        An object of a shape whose place is not known is left out, with a warning, where it would be moved.
        """
        changed: list[Label] = []
        for label in self._labels:
            try:
                changed += label_transform_fn(label)
            except NotImplementedError as error:
                logger.warning("%s", f"{error} It is left out of the changed annotation.")
        scores = [part for label in self._scores for part in label_transform_fn(label)]
        return self.clone(new_size, changed, pixelwise_scores_labels=scores)

    def crop_labels(self, rect: Rectangle) -> Annotation:
        """With what of the objects lies in a rectangle."""
        return self.transform_labels(lambda label: label.crop(rect))

    def relative_crop(self, rect: Rectangle) -> Annotation:
        """The annotation of the part of the image that lies in a rectangle."""
        return self.transform_labels(lambda label: label.relative_crop(rect), rect.to_size())

    def resize(self, out_size: Size) -> Annotation:
        """The annotation of the image scaled to (height, width)."""
        return self.transform_labels(lambda label: [label.resize(self.img_size, out_size)], out_size)

    def fliplr(self) -> Annotation:
        """The annotation of the mirrored image."""
        return self.transform_labels(lambda label: [label.fliplr(self.img_size)])

    def flipud(self) -> Annotation:
        """The annotation of the image turned upside down."""
        return self.transform_labels(lambda label: [label.flipud(self.img_size)])

    def rotate(self, rotator: ImageRotator) -> Annotation:
        """The annotation of the turned image.  Objects of which nothing is left are left out."""

        def turned(label: Label) -> list[Label]:
            try:
                return [label.rotate(rotator)]
            except ValueError:  # a bitmap of a few pixels, which lay between the new ones
                return []

        return self.transform_labels(turned, rotator.new_imsize)

    def scale(self, factor: float) -> Annotation:
        """The annotation of the image scaled by a factor."""
        size = round(self.img_size[0] * factor), round(self.img_size[1] * factor)
        return self.transform_labels(lambda label: [label.scale(factor)], size)

    def stat_class_count(self, class_names: Iterable[str]) -> dict[str, int]:
        """How many objects each class has, and how many there are: ``total count``.

        Raises:
            KeyError: an object's class is not among the names.
        """
        found = _count((label.obj_class.name for label in self._labels), class_names)
        return {**found, "total count": len(self._labels)}

    def stat_img_tags(self, tag_names: Iterable[str]) -> dict[str, int]:
        """How often the image has each tag.

        Raises:
            KeyError: a tag is not among the names.
        """
        return _count((tag.name for tag in self.img_tags), tag_names)

    def draw_class_idx_rgb(self, render: np.ndarray, name_to_index: Mapping[str, int]) -> None:
        """Draw the objects, in order, each in the number of its class, into (height, width, 3)."""
        for label in self._labels:
            label.draw(render, [name_to_index[label.obj_class.name]] * 3)

    @staticmethod
    def stat_area(render: np.ndarray, names: Sequence[str], colors: Sequence[Color]) -> JsonObject:
        """How many pixels of a drawn annotation have each colour, and how many none.

        Args:
            render: what was drawn, (height, width, channels).
            names: the classes.
            colors: the colour of each.
        """
        found: JsonObject = {
            name: int(np.all(render == color, axis=-1).sum())
            for name, color in zip(names, colors, strict=True)
        }
        height, width, channels = render.shape
        total = height * width
        rest = {"unlabeled area": total - sum(found.values()), "total area": total}
        return {**found, **rest, "height": height, "width": width, "channels": channels}

    def draw(
        self,
        bitmap: np.ndarray,
        color: Color | None = None,
        thickness: int = 1,
        draw_tags: bool = False,
    ) -> None:
        """Draw the objects, in order, each in its class's colour, or all in another.

        ``draw_tags`` writes each object's tags above it, and the image's in the top left corner; the image
        must then be uint8 RGB.
        """
        self._draw(
            lambda label, font: label.draw(bitmap, color, thickness, draw_tags, font), bitmap, draw_tags
        )

    def draw_contour(
        self,
        bitmap: np.ndarray,
        color: Color | None = None,
        thickness: int = 1,
        draw_tags: bool = False,
    ) -> None:
        """Draw the objects' outlines; otherwise as `draw`."""
        self._draw(
            lambda label, font: label.draw_contour(bitmap, color, thickness, draw_tags, font),
            bitmap,
            draw_tags,
        )

    def _draw(
        self, draw_label: Callable[[Label, Font | None], None], bitmap: np.ndarray, draw_tags: bool
    ) -> None:
        font = get_font(font_size=get_readable_font_size(self.img_size)) if draw_tags else None
        for label in self._labels:
            draw_label(label, font)
        if draw_tags:
            draw_text_sequence(bitmap, [tag.get_compact_str() for tag in self.img_tags], (0, 0), font=font)


def _count(found: Iterable[str], names: Iterable[str]) -> dict[str, int]:
    counts = dict.fromkeys(names, 0)
    for name in found:
        if name not in counts:
            raise KeyError(f"{name!r} is not one of {', '.join(counts) or 'no names'}.")
        counts[name] += 1
    return counts


def _write_scores(labels: Sequence[Label]) -> JsonObject:
    """Scores of pixels as annotations hold them, with their classes."""
    classes = {
        label.obj_class.name: label.obj_class.clone(geometry_type=MultichannelBitmap) for label in labels
    }
    return {
        _SCORES: [label.to_json() for label in labels],
        _SCORES_CLASSES: [one.to_json() for one in classes.values()],
    }


def _read_scores(custom: JsonObject) -> list[Label]:
    meta = ProjectMeta.from_json({"classes": custom[_SCORES_CLASSES]})
    with inside(_SCORES):
        return read_list(custom[_SCORES], lambda entry: PixelwiseScoresLabel.from_json(entry, meta))
