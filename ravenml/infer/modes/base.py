"""What all inference modes share: names, tags, and objects made of probabilities."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from ravenml.common.io import JsonObject
from ravenml.data.bitmap import trim
from ravenml.data.classes import BACKGROUND
from ravenml.data.editable_annotation import EditableAnnotation, Label, Tag
from ravenml.data.geometry import Bitmap, Rectangle
from ravenml.data.meta import ObjClass, TagMeta
from ravenml.data.transforms import translate
from ravenml.errors import InputError
from ravenml.infer.modes.configs import ALL, ModeConfig, Titles
from ravenml.infer.modes.interface import Image, ModeResult, Network, Prediction


class Mode:
    """An inference mode: on which parts of an image a network is run, and what is kept.

    Args:
        config: the mode's config.
        network: the network.
        known: the classes of the project whose images are annotated.

    Attributes:
        config_class: what the mode's config holds.
        classes: the classes that its results need in the project, with their final titles.
        tags: the tags that its results need.
    """

    config_class: ClassVar[type[ModeConfig]]

    def __init__(self, config: ModeConfig, network: Network, known: Sequence[ObjClass] = ()) -> None:
        self.config, self.network = config, network
        self.classes = [
            replace(one, title=self.title(one.title) or "")
            for one in network.classes
            if self.title(one.title) is not None
        ]
        tags = [TagMeta(self.tag_name(tag.name) or "", tag.value_type, tag.color) for tag in network.tags]
        self.tags = [tag for tag in tags if tag.name]

    @classmethod
    def make_default_config(cls, model_result_suffix: str) -> JsonObject:
        """The mode's config with every default filled in.

        Args:
            model_result_suffix: what is added to the names of the model's classes and tags.
        """
        named = {"add_suffix": model_result_suffix}
        filled = cls.config_class.model_validate({"model_classes": named, "model_tags": named})
        return filled.model_dump()

    def annotate(self, image: Image, document: EditableAnnotation) -> ModeResult:
        """Run the network on an image, and add what it says to what is known.

        Raises:
            RavenError: the image cannot be used in this mode.
        """
        raise NotImplementedError

    def annotate_all(
        self, images: Sequence[Image], documents: Sequence[EditableAnnotation]
    ) -> list[ModeResult]:
        """`annotate` several images; a mode may run the network on all of them at once."""
        return [self.annotate(image, known) for image, known in zip(images, documents, strict=True)]

    def title(self, title: str) -> str | None:
        """The final title of one of the model's classes; None where it is not kept."""
        chosen = self.config.model_classes
        kept = title != BACKGROUND and is_chosen(chosen.save_classes, title)
        return title + chosen.add_suffix if kept else None

    def tag_name(self, name: str) -> str | None:
        """The final name of one of the model's tags; None where it is not kept."""
        chosen = self.config.model_tags
        return name + chosen.add_suffix if is_chosen(chosen.save_names, name) else None

    def named_tags(self, tags: Sequence[Tag]) -> list[Tag]:
        """The model's tags under their final names."""
        names = [self.tag_name(str(tag.get("name"))) for tag in tags]
        return [{**tag, "name": name} for tag, name in zip(tags, names, strict=True) if name is not None]

    def named_labels(self, labels: Sequence[Label], dx: int = 0, dy: int = 0) -> list[Label]:
        """The model's objects under their final titles, moved from a part of the image into the image."""
        found = []
        for label in labels:
            title = self.title(label.title)
            if title is None:
                continue
            shape = label.geometry if dx or dy else None
            moved = None if shape is None else translate(shape, dx, dy)
            tags = self.named_tags(label.tags) if label.tags else None
            found.append(label.changed(title, moved, tags))
        return found

    def predict_part(
        self, image: Image, area: Rectangle, known: EditableAnnotation | None = None
    ) -> Prediction:
        """Run the network on a part of an image; objects come in the part's own coordinates."""
        part = image[area.top : area.bottom + 1, area.left : area.right + 1]
        prediction = self.network.infer(
            part[None], [known or EditableAnnotation(part.shape[:2])], self.config.save_probabilities
        )[0]
        return self.completed(prediction)

    def completed(self, prediction: Prediction) -> Prediction:
        """The same with its objects, where only probabilities were given."""
        if prediction.probabilities is not None and not prediction.labels:
            from ravenml.infer.modes.blending import most_likely

            prediction.labels = self.segments(most_likely(prediction.probabilities))
        return prediction

    def segments(self, numbers: NDArray[np.generic]) -> list[Label]:
        """A bitmap for every class in a map of class numbers, counted from 1, under the model's titles."""
        return segments(numbers, self.network.classes)

    def empty_probabilities(self, size: tuple[int, int]) -> NDArray[np.float16] | None:
        """Where probabilities of the whole image are put together, if they are asked for."""
        wanted = self.config.save_probabilities
        return np.zeros((len(self.network.classes), *size), np.float16) if wanted else None


def segments(numbers: NDArray[np.generic], classes: Sequence[ObjClass]) -> list[Label]:
    """A bitmap object for every class in a map (height, width) of class numbers, counted from 1."""
    labels = []
    for index, one in enumerate(classes):
        if one.title == BACKGROUND:
            continue
        mask = numbers == index + 1
        if mask.any():
            labels.append(Label.make(one.title, Bitmap(*trim(mask))))
    return labels


def put_probabilities(target: NDArray[np.generic] | None, prediction: Prediction, area: Rectangle) -> None:
    """Put a part's probabilities into those of the whole image."""
    if target is None:
        return
    if prediction.probabilities is None:
        raise InputError("mode.save_probabilities: this model does not predict probabilities; leave it out.")
    target[:, area.top : area.bottom + 1, area.left : area.right + 1] = prediction.probabilities


def is_chosen(chosen: Titles, name: str) -> bool:
    """Whether a name is among the chosen ones."""
    return chosen == ALL or name in chosen


def whole_area(size: tuple[int, int]) -> Rectangle:
    """The area of an image of ``size`` (height, width)."""
    return Rectangle(0, 0, size[1] - 1, size[0] - 1)
