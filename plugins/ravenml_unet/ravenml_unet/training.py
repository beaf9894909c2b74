"""One training, from the dataset to the packed model."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from ravenml.common.io import write_json
from ravenml.data.classes import BACKGROUND
from ravenml.data.samples import Samples
from ravenml.infer.metrics import MEANS, with_undefined
from ravenml.toolkit.async_writer import AsyncWriter
from ravenml.toolkit.augmentation.pipeline import Pipeline
from ravenml.toolkit.augmentation.reading import read_augmentations
from ravenml.toolkit.preflight import check_annotated, describe_no_best, split_parts
from ravenml.toolkit.pretrained import PretrainedWeights
from ravenml.toolkit.seeding import INITIAL_WEIGHTS, derived_seed
from ravenml.train.interfaces import TrainInput, TrainOutput
from ravenml.train.scores import Scores
from ravenml_unet.allocator import keep_freed_memory
from ravenml_unet.augmentation.preview import record_augmentations
from ravenml_unet.autotune import StepShape, describe_measurements
from ravenml_unet.checkpoints import TorchCheckpointWriter
from ravenml_unet.checks import check_batches, check_best, check_class_weights
from ravenml_unet.classes import choose_classes
from ravenml_unet.compiling import check_compiler
from ravenml_unet.data import Loader, ResizedSamples
from ravenml_unet.device import make_fabric
from ravenml_unet.export import describe_model, export_model
from ravenml_unet.loop import TrainingData, TrainingLoop
from ravenml_unet.models.network import SegmentationNetwork
from ravenml_unet.models.registry import create_model
from ravenml_unet.objective import make_loss, make_metrics
from ravenml_unet.pretrained import inspect_weights
from ravenml_unet.previews import Previewer
from ravenml_unet.report import evaluation_pictures, write_evaluation
from ravenml_unet.resuming import find_state, unet_identity, warn_of_machine_change
from ravenml_unet.settings import UNetSettings
from ravenml_unet.weights import load_encoder, load_initial_weights, load_weights

if TYPE_CHECKING:
    from ravenml_unet.augmentation.augmenter import Augmenter


def run_training(train: TrainInput) -> TrainOutput | None:
    """Train one network on ``train.split``.

    Returns:
        The packed model and the scores of its best weights; None where the run was asked to stop.

    Raises:
        InputError: settings, weights and data do not fit together.
        RavenError: the loss is not a number.
    """
    settings = train.settings
    assert isinstance(settings, UNetSettings)  # the core validates against what we publish
    begun = time.monotonic()
    project, split = train.dataset, train.split
    start = inspect_weights(Path(settings.weights)) if settings.weights is not None else None
    classes = choose_classes(project, settings, start)
    titles = [c.title for c in classes]
    width, height = settings.input_size.width, settings.input_size.height
    if settings.compile:
        check_compiler()
    check_batches(settings, split)
    lacking = check_annotated(project, split, titles, train.fold)
    check_class_weights(settings, titles)
    check_best(settings, titles)
    own_metrics = make_metrics(settings)
    pipeline = read_augmentations(settings.augmentations)
    identity = unet_identity(settings, titles, train.fold, split, pipeline)
    state = find_state(train.resume_from, identity)
    shape = StepShape(settings.model, len(classes), settings.batch_size.train, width, height)
    fabric, execution = make_fabric(
        settings, shape, state.machine if state is not None else None, train.fold_choices
    )
    if fabric.device.type == "cpu":
        keep_freed_memory()
    torch.manual_seed(derived_seed(settings.seed, train.fold, INITIAL_WEIGHTS))
    model = create_model(settings.model, len(classes))
    if start is not None and state is None:
        transfer = settings.weights_init_type == "transfer_learning"
        load_initial_weights(model, start, settings.model, replace_head=transfer)
    if settings.encoder_weights is not None and state is None:
        load_encoder(model, Path(settings.encoder_weights), settings.model)
    run = train.run
    for sentence in lacking:
        run.text(sentence, level="warning")
    write_json(run.path / "info" / "model_classes.json", describe_model(classes))
    record_augmentations(run.path / "info", pipeline)
    original = {kind: Samples(project, items, titles) for kind, items in split_parts(split).items()}
    sized = {kind: ResizedSamples(samples, width, height) for kind, samples in original.items()}
    data = TrainingData(sized["train"], sized["val"], titles)
    loss = make_loss(settings, titles, sized["train"], fabric.device)
    with (
        Loader(settings.workers, pin_memory=fabric.device.type == "cuda") as loader,
        AsyncWriter() as background,
    ):
        keeper = TorchCheckpointWriter(run, settings, background)
        previewer = Previewer(run, classes, width, height, settings.epochs, fabric.device, background)
        for kind, items in split_parts(split).items():
            if settings.previews:
                previewer.show(kind, items, original[kind], settings.previews)
        loop = TrainingLoop(
            run, settings, train.fold, fabric, execution, model, data, loader, keeper, identity, loss,
            own_metrics, make_augmenter(pipeline, titles.index(BACKGROUND)),
            after_epoch=lambda epoch: previewer.after_epoch(loop.wrapped, epoch),
        )  # fmt: skip
        announce(loop, model, start)
        if settings.precision == "auto":
            used = loop.machine()
            train.keep_choices(**{name: used[name] for name in ("device", "precision", "memory_format")})
        if state is not None:
            warn_of_machine_change(loop, state)
            loop.restore(state)
        elif train.resume_from is not None:
            run.text("There is no checkpoint to resume from; the training begins again.", level="warning")
        loop.team.check(loop.step)
        if not loop.fit():
            return None
        background.wait()
        if loop.best is not None and (keeper.folder / loop.best.file).exists():
            load_weights(loop.model, keeper.folder / loop.best.file, settings.model)
        evaluation = loop.evaluate(original["val"])
        best_epoch = loop.best.epoch if loop.best else float(loop.epoch)
        if settings.save_best and loop.best is None:
            run.text(describe_no_best(settings), level="warning")
        previewer.draw(loop.wrapped, "final", "prediction", best_epoch)

    keys = [item.key for item in split.val]
    size = {"width": width, "height": height}
    about = {"architecture": settings.model, "input_size": size, "epoch": best_epoch}
    write_evaluation(run.path / "evaluation.json", evaluation, keys, dataset=str(project.root), **about)
    loop.wrapped.eval()
    for name, picture in evaluation_pictures(
        evaluation, original["val"], keys, previewer.palette, previewer.background,
        lambda image: previewer.predict(loop.wrapped, image), run.path,
    ):  # fmt: skip
        run.image(f"evaluation/{name}", picture, epoch=best_epoch)
    metrics = with_undefined(evaluation.metrics(), MEANS)
    return TrainOutput(
        model_path=export_model(run.path / "model-state.tar", loop.model, settings, classes),
        scores=Scores.segmentation(keys, evaluation.confusion, titles),
        metadata={
            "architecture": settings.model,
            "input_size": size,
            "classes": titles,
            "epochs": settings.epochs,
            "best_epoch": best_epoch,
            "metrics": {f"val/{name}": value for name, value in metrics.items()},
            "parameters": sum(p.numel() for p in model.parameters()),
            "seconds": round(time.monotonic() - begun, 1),
            **loop.machine(),
            **({"step_seconds": dict(execution.seconds)} if execution.seconds else {}),
        },
    )


def make_augmenter(pipeline: Pipeline, background: int) -> Augmenter | None:
    """The pipeline at work; None where there is nothing to do."""
    if not pipeline.pipeline:
        return None
    from ravenml_unet.augmentation.augmenter import Augmenter  # kornia comes with it

    return Augmenter(pipeline, background)


def announce(loop: TrainingLoop, model: SegmentationNetwork, start: PretrainedWeights | None) -> None:
    """A line about network, data, device and precision, and more about what was measured and given."""
    parameters = sum(p.numel() for p in model.parameters()) / 1e6
    used = loop.machine()
    workers, classes = used["workers"], len(loop.data.titles)
    loop.run.text(
        f"{loop.settings.model}, {parameters:.1f} million parameters, {classes} class{'es' * (classes != 1)}"
        f"; {len(loop.data.train)} images to learn from, {len(loop.data.val)} to validate; "
        f"{used['device']}, {used['precision']}, {used['threads']} thread{'s' * (used['threads'] != 1)}"
        f"{'; compiled before its first step' if used['compiled'] else ''}"
        f"{f'; {workers} workers together' if workers > 1 else ''}."
    )
    for sentence in describe_measurements(loop.execution):
        loop.run.text(sentence)
    if start is not None:
        again = loop.settings.weights_init_type == "transfer_learning" and model.head
        loop.run.text(
            f"It begins with {start.path}{'; the last layer starts from scratch' if again else ''}."
        )
