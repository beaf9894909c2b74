"""A project's images as samples for training, without any framework."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ravenml.sly import image as images
from ravenml.sly.annotation import Annotation
from ravenml.sly.project import Project
from ravenml.sly.project_meta import ProjectMeta
from ravenml.sly.reporting import logger

Array = Any  # numpy's, or what a framework makes of it
Sample = tuple[str, str]  # an image's path and its annotation's


def samples_by_tags(required_tags: Sequence[str], project: Project) -> dict[str, list[Sample]]:
    """The samples whose images have a tag, by tag."""
    found: dict[str, list[Sample]] = defaultdict(list)
    for dataset in project:
        for name in dataset:
            paths = dataset.get_item_paths(name)
            tags = Annotation.load_json_file(paths.ann_path, project.meta).img_tags
            for tag in required_tags:
                if tags.has_key(tag):
                    found[tag].append(tuple(paths))  # type: ignore[arg-type]
    return found


def ensure_samples_nonempty(samples: Sequence[Sample], tag_name: str, project_meta: ProjectMeta) -> None:
    """Refuse samples among which there is none with an object.

    Raises:
        RuntimeError: there is none.
    """
    if not samples:
        raise RuntimeError(f'No image has the tag "{tag_name}".')
    if not any(Annotation.load_json_file(path, project_meta).labels for _, path in samples):
        raise RuntimeError(f'No image with the tag "{tag_name}" has an object.')


def partition_train_val(num_samples: int, val_fraction: float) -> list[bool]:
    """Divide samples at random: whether each is for training.  Both parts have one at least.

    Args:
        num_samples: how many there are.
        val_fraction: the share of those for validation.

    Raises:
        ValueError: there are fewer than two.
    """
    if num_samples < 2:
        raise ValueError(f"Two samples at least can be divided, not {num_samples}.")
    val = min(max(round(num_samples * val_fraction), 1), num_samples - 1)
    learns = [False] * val + [True] * (num_samples - val)
    random.shuffle(learns)
    return learns


class SlyDataset:
    """Samples as pairs of arrays: an image, uint8 RGB, and its class indices, int64, both of one size.

    Args:
        project_meta: the project's classes and tags.
        samples: what to read.
        out_size: (height, width) of what is given.
        class_mapping: index by class title.
        bkg_color: the index where there is no object.
        allow_corrupted_cnt: so many samples may be broken; others take their place.
    """

    def __init__(
        self,
        project_meta: ProjectMeta,
        samples: Sequence[Sample],
        out_size: Sequence[int],
        class_mapping: Mapping[str, int],
        bkg_color: int,
        allow_corrupted_cnt: int = 0,
    ) -> None:
        self._project_meta, self._samples = project_meta, samples
        self._out_size = (int(out_size[0]), int(out_size[1]))
        self._class_mapping, self._bkg_color = class_mapping, bkg_color
        self._allowed = allow_corrupted_cnt
        self._broken: set[int] = set()

    def __len__(self) -> int:
        return len(self._samples)

    def load_annotation(self, fpath: str) -> Annotation:
        """Read a sample's annotation."""
        return Annotation.load_json_file(fpath, self._project_meta)

    def make_gt(
        self, image_shape: Sequence[int], ann: Annotation, ignore_not_mapped_classes: bool = False
    ) -> np.ndarray:
        """Class indices, int64, of the size that is given.

        Raises:
            RuntimeError: an object's class has no index.
        """
        indices = np.full(tuple(image_shape[:2]), self._bkg_color, np.int32)
        for label in ann.labels:
            index = self._class_mapping.get(label.obj_class.name)
            if index is not None:
                label.geometry.draw(indices, index)
            elif not ignore_not_mapped_classes:
                raise RuntimeError(f"The class {label.obj_class.name!r} has no index.")
        return images.resize_inter_nearest(indices, self._out_size).astype(np.int64)

    def _get_sample_impl(self, img_fpath: str, ann_fpath: str) -> tuple[Array, Array]:
        image = images.read(img_fpath)
        indices = self.make_gt(image.shape, self.load_annotation(ann_fpath))
        return images.resize(image, self._out_size), indices

    def __getitem__(self, index: int) -> tuple[Array, Array]:
        if not 0 <= index < len(self):
            raise IndexError(index)
        while True:
            try:
                return self._get_sample_impl(*self._samples[index])
            except Exception as error:
                if index not in self._broken:
                    self._broken.add(index)
                    logger.warning(
                        "A sample is broken.", extra={"img": self._samples[index][0], "exc_str": str(error)}
                    )
                if len(self._broken) > self._allowed or len(self._broken) == len(self):
                    raise
            index = random.randrange(len(self))
