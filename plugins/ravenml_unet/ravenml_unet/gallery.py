"""All pictures of an evaluation."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ravenml.toolkit.metric_history import read_curves
from ravenml_unet.data import ImagesAndLabels
from ravenml_unet.evaluation import Evaluation
from ravenml_unet.previews import side_by_side
from ravenml_unet.report import worst_and_best

SCORES = ("miou", "mdice", "pixel_accuracy")  # that the curves show
Predict = Callable[[NDArray[np.uint8]], NDArray[Any]]


def evaluation_pictures(
    evaluation: Evaluation,
    samples: ImagesAndLabels,
    items: Sequence[str],
    palette: NDArray[np.uint8],
    background: int,
    predict: Predict,
    run: Path | None = None,
) -> Iterator[tuple[str, NDArray[np.uint8]]]:
    """Draw the confusion matrix, a run's curves, and the worst and best images.

    Args:
        evaluation: what was measured.
        samples: the images that it was measured on, at their own sizes.
        items: their keys.
        palette: uint8 RGB per class, ``(C, 3)``.
        background: the class that shows the image itself.
        predict: from uint8 RGB ``(H, W, 3)`` to class indices ``(H, W)``.
        run: the folder of the run whose curves are drawn.

    Yields:
        Names and pictures, uint8 RGB.
    """
    from ravenml.toolkit.pictures import plot_confusion, plot_curves  # matplotlib comes with it

    yield "confusion_matrix", plot_confusion(evaluation.confusion.sum(axis=0), evaluation.titles)
    over_time = read_curves(run) if run is not None else {}
    if over_time:
        yield "curves", plot_curves(over_time, SCORES)
    for name, score, index in worst_and_best(evaluation):
        image, truth = samples[index]
        caption = f"{name.replace('_', ' ')}: IoU {score:.2f}, {items[index]}"
        yield name, side_by_side(image, truth, predict(image), palette, background, caption)
