"""A pipeline at work: the same seed gives the same image and boxes, whatever was done before."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ravenml.data.boxes import BoxedImage
from ravenml.toolkit.augmentation import pipeline as p
from ravenml_tf_bbox.augmentation.colours import COLOURS
from ravenml_tf_bbox.augmentation.geometry import GEOMETRY, move_boxes, move_image


def augment(sample: BoxedImage, pipeline: p.Pipeline, seed: int) -> BoxedImage:
    """Change an image and its boxes as a pipeline says; a pure function of its arguments.

    Args:
        sample: an image, uint8 RGB ``(H, W, 3)``, and its boxes.
        pipeline: what is done.
        seed: what the random numbers come from.

    Returns:
        An image of the same size; boxes that have left it are gone.
    """
    draw = np.random.Generator(np.random.PCG64(seed))
    steps = pipeline.pipeline
    if pipeline.random_order:
        steps = [steps[index] for index in draw.permutation(len(steps))]
    image: NDArray[Any] = sample.image.astype(np.float32) / 255
    boxes, classes = sample.boxes, sample.classes
    height, width = image.shape[:2]
    for step in steps:
        if draw.random() >= step.p:
            continue
        if type(step) in COLOURS:
            image = COLOURS[type(step)](step, image, draw).clip(0, 1).astype(np.float32)
            continue
        matrix = GEOMETRY[type(step)](step, width, height, draw)
        fill = step.fill if isinstance(step, p.Geometric) else "constant"
        image = move_image(image, matrix, fill)
        boxes, classes = move_boxes(boxes, classes, matrix, width, height)
    return BoxedImage((image * 255).round().astype(np.uint8), boxes, classes)
