"""The sides that benchmarks/training.py compares, each a process that trains some epochs at a time.

    python benchmarks/training_sides.py SIDE PROJECT EPOCHS '{"model": …}'

``SIDE`` is ``plugin``, the whole of ``raven train unet train``'s work with a run's folder, events and
checkpoints; ``bare``, the loop that one would write in plain PyTorch with all images in memory; ``plain``,
the same in float32 and the usual memory format; or ``lightning``, Lightning's default Trainer around the bare
loop's parts.  What stands in JSON are the plugin's settings; all sides take the same.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F
from unet_training import train

import ravenml_unet.training
from ravenml.data.project import Project
from ravenml.data.samples import Samples
from ravenml.data.split import default_split
from ravenml.runs.run import Run
from ravenml.toolkit.async_writer import AsyncWriter
from ravenml.toolkit.augmentation.reading import read_augmentations
from ravenml.toolkit.seeding import AUGMENTATION, derived_seed, epoch_order
from ravenml_unet.augmentation.augmenter import Augmenter
from ravenml_unet.autotune import StepShape
from ravenml_unet.classes import choose_classes
from ravenml_unet.data import ResizedSamples
from ravenml_unet.device import choose_device
from ravenml_unet.models.registry import create_model
from ravenml_unet.preprocessing import standardise
from ravenml_unet.settings import UNetSettings

FOR_EVER = 100_000  # epochs: the process ends when nobody asks for more
AUTOCAST = {"bf16": torch.bfloat16, "16": torch.float16}


class Tiny(nn.Module):
    """A network that costs next to nothing, so that what is added to each step can be seen."""

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.all = nn.Sequential(
            nn.Conv2d(3, 4, 3, padding=1), nn.ReLU(), nn.Conv2d(4, num_classes, 3, padding=1)
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        result: torch.Tensor = self.all(x)
        return result


class Gate:
    """Where a side waits between two turns of so many epochs; the words go past whatever a library prints."""

    def __init__(self, epochs: int) -> None:
        self.epochs = epochs
        self._answers = os.fdopen(os.dup(1), "w")
        os.dup2(2, 1)
        self._word = "ready"

    def is_due(self, epoch: int) -> bool:
        """Whether a turn begins with this epoch, counted from 0."""
        return epoch % self.epochs == 0

    def wait(self) -> None:
        """Say that a turn is over, and wait until another one is asked for."""
        self._answers.write(f"{self._word}\n")
        self._answers.flush()
        self._word = "done"
        if not sys.stdin.readline():
            raise SystemExit  # what was written for the measurement goes away


class KnownBackground(AsyncWriter):
    """The plugin's work in the background, which somebody else can wait for as well."""

    last: AsyncWriter

    def __init__(self) -> None:
        super().__init__()
        KnownBackground.last = self


class PacedRun(Run):
    """A run that waits after each turn, first until all checkpoints are on the disk."""

    gate: Gate

    def progress(self, subtask: str, current: int, total: int, **extra: Any) -> None:
        super().progress(subtask, current, total, **extra)
        if subtask == "Epoch" and self.gate.is_due(current):
            KnownBackground.last.wait()  # written beside the training, but no part of the others' turns
            self.gate.wait()


def plugin_side(project: Project, settings: UNetSettings, gate: Gate) -> None:
    """The plugin's own training, in a folder that goes away."""
    PacedRun.gate = gate
    ravenml_unet.training.AsyncWriter = KnownBackground  # type: ignore[misc]
    with tempfile.TemporaryDirectory(prefix="ravenml-bench-") as home:
        os.environ["RAVENML_STORAGE_PATH"] = home
        train(settings, lambda: project, Path(home) / "run", PacedRun)


class Bare:
    """All training images on the device, a network, an optimizer; ``step`` is what a loop does with them."""

    def __init__(self, project: Project, settings: UNetSettings, plain: bool = False) -> None:
        self.settings, self.device = settings, torch.device(choose_device(settings.device))
        precision = "32" if plain else settings.precision
        assert precision != "auto", "choose one for all sides"
        self.autocast = torch.autocast(
            self.device.type, AUTOCAST.get(precision, torch.bfloat16), enabled=precision in AUTOCAST
        )
        titles = [one.title for one in choose_classes(project, settings, None)]
        items = default_split(project, notice=lambda text: None).train
        size = settings.input_size
        samples = ResizedSamples(Samples(project, items, titles, None), size.width, size.height)
        whole = samples.batch(range(len(samples)))
        self.images, self.labels = whole.images.to(self.device), whole.labels.long().to(self.device)
        pipeline = read_augmentations(settings.augmentations)
        self.augmenter = Augmenter(pipeline, 0) if pipeline.pipeline else None
        torch.manual_seed(settings.seed)
        self.model = create_model(settings.model, len(titles)).to(self.device)
        if not plain:
            self.model = self.model.to(memory_format=torch.channels_last)
        self.optimizer = torch.optim.AdamW(
            self.model.parameters(), lr=settings.lr, weight_decay=settings.weight_decay, fused=True
        )

    def batches(self, epoch: int) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        """Batches ``(N, 3, H, W)`` and labels, augmented with the random numbers of the plugin's epoch."""
        size, seed = self.settings.batch_size.train, self.settings.seed
        order = torch.from_numpy(epoch_order(len(self.images), seed, None, epoch)).to(self.device)
        for number, indices in enumerate(order.split(size)):
            images = self.images[indices].permute(0, 3, 1, 2).float().div_(255)
            labels = self.labels[indices]
            if self.augmenter is not None:
                its = derived_seed(seed, None, AUGMENTATION, epoch, number)
                images, labels = self.augmenter(images, labels, its)
            yield standardise(images), labels

    def loss(self, images: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """Forward."""
        with self.autocast:
            return F.nll_loss(self.model(images), labels)

    def train_step(self, images: torch.Tensor, labels: torch.Tensor) -> None:
        """Forward, backward, and the optimizer."""
        loss = self.loss(images, labels)
        self.optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(self.model.parameters(), self.settings.max_grad_norm)
        self.optimizer.step()

    def epoch(self, number: int) -> None:
        """One epoch, finished when this returns."""
        for images, labels in self.batches(number):
            self.train_step(images, labels)
        self.finish()

    def finish(self) -> None:
        """Wait for the device."""
        if self.device.type == "cuda":
            torch.cuda.synchronize()

    def augmenting(self, count: int) -> list[float]:
        """Seconds of augmenting one batch, for so many seeds."""
        assert self.augmenter is not None
        size = self.settings.batch_size.train
        images, labels = self.images[:size].permute(0, 3, 1, 2).float().div_(255), self.labels[:size]
        return self._timed(lambda seed: self.augmenter(images, labels, seed), count)  # type: ignore[misc]

    def stepping(self, count: int) -> list[float]:
        """Seconds of one training step, so many times."""
        images, labels = next(self.batches(0))
        return self._timed(lambda _: self.train_step(images, labels), count)

    def _timed(self, work: Callable[[int], object], count: int) -> list[float]:
        seconds = []
        for number in range(-2, count):
            begin = time.perf_counter()
            work(abs(number))
            self.finish()
            if number >= 0:
                seconds.append(time.perf_counter() - begin)
        return seconds


def step_shape(project: Project, settings: UNetSettings) -> StepShape:
    """What decides the time of this training's steps."""
    size, classes = settings.input_size, choose_classes(project, settings, None)
    return StepShape(settings.model, len(classes), settings.batch_size.train, size.width, size.height)


def bare_side(project: Project, settings: UNetSettings, gate: Gate, plain: bool = False) -> None:
    """The loop in plain PyTorch."""
    bare = Bare(project, settings, plain)
    for epoch in range(FOR_EVER):
        if gate.is_due(epoch):
            gate.wait()
        bare.epoch(epoch)


def lightning_side(project: Project, settings: UNetSettings, gate: Gate) -> None:
    """Lightning's Trainer as it comes, with its logger, its checkpoints and its bar."""
    import pytorch_lightning as pl

    bare = Bare(project, settings)

    class Module(pl.LightningModule):
        def __init__(self) -> None:
            super().__init__()
            self.model = bare.model

        def training_step(self, batch: Any, index: int) -> torch.Tensor:
            images, labels = batch
            loss = bare.loss(images, labels)
            self.log("loss", loss)
            return loss

        def configure_optimizers(self) -> torch.optim.Optimizer:
            return bare.optimizer

    class Epochs(torch.utils.data.IterableDataset[Any]):
        epoch = -1

        def __iter__(self) -> Iterator[Any]:
            self.epoch += 1
            return bare.batches(self.epoch)

    class Paced(pl.Callback):
        def on_train_epoch_start(self, trainer: Any, module: Any) -> None:
            if gate.is_due(trainer.current_epoch):
                gate.wait()

    with tempfile.TemporaryDirectory(prefix="ravenml-bench-") as folder:
        trainer = pl.Trainer(
            accelerator=bare.device.type,
            devices=1,
            max_epochs=FOR_EVER,
            default_root_dir=folder,
            callbacks=[Paced()],
            gradient_clip_val=settings.max_grad_norm,
        )
        trainer.fit(Module(), torch.utils.data.DataLoader(Epochs(), batch_size=None))


SIDES: dict[str, Callable[[Project, UNetSettings, Gate], None]] = {
    "plugin": plugin_side,
    "bare": bare_side,
    "plain": partial(bare_side, plain=True),
    "lightning": lightning_side,
}


def main() -> None:
    _, side, project, epochs, settings = sys.argv
    gate = Gate(int(epochs))
    given = json.loads(settings)
    # Neither validation nor previews: the other sides do neither.
    settings = UNetSettings(**given, epochs=FOR_EVER, val_every=FOR_EVER)
    SIDES[side](Project.open(Path(project)), settings, gate)


if __name__ == "__main__":
    main()
