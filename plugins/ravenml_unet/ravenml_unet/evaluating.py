"""``raven train unet evaluate``: a finished model on a dataset."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np

from ravenml.common.io import write_bytes
from ravenml.data.classes import BACKGROUND
from ravenml.data.item_list import listed_items
from ravenml.data.problems import suggestion
from ravenml.data.project import Project
from ravenml.data.samples import Samples
from ravenml.errors import InputError
from ravenml_unet.data import Loader, ResizedSamples
from ravenml_unet.evaluation import Evaluation, evaluate
from ravenml_unet.loading import load_model
from ravenml_unet.report import evaluation_pictures, write_evaluation

FILE = "evaluation.json"


def evaluate_model(
    model: Path,
    project: Project,
    folder: Path,
    items_file: Path | None = None,
    device: str = "auto",
    batch_size: int = 8,
    workers: int = 1,
    report: Callable[[int, int], None] = lambda done, total: None,
) -> Evaluation:
    """Measure a model on a dataset, at its input size and at the images' own; write file and pictures.

    Args:
        model: what :func:`ravenml_unet.load_model` loads.
        project: the dataset.
        folder: where ``evaluation.json`` and the pictures go; it is made.
        items_file: a list of ``{"dataset_name", "item_name"}``, such as a run's ``info/val_set.json``;
            without it all images are measured.
        report: called with how many images are done, and how many there are.

    Raises:
        InputError: model, dataset and list do not fit together.
    """
    predictor = load_model(model, device)
    titles = predictor.classes
    known = set(project.titles) | {BACKGROUND}
    for title in titles:
        if title not in known:
            raise InputError(
                f"{project.root} has no class {title!r}, which {model} predicts; "
                f"{suggestion(title, project.titles)}."
            )
    items = listed_items(project, items_file) if items_file is not None else list(project.items)
    samples = Samples(project, items, titles)
    sized = ResizedSamples(samples, *predictor.input_size, memory=0)
    with Loader(workers) as loader:
        evaluation = evaluate(
            predictor.model,
            loader,
            sized,
            batch_size,
            titles,
            predictor.device,
            report=report,
            originals=samples,
        )
    keys = [item.key for item in items]
    width, height = predictor.input_size
    write_evaluation(
        folder / FILE,
        evaluation,
        keys,
        model=str(model),
        architecture=predictor.architecture,
        input_size={"width": width, "height": height},
        dataset=str(project.root),
    )
    palette = np.array([c.rgb for c in predictor.obj_classes], dtype=np.uint8)
    pictures = evaluation_pictures(
        evaluation,
        samples,
        keys,
        palette,
        titles.index(BACKGROUND) if BACKGROUND in titles else -1,
        lambda image: predictor.predict(image[None])[0],
        model if model.is_dir() else None,
    )
    for name, picture in pictures:
        write_bytes(folder / f"{name}.png", cv2.imencode(".png", picture[..., ::-1])[1].tobytes())
    return evaluation
