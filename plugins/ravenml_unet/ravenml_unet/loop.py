"""The training loop: epochs, steps, validation and checkpoints."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from lightning_fabric import Fabric

from ravenml.errors import RavenError
from ravenml.infer.metrics import MEANS, segmentation_metrics, with_undefined
from ravenml.runs.run import Run
from ravenml.toolkit.checkpoints import Best, best_name, checkpoint_label
from ravenml.toolkit.hyperparameters import learning_rate
from ravenml.toolkit.seeding import AUGMENTATION, STEP, derived_seed, epoch_order
from ravenml_unet.autotune import FORMATS, Execution
from ravenml_unet.checkpoints import State, TorchCheckpointWriter
from ravenml_unet.compiling import compile_network, explain_failures
from ravenml_unet.confusion import confusion_per_image
from ravenml_unet.data import ImagesAndLabels, Loader, ResizedSamples, split_batches
from ravenml_unet.device import seed_generators
from ravenml_unet.evaluation import Evaluation, evaluate
from ravenml_unet.loss import Loss, segmentation_loss
from ravenml_unet.models.network import SegmentationNetwork
from ravenml_unet.objective import Metric
from ravenml_unet.optimizers import make_optimizer
from ravenml_unet.parallel import Team
from ravenml_unet.predicting import likeliest
from ravenml_unet.preprocessing import normalise, standardise, unit_range
from ravenml_unet.settings import UNetSettings
from ravenml_unet.weights import load_weights

if TYPE_CHECKING:
    from ravenml_unet.augmentation.augmenter import Augmenter

REPORT_SECONDS = 0.2  # the shortest time between two progress events of one kind
CHECKPOINT_SECONDS = 15.0  # likewise between two checkpoints, where nobody says how often they are wanted


@dataclass(frozen=True)
class TrainingData:
    """The images of one training, and what their labels mean.

    Attributes:
        train: what is learned from.
        val: what is measured on.
        titles: the classes' names in index order.
    """

    train: ResizedSamples
    val: ResizedSamples
    titles: Sequence[str]


class TrainingLoop:
    """Trains one network; ``fit`` may be called once.

    Attributes:
        model: the network, without Fabric's wrapping.
        best: the best validated moment so far.
        epoch: how many epochs are complete.
        step: how many steps are done in all.
    """

    def __init__(
        self,
        run: Run,
        settings: UNetSettings,
        fold: int | None,
        fabric: Fabric,
        execution: Execution,
        model: SegmentationNetwork,
        data: TrainingData,
        loader: Loader,
        keeper: TorchCheckpointWriter,
        identity: dict[str, Any],
        loss: Loss = segmentation_loss,
        own_metrics: Mapping[str, Metric] = {},
        augmenter: Augmenter | None = None,
        after_epoch: Callable[[int], None] = lambda epoch: None,
    ) -> None:
        self.run, self.settings, self.fold = run, settings, fold
        self.fabric, self.execution = fabric, execution
        self.data, self.loader, self.keeper, self.identity = data, loader, keeper, identity
        self.augmenter = augmenter
        self.loss, self.own_metrics, self.after_epoch = loss, own_metrics, after_epoch
        self._memory_format = FORMATS[execution.memory_format]
        self.model = model.to(memory_format=self._memory_format).to(fabric.device)  # type: ignore[call-overload]
        self._optimizer = make_optimizer(self.model, settings, fabric.device)
        self.team = Team(fabric)
        self._learner, self._stepper = fabric.setup(self.model, self._optimizer)
        # Validation and previews go through the network as it is.
        self.wrapped = self._learner if self.team.count == 1 else self.team.alone(self.model)
        if execution.compiled:
            size = settings.input_size
            self._learner = fabric.setup_module(compile_network(self.model, size.width, size.height))
        self.steps_per_epoch = math.ceil(len(data.train) / settings.batch_size.train)
        self.best: Best | None = None
        self.epoch = self.batch = self.step = 0
        self._sums = self._no_sums()
        self._reported: dict[str, float] = {}
        self._saved = time.monotonic()

    # Going on.

    def restore(self, state: State) -> None:
        """Stand where ``state`` stood."""
        weights = self.keeper.folder / state.weights
        load_weights(self.model, weights, self.settings.model)
        self._optimizer.load_state_dict(state.optimizer)
        self.fabric.strategy.precision.load_state_dict(state.precision)
        self.epoch, self.batch, self.step = state.epoch, state.batch, state.step
        self.best = Best(**state.best) if state.best else None
        if self.team.rank == 0:  # the others' are in it
            self._sums |= {name: value.to(self.fabric.device) for name, value in state.sums.items()}
        self.run.resumed(self.step, self._epochs_done)
        # Once more: the kill may have come between the files and what was to follow them.
        self.keeper.announce(weights, state, self._epochs_done)

    # Training.

    def fit(self) -> bool:
        """Train up to the last epoch.

        Returns:
            False where the run was asked to stop before; what resuming needs is saved then.

        Raises:
            RavenError: the loss is not a number.
        """
        epochs, settings = self.settings.epochs, self.settings
        self.wrapped.train()
        self.run.progress("Epoch", self.epoch, epochs)
        while self.epoch < epochs:
            if not self._train_epoch():
                self._save_position(f"model_{checkpoint_label(self.epoch, self.batch)}_last.pth")
                return False
            self.epoch, self.batch = self.epoch + 1, 0
            self._sums = self._no_sums()
            if self.epoch == epochs and settings.save_last:
                self._save_position(f"model_{self.epoch:03d}_last.pth")
            elif self._checkpoint_is_due():
                self._save_position(f"model_{self.epoch:03d}.pth")
            self.run.progress("Epoch", self.epoch, epochs)
            self.after_epoch(self.epoch)
        return True

    def _train_epoch(self) -> bool:
        """Do the steps of the running epoch that are left, and its validations; False to stop."""
        size = self.settings.batch_size.train
        order = epoch_order(len(self.data.train), self.settings.seed, self.fold, self.epoch)
        left = split_batches(order[self.batch * size :], size)
        # A process for which the last batch has no image does the step with one that does not count.
        mine = [part if len(part := self.team.part(whole)) else whole[:1] for whole in left]
        for whole, batch in zip(left, self.loader.batches(self.data.train, mine), strict=True):
            if self.team.any(self.run.should_stop()):
                return False
            with explain_failures() if self.execution.compiled else nullcontext():
                self._train_step(batch.images, batch.labels, self.team.weight(whole))
            self.batch, self.step = self.batch + 1, self.step + 1
            done = min(self.batch * size, len(self.data.train))
            self._report("Iteration", self.batch, self.steps_per_epoch, images=done)
            period = self.settings.metrics_period
            if self.batch == self.steps_per_epoch:
                self._finish_training_metrics()
            elif period and self.batch % period == 0:
                self._report_loss()
            if self._validation_is_due():
                self._validate()
        return True

    def _train_step(self, images: torch.Tensor, labels: torch.Tensor, weight: float) -> None:
        # Whatever draws random numbers in a step (dropout, say) draws this step's, come what may.
        position = (self.epoch, self.batch, *self.team.seed)
        its = derived_seed(self.settings.seed, self.fold, STEP, *position)
        seed_generators(its, self.fabric.device)
        for group in self._optimizer.param_groups:
            group["lr"] = learning_rate(self.settings, self.step, self.steps_per_epoch)
        device = self.fabric.device
        labels = labels.to(device, non_blocking=True).long()
        if self.augmenter is not None:
            seed = derived_seed(self.settings.seed, self.fold, AUGMENTATION, *position)
            changed, labels = self.augmenter(unit_range(images, device), labels, seed)
            inputs = standardise(changed)
        else:
            inputs = normalise(images, device)
        output = self._learner(inputs.contiguous(memory_format=self._memory_format))
        loss = self.loss(output, labels)
        self._stepper.zero_grad()
        self.fabric.backward(loss if weight == 1 else loss * weight)
        if self.settings.max_grad_norm:
            self.fabric.clip_gradients(
                self._learner, self._stepper, max_norm=self.settings.max_grad_norm, error_if_nonfinite=False
            )
        self._stepper.step()
        if not weight:
            return
        with torch.no_grad():
            counts = confusion_per_image(labels, likeliest(output), len(self.data.titles))
            self._sums["confusion"] += counts.sum(dim=0)
            self._sums["loss"] += loss.detach() * len(images)
            if self.settings.metrics_period:
                self._sums["recent"] += torch.stack(
                    [loss.detach() * len(images), loss.new_full((), len(images))]  # no copy to the device
                )

    def _report_loss(self) -> None:
        """The mean loss since it was last told of."""
        self.team.add([self._sums["recent"]])
        loss, images = self._sums["recent"].tolist()
        self._sums["recent"].zero_()
        metrics = {"loss": loss / images, "lr": self._lr}
        self.run.metrics("train", self._epochs_done, metrics, step=self.step)

    @property
    def _lr(self) -> float:
        return float(self._optimizer.param_groups[0]["lr"])

    def _finish_training_metrics(self) -> None:
        self.team.add([self._sums["loss"], self._sums["confusion"]])
        loss = float(self._sums["loss"]) / len(self.data.train)
        scores = segmentation_metrics(self._sums["confusion"].cpu().numpy(), self.data.titles)
        metrics = {"loss": loss, "lr": self._lr, **scores}
        self.run.metrics("train", self._epochs_done, metrics, step=self.step)
        if not math.isfinite(loss):
            raise RavenError(
                f"The loss is not a number in epoch {self.epoch + 1}; "
                f"train with a smaller --lr than {self.settings.lr:g}, or with --precision 32."
            )

    def _no_sums(self) -> dict[str, torch.Tensor]:
        classes, device = len(self.data.titles), self.fabric.device
        # MPS has no float64; float32 is enough for the mean of an epoch's losses.
        return {
            "loss": torch.zeros((), dtype=torch.float32, device=device),
            "recent": torch.zeros(2, dtype=torch.float32, device=device),
            "confusion": torch.zeros((classes, classes), dtype=torch.int64, device=device),
        }

    # Validation.

    def _validation_is_due(self) -> bool:
        interval = max(self.settings.val_every * self.steps_per_epoch, 1.0)
        passed = math.floor(self.step / interval + 1e-9) > math.floor((self.step - 1) / interval + 1e-9)
        return passed or self.step == self.settings.epochs * self.steps_per_epoch

    def evaluate(self, originals: ImagesAndLabels | None = None) -> Evaluation:
        """Measure the network as it stands on the validation images (``originals``: at their sizes too)."""
        self.team.agree(self.model)
        return evaluate(
            self.wrapped,
            self.loader,
            self.data.val,
            self.settings.batch_size.val,
            self.data.titles,
            self.fabric.device,
            self.loss,
            self.own_metrics,
            lambda done, total: self._report("Validation", done, total),
            originals,
            self.team if self.team.count > 1 else None,
        )

    def _validate(self) -> None:
        metrics = with_undefined(self.evaluate().metrics(), MEANS)
        self.run.metrics("val", self._epochs_done, metrics, step=self.step)
        value = metrics.get(self.settings.best_name)
        if not self.settings.save_best or value is None or not math.isfinite(value):
            return
        if self.best is not None and not self.settings.better(value, self.best.value):
            return
        name = best_name(self._epochs_done, self.keeper.suffix)
        self.best = Best(value, self._epochs_done, name)
        metric = {f"val/{self.settings.best_name}": value}
        self.keeper.keep_best(self.model, name, self.step, self._epochs_done, metric)

    def _checkpoint_is_due(self) -> bool:
        """Whether what resuming needs is saved after this epoch.

        Where epochs take seconds, a checkpoint after each would take a good part of the training's time.
        """
        if self.settings.checkpoint_every is not None:
            return self.epoch % self.settings.checkpoint_every == 0
        return self.team.any(time.monotonic() - self._saved >= CHECKPOINT_SECONDS)

    def _save_position(self, weights_name: str) -> None:
        self._saved = time.monotonic()
        self.team.agree(self.model)
        sums = {name: value.clone() for name, value in self._sums.items()}
        self.team.add(sums.values())
        state = State(
            epoch=self.epoch,
            batch=self.batch,
            step=self.step,
            weights=weights_name,
            optimizer=self._optimizer.state_dict(),
            precision=self.fabric.strategy.precision.state_dict(),
            sums={name: value.cpu() for name, value in sums.items()},
            identity=self.identity,
            machine=self.machine(),
            best=asdict(self.best) if self.best else None,
        )
        self.keeper.keep_position(self.model, weights_name, state, self._epochs_done)

    # Reporting.

    @property
    def _epochs_done(self) -> float:
        return self.step / self.steps_per_epoch

    def _report(self, subtask: str, done: int, total: int, **extra: Any) -> None:
        """Tell about progress, but not more often than a person can read; the end always."""
        now = time.monotonic()
        if done == total or now - self._reported.get(subtask, -math.inf) >= REPORT_SECONDS:
            self._reported[subtask] = now
            self.run.progress(subtask, done, total, **extra)

    def machine(self) -> dict[str, Any]:
        """What decides, beside the settings, whether a computation gives the same bits again."""
        return {
            "torch": str(torch.__version__),
            "numpy": np.__version__,
            "threads": torch.get_num_threads(),
            "device": str(self.fabric.device.type),
            "precision": str(self.fabric.strategy.precision.precision),
            "memory_format": self.execution.memory_format,
            "compiled": self.execution.compiled,
            "workers": self.fabric.world_size,
        }
