"""What an inference mode asks of a network, and what it gives back.

A mode knows nothing else of the network: ravenML's predictors and networks written with the SDK for
Supervisely's contract are both put behind `Network`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from ravenml.data.editable_annotation import EditableAnnotation, Label, Tag
from ravenml.data.meta import ObjClass, TagMeta

Image = NDArray[np.uint8]  # RGB (height, width, 3)


@dataclass
class Prediction:
    """What a network says about one image or a part of one.

    Attributes:
        labels: the objects, in the part's own coordinates, under the network's own class titles.
        tags: tags of the image.
        probabilities: float32 ``(classes, height, width)`` in the order of the network's classes, where it
            was asked for; objects may be left out then.
    """

    labels: list[Label] = field(default_factory=list)
    tags: list[Tag] = field(default_factory=list)
    probabilities: NDArray[np.float32] | None = None


class Network(Protocol):
    """Something that can be run on a batch of images of one size.

    Attributes:
        classes: what it knows, in index order, with the shapes that its results have.  `__bg__` among them
            never becomes an object.
        tags: the tags that its results may bear.
        batch_size: how many images at once are fastest.
    """

    classes: Sequence[ObjClass]
    tags: Sequence[TagMeta]
    batch_size: int

    def infer(
        self, images: NDArray[np.uint8], documents: Sequence[EditableAnnotation], probabilities: bool = False
    ) -> list[Prediction]:
        """Run the network.

        Args:
            images: uint8 RGB ``(N, H, W, 3)``.
            documents: what is known about each.
            probabilities: whether a probability for every class and pixel is wanted.

        Returns:
            ``N`` predictions.
        """
        ...


@dataclass
class ModeResult:
    """What a mode made of one image.

    Attributes:
        document: the image's annotation with the results added.
        added: the objects that were added, in the image's coordinates, under their final titles.
        areas: those of them that say where the network was run, which is not a prediction.
        probabilities: float16 ``(classes, height, width)`` where the config asks for it: the network's
            classes in index order; 0 where the network was not run.
    """

    document: EditableAnnotation
    added: list[Label]
    probabilities: NDArray[np.generic] | None = None
    areas: list[Label] = field(default_factory=list)

    @property
    def predicted(self) -> list[Label]:
        """The objects that were added, without the areas."""
        return [one for one in self.added if not any(one is area for area in self.areas)]
