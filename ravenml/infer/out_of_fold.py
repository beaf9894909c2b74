"""Scoring images with the model that never saw them, through the plugin's predictor."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ravenml.data.project import Item, Project
from ravenml.data.samples import Samples
from ravenml.errors import RavenError
from ravenml.infer.metrics import confusion_matrix
from ravenml.infer.predictor import load_predictor


def predict_segmentation(
    model: Path, project: Project, items: Sequence[Item]
) -> tuple[list[str], NDArray[np.int64], list[str]]:
    """Predict ``items`` at their own size and count pixels by true and predicted class.

    Args:
        model: a ``model-state.tar`` of a segmentation plugin.
        project: the dataset that ``items`` are of.
        items: the images, ``N`` of them.

    Raises:
        RavenError: there is no such model, its plugin cannot predict, or it predicts something else.

    Returns:
        The images' keys, confusion matrices of shape ``(N, C, C)``, and the ``C`` classes' titles.
    """
    predictor = load_predictor(model)
    if predictor.task != "segmentation":
        raise RavenError(
            f"{model} is a model for {predictor.task}; only segmentation can be scored like this."
        )
    titles = list(predictor.classes)
    samples = Samples(project, items, titles)
    counts = np.zeros((len(items), len(titles), len(titles)), dtype=np.int64)
    for index in range(len(items)):
        image, truth = samples[index]
        counts[index] = confusion_matrix(truth, predictor.predict(image[None])[0], len(titles))
    return [item.key for item in items], counts, titles
