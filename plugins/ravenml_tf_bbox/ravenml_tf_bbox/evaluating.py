"""``raven train tf-bbox evaluate``: a finished model on a dataset."""

from __future__ import annotations

from pathlib import Path

import cv2

from ravenml.common.io import write_bytes
from ravenml.data.boxes import BoxSamples
from ravenml.data.item_list import listed_items
from ravenml.data.problems import suggestion
from ravenml.data.project import Project
from ravenml.errors import InputError
from ravenml_tf_bbox.data import FittedSamples, Loader
from ravenml_tf_bbox.detecting import MEASURED
from ravenml_tf_bbox.evaluation import Evaluation, evaluate
from ravenml_tf_bbox.loading import load_model
from ravenml_tf_bbox.pictures import make_palette
from ravenml_tf_bbox.report import evaluation_pictures, match_images, write_evaluation

FILE = "evaluation.json"


def evaluate_model(
    model: Path,
    project: Project,
    folder: Path,
    items_file: Path | None = None,
    device: str = "auto",
    batch_size: int = 8,
    workers: int = 1,
) -> Evaluation:
    """Measure a model on a dataset; write file and pictures.

    Args:
        model: what :func:`ravenml_tf_bbox.loading.load_model` loads.
        project: the dataset.
        folder: where ``evaluation.json`` and the pictures go; it is made.
        items_file: a list of ``{"dataset_name", "item_name"}``, such as a run's ``info/val_set.json``;
            without it all images are measured.

    Raises:
        InputError: model, dataset and list do not fit together.
    """
    predictor = load_model(model, device)
    titles = predictor.classes
    for title in titles:
        if title not in project.titles:
            raise InputError(
                f"{project.root} has no class {title!r}, which {model} predicts; "
                f"{suggestion(title, project.titles)}."
            )
    items = listed_items(project, items_file) if items_file is not None else list(project.items)
    samples = BoxSamples(project, items, titles)
    sized = FittedSamples(samples, *predictor.input_size, memory=0)
    predictor.detector.configure(MEASURED)
    with Loader(workers) as loader, predictor.placed():
        evaluation = evaluate(predictor.detector, loader, sized, batch_size, titles)
    keys = [item.key for item in items]
    width, height = predictor.input_size
    matched = match_images(evaluation)
    write_evaluation(
        folder / FILE,
        evaluation,
        matched,
        keys,
        model=str(model),
        architecture=predictor.architecture,
        input_size={"width": width, "height": height},
        dataset=str(project.root),
    )
    palette = make_palette([c.rgb for c in predictor.obj_classes])
    run = model if model.is_dir() else None
    for name, picture in evaluation_pictures(evaluation, matched, samples, keys, palette, run):
        write_bytes(folder / f"{name}.png", cv2.imencode(".png", picture[..., ::-1])[1].tobytes())
    return evaluation
