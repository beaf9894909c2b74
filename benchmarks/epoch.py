"""Where the time of a training's epochs goes, on the processor.

    python benchmarks/epoch.py PROJECT [--model UNet] [--epochs 20] [--no-previews]

Trains with the whole plugin (medium augmentation; validation, previews, checkpoints and events as by default)
and measures from outside, by wrapping functions, how long each kind of work takes.  From the second epoch on,
all that is neither forward, backward, optimizer nor augmentation takes less than 3 % of an epoch.  What is
done in the background is no part of that; its processor time is printed: the network may be slower for it.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
import unet_training
from lightning_fabric import Fabric
from lightning_fabric.wrappers import _FabricModule, _FabricOptimizer
from paired import load

import ravenml_unet.loop
import ravenml_unet.objective
from ravenml.data.project import Project
from ravenml.runs.events import EventWriter
from ravenml.runs.run import Run
from ravenml.toolkit.async_writer import AsyncWriter
from ravenml_unet.augmentation.augmenter import Augmenter
from ravenml_unet.checkpoints import TorchCheckpointWriter
from ravenml_unet.data import Loader
from ravenml_unet.loop import TrainingLoop
from ravenml_unet.previews import Previewer
from ravenml_unet.settings import UNetSettings

LIMIT = 0.03
NETWORK = ("forward", "validation's forward", "previews' forward", "backward", "optimizer", "augmentation")


class Clock:
    """Accounts for every moment of the main thread: each belongs to the innermost kind of work under way."""

    def __init__(self) -> None:
        self.epochs: list[dict[str, float]] = [defaultdict(float)]
        self.beside = 0.0
        self._kinds = ["the rest"]
        self._since = time.perf_counter()

    def turn(self, kind: str | None) -> None:
        """Begin a kind of work, or (None) go back to the one around it."""
        now = time.perf_counter()
        self.epochs[-1][self._kinds[-1]] += now - self._since
        self._since = now
        if kind is None:
            self._kinds.pop()
        else:
            self._kinds.append(kind)

    def next_epoch(self) -> None:
        """What comes now belongs to the next epoch."""
        self.turn("the rest")
        self.turn(None)
        self.epochs.append(defaultdict(float))

    def measure(self, owner: Any, name: str, kind: str) -> None:
        """Count the time of a function or method as ``kind``."""
        function: Callable[..., Any] = getattr(owner, name)

        def measured(*arguments: Any, **options: Any) -> Any:
            if threading.current_thread() is not threading.main_thread():
                return function(*arguments, **options)
            self.turn(self._named(kind))
            try:
                return function(*arguments, **options)
            finally:
                self.turn(None)

        setattr(owner, name, measured)

    def measure_beside(self, owner: Any, name: str) -> None:
        """Count the processor's time, not that of the main thread, of a method that runs beside it."""
        function: Callable[..., Any] = getattr(owner, name)

        def measured(*arguments: Any, **options: Any) -> Any:
            begin = time.thread_time()
            try:
                return function(*arguments, **options)
            finally:
                self.beside += time.thread_time() - begin

        setattr(owner, name, measured)

    def measure_waiting(self, owner: Any, name: str, kind: str) -> None:
        """Count the time that is spent inside an iterator as ``kind``."""
        function: Callable[..., Iterator[Any]] = getattr(owner, name)

        def measured(*arguments: Any, **options: Any) -> Iterator[Any]:
            iterator = function(*arguments, **options)
            while True:
                self.turn(kind)
                try:
                    item = next(iterator)
                except StopIteration:
                    return
                finally:
                    self.turn(None)
                yield item

        setattr(owner, name, measured)

    def _named(self, kind: str) -> str:
        """What the network is at work for."""
        if kind != "forward":
            return kind
        around = next((kind for kind in ("previews", "validation") if kind in self._kinds), None)
        return f"{around}' forward".replace("n'", "n's") if around else kind


def instrument(clock: Clock) -> None:
    """Wrap what a training consists of."""
    clock.measure(_FabricModule, "forward", "forward")
    clock.measure(ravenml_unet.objective, "segmentation_loss", "forward")
    clock.measure(Fabric, "backward", "backward")
    clock.measure(Fabric, "clip_gradients", "optimizer")
    clock.measure(_FabricOptimizer, "step", "optimizer")
    clock.measure(torch.optim.Optimizer, "zero_grad", "optimizer")
    clock.measure(Augmenter, "__call__", "augmentation")
    clock.measure(TrainingLoop, "_validate", "validation")
    clock.measure(TorchCheckpointWriter, "keep_position", "checkpoints")
    clock.measure(TorchCheckpointWriter, "keep_best", "checkpoints")
    clock.measure(Previewer, "after_epoch", "previews")
    clock.measure(EventWriter, "write", "events")
    clock.measure(ravenml_unet.loop, "standardised", "preparing batches")
    clock.measure(ravenml_unet.loop, "unit_range", "preparing batches")
    clock.measure(ravenml_unet.loop, "confusion_per_image", "training metrics")
    clock.measure(ravenml_unet.loop, "likeliest", "training metrics")
    clock.measure(ravenml_unet.loop, "segmentation_metrics", "training metrics")
    clock.measure_waiting(Loader, "batches", "waiting for batches")
    clock.measure_beside(AsyncWriter, "_do")


class CountedRun(Run):
    """Tells the clock when an epoch begins."""

    clock: Clock

    def progress(self, subtask: str, current: int, total: int, **extra: Any) -> None:
        super().progress(subtask, current, total, **extra)
        if subtask == "Epoch" and current == 0:
            self.clock.next_epoch()  # setting up is no epoch's


def train(project: Path, settings: UNetSettings) -> tuple[list[dict[str, float]], float]:
    """Train once; the seconds of each kind in each epoch, and those of the background in all."""
    clock = CountedRun.clock = Clock()
    instrument(clock)
    after = TrainingLoop.__init__

    def init(self: TrainingLoop, *arguments: Any, **options: Any) -> None:
        after(self, *arguments, **options)
        drawn = self.after_epoch

        def ended(epoch: int) -> None:
            drawn(epoch)
            clock.next_epoch()

        self.after_epoch = ended

    TrainingLoop.__init__ = init  # type: ignore[method-assign]
    with tempfile.TemporaryDirectory(prefix="ravenml-bench-") as home:
        os.environ["RAVENML_STORAGE_PATH"] = home
        unet_training.train(settings, lambda: Project.open(project), Path(home) / "run", CountedRun)
    return clock.epochs[1 : 1 + settings.epochs], clock.beside


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("project", type=Path)
    parser.add_argument("--model", default="UNet")
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--previews", action=argparse.BooleanOptionalAction, default=True)
    given = parser.parse_args()
    settings = UNetSettings.model_validate(
        {
            "model": given.model,
            "epochs": given.epochs,
            "input_size": {"width": 128, "height": 96},
            "augmentations": "colour+rotate+crop",
            "device": "cpu",
            **({} if given.previews else {"previews": 0}),
        }
    )
    print(f"{given.model}, {given.epochs} epochs; before: {load()}")
    epochs, beside = train(given.project, settings)
    print(f"after: {load()}")
    later = epochs[1:]
    whole = statistics.mean(sum(epoch.values()) for epoch in later)
    print(f"An epoch takes {whole:.2f} s from the second on; the first {sum(epochs[0].values()):.2f} s.")
    kinds = sorted({kind for epoch in later for kind in epoch}, key=lambda one: (one not in NETWORK, one))
    # The mean of all epochs: previews and best weights come in some only.
    seconds = {kind: statistics.mean(epoch.get(kind, 0.0) for epoch in later) for kind in kinds}
    for kind, one in seconds.items():
        print(f"  {kind:22} {1000 * one:8.1f} ms  {100 * one / whole:5.2f} %")
    print(f"  (beside it, in the background: {1000 * beside / given.epochs:.1f} ms of processor time)")
    outside = sum(one for kind, one in seconds.items() if kind not in NETWORK) / whole
    kept = outside < LIMIT
    print(
        f"Outside the network and augmentation: {100 * outside:.2f} % "
        f"({'' if kept else 'NOT '}below {100 * LIMIT:g} %)."
    )
    return 0 if kept else 1


if __name__ == "__main__":
    sys.exit(main())
