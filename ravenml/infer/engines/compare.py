"""Whether a graph predicts what the model predicts, and the images on which that is seen."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

from ravenml.common.io import read_json
from ravenml.data.images import read_image
from ravenml.data.project import Item as DataItem
from ravenml.data.project import Project
from ravenml.errors import RavenError
from ravenml.infer.inputs import open_inputs
from ravenml.infer.network import Ensemble
from ravenml.infer.predictor import Predictor
from ravenml.runs import layout

MOST_IMAGES = 8
TIE = 1e-3  # two classes whose probabilities differ by less are as good as equally likely
LEAST_AGREEMENT = {"32": 0.9999, "bf16": 0.999, "16": 0.999}  # of all pixels' labels, by precision

Image = NDArray[np.uint8]
Item = TypeVar("Item")


@dataclass
class ComparisonImages:
    """Images to compare on.

    Attributes:
        source: where they come from, in words.
        count: how many there are.
        read: gives them one after the other, uint8 RGB ``(H, W, 3)``.
    """

    source: str
    count: int
    read: Callable[[], Iterator[Image]]


@dataclass
class Agreement:
    """How well two predictors agree.

    Attributes:
        pixels: how many were compared.
        same: how many have the same label.
        ties: how many of the others have one that the model itself finds as likely: the last
            digit decides between them.
        difference: the largest of a probability.
    """

    pixels: int = 0
    same: int = 0
    ties: int = 0
    difference: float = 0.0

    @property
    def share(self) -> float:
        """Of the pixels, those with the same label: 0 to 1."""
        return self.same / self.pixels if self.pixels else 0.0

    def is_close(self, precision: str) -> bool:
        """Whether it is enough for what is computed in this precision; ties count as agreement."""
        right = self.same + self.ties
        return self.pixels > 0 and right / self.pixels >= LEAST_AGREEMENT[precision]

    def __str__(self) -> str:
        ties = f", {self.ties:,} another that is as likely" if self.ties else ""
        return (
            f"{self.share:.4%} of {self.pixels:,} pixels have the same label{ties}, and probabilities differ "
            f"by {self.difference:.1g} at most"
        )


def compare(model: Predictor | Ensemble, other: Predictor, images: Iterable[Image]) -> Agreement:
    """Compare what two predictors of the same classes say of images."""
    found = Agreement()
    for image in images:
        ours = np.asarray(model.predict(image[None], "probabilities")[0])
        theirs = np.asarray(other.predict(image[None], "probabilities")[0])
        if len(ours) == 1:  # a single class, and everything else
            ours, theirs = (np.concatenate([1 - one, one]) for one in (ours, theirs))
        labels = [one.argmax(axis=0) for one in (ours, theirs)]
        differs = labels[0] != labels[1]
        likely, chosen = (np.take_along_axis(ours, one[None], axis=0)[0][differs] for one in labels)
        found.pixels += differs.size
        found.same += int((~differs).sum())
        found.ties += int((likely - chosen < TIE).sum())
        difference = float(np.abs(ours - theirs).max())
        found.difference = max(found.difference, difference if difference == difference else np.inf)
    return found


def choose_images(given: str | None, models: Sequence[Path], size: tuple[int, int]) -> ComparisonImages:
    """Images to compare a model on: the user's, else those it was validated on, else painted ones.

    Args:
        given: a project, a folder of images, or an image.
        models: where the model lies; of a k-fold run, each fold's.
        size: width and height of painted images.

    Raises:
        InputError: what was given holds no images.
    """
    if given is not None:
        inputs = open_inputs(given)
        return spread_over(str(inputs.path), [one.image_path for one in inputs.pictures])
    validated = [path for path in _interleaved([_validated(model) for model in models]) if path.is_file()]
    if validated:
        return spread_over("the model's validation images", list(dict.fromkeys(validated)))
    return ComparisonImages("synthetic images", MOST_IMAGES, lambda: paint_images(*size))


def paint_images(width: int, height: int, count: int = MOST_IMAGES) -> Iterator[Image]:
    """Images in the style of the demo project, which need no data."""
    from ravenml.data.demo_paint import Painter

    for number in range(count):
        random = np.random.default_rng(number)
        high, wide = max(min(height, 256), 32), max(min(width, 256), 32)
        painter = Painter(random, high, wide, ("spring", "autumn")[number % 2])
        for kind in ("pond", "hedge", "roof", "thatched"):
            mask = np.zeros((high, wide), np.uint8)
            center = (int(random.integers(0, wide)), int(random.integers(0, high)))
            sides = (int(random.integers(4, wide // 4 + 4)), int(random.integers(4, high // 4 + 4)))
            cv2.ellipse(mask, center, sides, float(random.integers(0, 180)), 0, 360, 1, -1)
            painter.add(kind, mask)
        yield np.asarray(cv2.resize(painter.finish(), (width, height), interpolation=cv2.INTER_LINEAR))


def spread_over(source: str, paths: Sequence[Path]) -> ComparisonImages:
    """Some of many images, spread over all of them; what cannot be read is passed over.

    Args:
        source: where they come from, in words.
        paths: all of them.
    """
    chosen = evenly(paths, MOST_IMAGES)

    def read() -> Iterator[Image]:
        for path in chosen:
            try:
                yield read_image(path)
            except RavenError:
                continue

    return ComparisonImages(f"{len(chosen)} of {source}", len(chosen), read)


def evenly(items: Sequence[Item], most: int) -> list[Item]:
    """At most so many of the items, spread over all of them."""
    count = min(len(items), most)
    return [items[number * len(items) // count] for number in range(count)]


@dataclass(frozen=True)
class RecordedImages:
    """What a model was trained and validated on, as far as it is still there.

    Attributes:
        project: the dataset.
        train: its images that were learned from.
        val: those that were validated on.
    """

    project: Project
    train: Sequence[DataItem]
    val: Sequence[DataItem]


def recorded_images(model: Path) -> RecordedImages:
    """The images of the run that made a model.

    Raises:
        RavenError: there is no run beside the model, or its dataset is no longer there.
    """
    folder = model if model.is_dir() else model.parent
    try:
        project = Project.read(Path(str(read_json(folder / layout.RUN_JSON)["dataset"]["path"])))
        sets = [
            {(one["dataset_name"], one["item_name"]) for one in read_json(folder / layout.INFO / name)}
            for name in ("train_set.json", "val_set.json")
        ]
    except (KeyError, TypeError) as error:
        raise RavenError(f"{folder} does not say what its model was trained on.") from error
    train, val = ([item for item in project.items if (item.dataset, item.name) in one] for one in sets)
    return RecordedImages(project, train, val)


def _interleaved(groups: Sequence[Sequence[Path]]) -> list[Path]:
    return [path for together in zip_longest(*groups) for path in together if path is not None]


def _validated(model: Path) -> list[Path]:
    """The images that the model was validated on; none where they are not known."""
    try:
        return [item.image_path for item in recorded_images(model).val]
    except RavenError:
        return []
