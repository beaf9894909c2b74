"""One training, from the dataset to the packed model."""

from __future__ import annotations

import hashlib
import time
from pathlib import Path
from typing import Any

import torch

from ravenml.data.samples import Samples
from ravenml.data.split import Split
from ravenml.errors import InputError
from ravenml.files import write_json
from ravenml.train.interfaces import TrainInput, TrainOutput
from ravenml.train.scores import Scores
from ravenml_unet.checkpoints import State, newest_state
from ravenml_unet.classes import learned_classes
from ravenml_unet.data import Loader, ResizedSamples
from ravenml_unet.device import make_fabric
from ravenml_unet.export import described, export_model
from ravenml_unet.loop import TrainingData, TrainingLoop, machine
from ravenml_unet.models.network import SegmentationNetwork
from ravenml_unet.models.registry import create_model
from ravenml_unet.previews import Previewer
from ravenml_unet.randomness import INITIAL_WEIGHTS, derived_seed
from ravenml_unet.settings import UNetSettings
from ravenml_unet.weights import load_initial_weights, load_weights


def run_training(train: TrainInput) -> TrainOutput | None:
    """Train one network on ``train.split``.

    Returns:
        The packed model and the scores of its best weights; None where the run was asked to stop.

    Raises:
        InputError: settings, weights and data do not fit together.
        RavenError: the loss is no number any more.
    """
    settings = train.settings
    assert isinstance(settings, UNetSettings)  # the core validates against what we publish
    begun = time.monotonic()
    project, split = train.dataset, train.split
    classes = learned_classes(project, settings)
    titles = [c.title for c in classes]
    width, height = settings.input_size.width, settings.input_size.height
    fabric = make_fabric(settings)
    check_batches(settings, split)
    torch.manual_seed(derived_seed(settings.seed, train.fold, INITIAL_WEIGHTS))
    model = create_model(settings.model, len(classes))
    if settings.weights is not None and train.resume_from is None:
        load_initial_weights(model, Path(settings.weights), settings.model)
    identity = what_may_not_change(settings, titles, train.fold, split)
    state = state_to_resume(train.resume_from, identity)

    run = train.run
    write_json(run.path / "info" / "model_classes.json", described(classes))
    original = {kind: Samples(project, items, titles) for kind, items in parts(split).items()}
    sized = {kind: ResizedSamples(samples, width, height) for kind, samples in original.items()}
    data = TrainingData(sized["train"], sized["val"], titles)
    previewer = Previewer(run, classes, width, height, settings.epochs, fabric.device)
    for kind, items in parts(split).items():
        if settings.previews:
            previewer.show(kind, items, original[kind], settings.previews)

    with Loader(settings.workers, pin_memory=fabric.device.type == "cuda") as loader:
        loop = TrainingLoop(
            run, settings, train.fold, fabric, model, data, loader, identity,
            after_epoch=lambda epoch: previewer.after_epoch(loop.wrapped, epoch),
        )  # fmt: skip
        say_what_begins(loop, model)
        if state is not None:
            say_what_differs(loop, state)
            loop.restore(state)
        elif train.resume_from is not None:
            run.text("There is no checkpoint to go on from; the training begins anew.", level="warning")
        if not loop.fit():
            return None
        if loop.best is not None and (loop.folder / loop.best.file).exists():
            load_weights(loop.model, loop.folder / loop.best.file, settings.model)
        evaluation = loop.evaluate()

    best_epoch = loop.best.epoch if loop.best else float(loop.epoch)
    previewer.draw(loop.wrapped, "final", "prediction", best_epoch)
    metrics = evaluation.metrics()
    return TrainOutput(
        model_path=export_model(run.path / "model-state.tar", loop.model, settings, classes),
        scores=Scores.segmentation([item.key for item in split.val], evaluation.confusion, titles),
        metadata={
            "architecture": settings.model,
            "input_size": {"width": width, "height": height},
            "classes": titles,
            "epochs": settings.epochs,
            "best_epoch": best_epoch,
            "metrics": {f"val/{name}": value for name, value in metrics.items()},
            "parameters": sum(p.numel() for p in model.parameters()),
            "seconds": round(time.monotonic() - begun, 1),
            **machine(fabric),
        },
    )


def parts(split: Split) -> dict[str, list[Any]]:
    """The split's items by the name that files and metrics use."""
    return {"train": list(split.train), "val": list(split.val)}


def check_batches(settings: UNetSettings, split: Split) -> None:
    """Refuse what cannot be trained.

    Raises:
        InputError: an empty part, or a batch of one image that batch norm can make nothing of.
    """
    for kind, items in parts(split).items():
        if not items:
            raise InputError(f"The {kind} part of the split is empty; give it at least one image.")
    smallest = len(split.train) % settings.batch_size.train or settings.batch_size.train
    tiny = settings.input_size.width <= 32 and settings.input_size.height <= 32
    if settings.model == "LinkNet34" and tiny and smallest == 1:
        raise InputError(
            "batch_size.train: LinkNet34 shrinks an input of 32×32 to one pixel, which batch norm cannot "
            "learn from in a batch of one image; choose a larger input size or another batch size."
        )


def what_may_not_change(
    settings: UNetSettings, titles: list[str], fold: int | None, split: Split
) -> dict[str, Any]:
    """What a training must have kept to be gone on with."""
    keys = "\n".join(item.key for item in split.train)
    return {
        "model": settings.model,
        "classes": titles,
        "input_size": settings.input_size.model_dump(),
        "batch_size.train": settings.batch_size.train,
        "optimizer": settings.optimizer,
        "lr": settings.lr,
        "momentum": settings.momentum,
        "weight_decay": settings.weight_decay,
        "max_grad_norm": settings.max_grad_norm,
        "seed": settings.seed,
        "fold": fold,
        "training images": hashlib.sha256(keys.encode()).hexdigest()[:16],
    }


def state_to_resume(run_path: Path | None, identity: dict[str, Any]) -> State | None:
    """The state to go on from, or None where there is none yet.

    Raises:
        InputError: the interrupted training was another one.
    """
    state = newest_state(run_path / "checkpoints") if run_path is not None else None
    if state is None:
        return None
    for name, now in identity.items():
        before = state.identity.get(name)
        if before != now:
            raise InputError(
                f"{name}: the run in {run_path} was trained with {before!r} and cannot go on with {now!r}; "
                "resume it with its own settings, or begin a new run."
            )
    return state


def say_what_begins(loop: TrainingLoop, model: SegmentationNetwork) -> None:
    """One line about network, data, device and precision."""
    parameters = sum(p.numel() for p in model.parameters()) / 1e6
    there = machine(loop.fabric)
    loop.run.text(
        f"{loop.settings.model}, {parameters:.1f} million parameters, {len(loop.data.titles)} classes; "
        f"{len(loop.data.train)} images to learn from, {len(loop.data.val)} to validate; "
        f"{there['device']}, {there['precision']}, {there['threads']} threads."
    )


def say_what_differs(loop: TrainingLoop, state: State) -> None:
    """Warn where the machine is not the one that the interrupted training ran on."""
    now = machine(loop.fabric)
    changed = [f"{n} {state.machine.get(n)} → {now[n]}" for n in now if state.machine.get(n) != now[n]]
    if changed:
        loop.run.text(
            f"This machine differs ({', '.join(changed)}): the result may differ in the last bits "
            "from a training that was never interrupted.",
            level="warning",
        )
