"""One training, from the dataset to the packed model."""

from __future__ import annotations

import time
from pathlib import Path

from ravenml.common.io import write_json
from ravenml.data.boxes import BoxSamples
from ravenml.data.classes import BACKGROUND, class_order
from ravenml.data.project import ObjClass, Project
from ravenml.errors import InputError
from ravenml.infer.metrics import with_undefined
from ravenml.toolkit.async_writer import AsyncWriter
from ravenml.toolkit.preflight import (
    check_annotated,
    check_best_by,
    check_parts,
    describe_no_best,
    split_parts,
)
from ravenml.toolkit.pretrained import PretrainedWeights, match_classes
from ravenml.toolkit.resume_guard import check_identity, describe_machine_change, training_identity
from ravenml.toolkit.seeding import INITIAL_WEIGHTS, derived_seed
from ravenml.train.interfaces import TrainInput, TrainOutput
from ravenml.train.scores import Scores
from ravenml_tf_bbox.augmentation.templates import find_pipeline
from ravenml_tf_bbox.data import FittedSamples, Loader
from ravenml_tf_bbox.detecting import MEASURED, Detector
from ravenml_tf_bbox.export import describe_model, pack
from ravenml_tf_bbox.framework import device_name, machine, tensorflow
from ravenml_tf_bbox.loop import TrainingData, TrainingLoop
from ravenml_tf_bbox.metrics import FIRST, DetectionScores, list_metrics
from ravenml_tf_bbox.models import create_model
from ravenml_tf_bbox.previews import Previewer
from ravenml_tf_bbox.report import evaluation_pictures, match_images, write_evaluation
from ravenml_tf_bbox.settings import BoxSettings
from ravenml_tf_bbox.targets import Anchors
from ravenml_tf_bbox.weights import (
    KerasCheckpointWriter,
    inspect_weights,
    load_pretrained,
    load_weights,
    newest_state,
)


def run_training(train: TrainInput) -> TrainOutput | None:
    """Train one detector on ``train.split``.

    Returns:
        The packed model and the scores of its best weights; None where the run was asked to stop.

    Raises:
        InputError: settings, weights and data do not fit together.
        RavenError: the loss is not a number.
    """
    settings = train.settings
    assert isinstance(settings, BoxSettings)  # the core validates against what we publish
    begun = time.monotonic()
    project, split = train.dataset, train.split
    start = inspect_weights(Path(settings.weights)) if settings.weights is not None else None
    classes = choose_classes(project, settings, start)
    titles = [c.title for c in classes]
    check_parts(split)
    lacking = check_annotated(project, split, titles, train.fold)
    check_best_by(settings, list_metrics(titles))
    pipeline = find_pipeline(settings.augmentations)
    identity = {
        **training_identity(settings, titles, train.fold, split, pipeline),
        "anchor_size": settings.anchor_size,
        "aspect_ratios": list(settings.aspect_ratios),
        "mosaic": settings.mosaic,
    }
    state = newest_state(train.resume_from / "checkpoints") if train.resume_from is not None else None
    if state is not None and train.resume_from is not None:
        check_identity(train.resume_from, state.identity, identity)

    tf = tensorflow(settings.device)
    width, height = settings.input_size.width, settings.input_size.height
    with (
        tf.device(device_name(settings.device)),
        Loader(settings.workers) as loader,
        AsyncWriter() as background,
    ):
        detector = make_detector(
            settings, len(classes), derived_seed(settings.seed, train.fold, INITIAL_WEIGHTS)
        )
        if start is not None and state is None:
            load_pretrained(detector.model, start, new_head=settings.weights_init_type == "transfer_learning")
        run = train.run
        for sentence in lacking:
            run.text(sentence, level="warning")
        write_json(run.path / "info" / "model_classes.json", describe_model(classes))
        write_json(run.path / "info" / "augs_config.json", pipeline.plain())
        original = {kind: BoxSamples(project, items, titles) for kind, items in split_parts(split).items()}
        sized = {kind: FittedSamples(samples, width, height) for kind, samples in original.items()}
        data = TrainingData(sized["train"], sized["val"], titles)
        keeper = KerasCheckpointWriter(run, settings, background)
        previewer = Previewer(run, classes, settings.epochs, background)
        for kind, items in split_parts(split).items():
            if settings.previews:
                previewer.show(kind, items, sized[kind], settings.previews)
        loop = TrainingLoop(
            run, settings, train.fold, detector, data, loader, keeper, identity, pipeline,
            after_epoch=lambda epoch: previewer.after_epoch(detector, epoch),
        )  # fmt: skip
        announce(loop, start)
        if state is not None:
            differs = describe_machine_change(state.machine, machine(settings.device))
            if differs is not None:
                run.text(differs, level="warning")
            loop.restore(state)
        elif train.resume_from is not None:
            run.text("There is no checkpoint to resume from; the training begins again.", level="warning")
        if not loop.fit():
            return None
        background.wait()
        if loop.best is not None and (keeper.folder / loop.best.file).exists():
            load_weights(detector.model, keeper.folder / loop.best.file)
        evaluation = loop.evaluate()
        best_epoch = loop.best.epoch if loop.best else float(loop.epoch)
        if settings.save_best and loop.best is None:
            run.text(describe_no_best(settings), level="warning")
        previewer.draw(detector, "final", "prediction", best_epoch)

    keys = [item.key for item in split.val]
    about = {
        "architecture": settings.model,
        "input_size": {"width": width, "height": height},
        "epoch": best_epoch,
    }
    matched = match_images(evaluation)
    write_evaluation(
        run.path / "evaluation.json", evaluation, matched, keys, dataset=str(project.root), **about
    )
    pictures = evaluation_pictures(evaluation, matched, original["val"], keys, previewer.palette, run.path)
    for name, picture in pictures:
        run.image(f"evaluation/{name}", picture, epoch=best_epoch)
    return TrainOutput(
        model_path=pack(run.path / "model-state.tar", detector.model, settings, classes),
        scores=Scores(
            keys,
            {},
            DetectionScores(tuple(titles)),
            {"truths": [truth.boxes for truth in evaluation.truths], "detections": evaluation.found},
        ),
        metadata={
            "architecture": settings.model,
            "input_size": about["input_size"],
            "classes": titles,
            "epochs": settings.epochs,
            "best_epoch": best_epoch,
            "metrics": {f"val/{n}": v for n, v in with_undefined(evaluation.metrics(), FIRST).items()},
            "parameters": detector.model.count_params(),
            "seconds": round(time.monotonic() - begun, 1),
            **machine(settings.device),
        },
    )


def choose_classes(
    project: Project, settings: BoxSettings, start: PretrainedWeights | None
) -> list[ObjClass]:
    """The classes in index order; a training that is continued keeps its own order.

    Raises:
        InputError: the project lacks a class, has none, or the continued training had other classes.
    """
    classes = [c for c in class_order(project, settings.classes) if c.title != BACKGROUND]
    if not classes:
        raise InputError(f"{project.root}: there is no class to learn; name others with --classes.")
    return match_classes(start, classes, settings.weights_init_type)


def make_detector(settings: BoxSettings, classes: int, seed: int) -> Detector:
    """A detector with weights that come from ``seed``."""
    import keras

    keras.utils.set_random_seed(seed % 2**32)
    width, height = settings.input_size.width, settings.input_size.height
    anchors = Anchors(settings.model, width, height, settings.anchor_size, settings.aspect_ratios)
    return Detector(create_model(settings.model, classes, anchors.per_cell, width, height), anchors, MEASURED)


def announce(loop: TrainingLoop, start: PretrainedWeights | None) -> None:
    """A line about network, data and device, and one about weights that were given."""
    settings, computer = loop.settings, machine(loop.settings.device)
    parameters, classes = loop.detector.model.count_params() / 1e6, len(loop.data.titles)
    loop.run.text(
        f"{settings.model}, {parameters:.1f} million parameters, {classes} class{'es' * (classes != 1)}; "
        f"{len(loop.data.train)} images to learn from, {len(loop.data.val)} to validate; "
        f"{computer['device']}, {computer['threads']} thread{'s' * (computer['threads'] != 1)}."
    )
    if start is not None:
        again = settings.weights_init_type == "transfer_learning"
        loop.run.text(
            f"It begins with {start.path}{'; the layer of the classes starts from scratch' if again else ''}."
        )
