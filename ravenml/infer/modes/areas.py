"""The modes that run a network on areas of an image: all of it, one region, or the boxes of its objects."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from ravenml.data.editable_annotation import EditableAnnotation, Label, Tag
from ravenml.data.geometry import Rectangle
from ravenml.data.meta import ObjClass
from ravenml.data.transforms import bounds, overlap
from ravenml.errors import InputError
from ravenml.infer.modes.base import Mode, is_chosen, put_probabilities, whole_area
from ravenml.infer.modes.configs import BboxesConfig, FullImageConfig, RoiConfig, Sides
from ravenml.infer.modes.interface import Image, ModeResult, Network, Prediction


class FullImage(Mode):
    """The network sees the whole image at once."""

    config_class = FullImageConfig
    config: FullImageConfig

    def annotate(self, image: Image, document: EditableAnnotation) -> ModeResult:
        return self.annotate_all([image], [document])[0]

    def annotate_all(
        self, images: Sequence[Image], documents: Sequence[EditableAnnotation]
    ) -> list[ModeResult]:
        """Images of one size go through the network together."""
        outcomes: dict[int, ModeResult] = {}
        for size in {image.shape for image in images}:
            same = [index for index, image in enumerate(images) if image.shape == size]
            known = [documents[index] for index in same]
            batch = np.stack([images[index] for index in same])
            predictions = self.network.infer(batch, known, self.config.save_probabilities)
            for index, one in zip(same, predictions, strict=True):
                outcomes[index] = self.outcome(one, documents[index])
        return [outcomes[index] for index in range(len(images))]

    def outcome(self, prediction: Prediction, document: EditableAnnotation) -> ModeResult:
        """What becomes of an image's prediction."""
        prediction = self.completed(prediction)
        probabilities = self.empty_probabilities(document.size)
        put_probabilities(probabilities, prediction, whole_area(document.size))
        added = self.named_labels(prediction.labels)
        return ModeResult(extend(document, added, self.named_tags(prediction.tags)), added, probabilities)


class Roi(Mode):
    """The network sees one region of the image."""

    config_class = RoiConfig
    config: RoiConfig

    def __init__(self, config: RoiConfig, network: Network, known: Sequence[ObjClass] = ()) -> None:
        super().__init__(config, network, known)
        if config.save:
            self.classes.append(area_class(config.class_name))

    def annotate(self, image: Image, document: EditableAnnotation) -> ModeResult:
        area = shrink(document.size, self.config.bounds)
        if area is None:
            height, width = document.size
            raise InputError(f"mode.bounds: nothing is left of an image of {width}×{height}; take less away.")
        prediction = self.predict_part(image, area)
        probabilities = self.empty_probabilities(document.size)
        put_probabilities(probabilities, prediction, area)
        added, tags = (
            self.named_labels(prediction.labels, area.left, area.top),
            self.named_tags(prediction.tags),
        )
        areas = [Label.make(self.config.class_name, area, tags)] if self.config.save else []
        added += areas
        return ModeResult(extend(document, added, tags), added, probabilities, areas)


class Bboxes(Mode):
    """The network sees the bounding box of every object that is there."""

    config_class = BboxesConfig
    config: BboxesConfig

    def __init__(self, config: BboxesConfig, network: Network, known: Sequence[ObjClass] = ()) -> None:
        super().__init__(config, network, known)
        if config.save:
            chosen = [one for one in known if is_chosen(config.from_classes, one.title)]
            self.classes += [
                ObjClass(one.title + config.add_suffix, "rectangle", one.color) for one in chosen
            ]

    def annotate(self, image: Image, document: EditableAnnotation) -> ModeResult:
        labels: list[Label] = []
        added: list[Label] = []
        areas: list[Label] = []
        probabilities = self.empty_probabilities(document.size)
        for label in document.labels:
            area = self._area(label, document.size)
            if area is None:
                labels.append(label)
                continue
            prediction = self.predict_part(image, area)
            put_probabilities(probabilities, prediction, area)
            found, tags = (
                self.named_labels(prediction.labels, area.left, area.top),
                self.named_tags(prediction.tags),
            )
            if self.config.save:
                areas.append(Label.make(label.title + self.config.add_suffix, area, tags))
                found.append(areas[-1])
            added += found
            # What a classifier says about an object's box is prediction about the object.
            labels += [*found, label.changed(tags=[*label.tags, *tags]) if tags else label]
        return ModeResult(document.with_labels(labels), added, probabilities, areas)

    def _area(self, label: Label, size: tuple[int, int]) -> Rectangle | None:
        shape = label.geometry if is_chosen(self.config.from_classes, label.title) else None
        if shape is None:
            return None
        box = bounds(shape)
        sides = parse_padding(self.config.padding, box)
        wider = Rectangle(
            box.left - sides.left, box.top - sides.top, box.right + sides.right, box.bottom + sides.bottom
        )
        return overlap(wider, whole_area(size))


def extend(
    document: EditableAnnotation, labels: Sequence[Label], tags: Sequence[Tag] = ()
) -> EditableAnnotation:
    """A document with more objects and tags of the image; a new tag takes the place of one of its name."""
    names = {tag.get("name") for tag in tags}
    others = (tag for tag in document.tags if tag.get("name") not in names)
    return replace(document, labels=(*document.labels, *labels), tags=(*others, *tags))


def area_class(title: str) -> ObjClass:
    """The class under which areas that the network saw are kept."""
    return ObjClass(title, "rectangle", "#808080")


def parse_pixels(amount: str, side: int) -> int:
    """``100px`` or ``10%`` of a side, in whole pixels."""
    if amount.endswith("px"):
        return int(amount[:-2])
    return int(side * float(amount[:-1]) / 100)


def parse_padding(sides: Sides, box: Rectangle) -> Rectangle:
    """What is added at each side of a box, in pixels."""
    wide, high = box.right - box.left + 1, box.bottom - box.top + 1
    return Rectangle(
        parse_pixels(sides.left, wide),
        parse_pixels(sides.top, high),
        parse_pixels(sides.right, wide),
        parse_pixels(sides.bottom, high),
    )


def shrink(size: tuple[int, int], sides: Sides) -> Rectangle | None:
    """An image of ``size`` (height, width) without so much at its sides; None where nothing is left."""
    away = parse_padding(sides, whole_area(size))
    area = Rectangle(away.left, away.top, size[1] - 1 - away.right, size[0] - 1 - away.bottom)
    return overlap(area, whole_area(size)) if area.left <= area.right and area.top <= area.bottom else None
