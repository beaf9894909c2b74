"""The training loop: epochs, steps, validation and checkpoints."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from ravenml.data.boxes import BoxedImage
from ravenml.errors import RavenError
from ravenml.infer.metrics import with_undefined
from ravenml.runs.run import Run
from ravenml.toolkit.augmentation.pipeline import Pipeline
from ravenml.toolkit.checkpoints import Best, best_name, checkpoint_label
from ravenml.toolkit.hyperparameters import learning_rate
from ravenml.toolkit.seeding import AUGMENTATION, derived_seed, epoch_order
from ravenml_tf_bbox.augmentation.augmenter import augment
from ravenml_tf_bbox.augmentation.mosaic import mosaic
from ravenml_tf_bbox.data import Batch, FittedSamples, Loader
from ravenml_tf_bbox.detecting import Detector, unit_range
from ravenml_tf_bbox.evaluation import Evaluation, evaluate
from ravenml_tf_bbox.framework import machine
from ravenml_tf_bbox.metrics import FIRST
from ravenml_tf_bbox.optimizers import make_optimizer
from ravenml_tf_bbox.settings import BoxSettings
from ravenml_tf_bbox.targets import detection_loss
from ravenml_tf_bbox.weights import KerasCheckpointWriter, State, load_weights

if TYPE_CHECKING:
    import tensorflow as tf

REPORT_SECONDS = 0.2  # the shortest time between two progress events of one kind
CHECKPOINT_SECONDS = 15.0  # likewise between two checkpoints, where nobody says how often they are wanted
LOSSES = ("loss", "class_loss", "box_loss")


@dataclass(frozen=True)
class TrainingData:
    """The images of one training, and what their boxes mean.

    Attributes:
        train: what is learned from.
        val: what is measured on.
        titles: the classes' names in index order.
    """

    train: FittedSamples
    val: FittedSamples
    titles: Sequence[str]


class TrainingLoop:
    """Trains one detector; ``fit`` may be called once.

    Attributes:
        best: the best validated moment so far.
        epoch: how many epochs are complete.
        step: how many steps are done in all.
    """

    def __init__(
        self,
        run: Run,
        settings: BoxSettings,
        fold: int | None,
        detector: Detector,
        data: TrainingData,
        loader: Loader,
        keeper: KerasCheckpointWriter,
        identity: dict[str, Any],
        pipeline: Pipeline,
        after_epoch: Callable[[int], None] = lambda epoch: None,
    ) -> None:
        self.run, self.settings, self.fold, self.detector = run, settings, fold, detector
        self.data, self.loader, self.keeper, self.identity = data, loader, keeper, identity
        self.pipeline, self.after_epoch = pipeline, after_epoch
        self.optimizer = make_optimizer(detector.model, settings)
        self.steps_per_epoch = math.ceil(len(data.train) / settings.batch_size.train)
        self.best: Best | None = None
        self.epoch = self.batch = self.step = 0
        self._sums = dict.fromkeys(LOSSES, 0.0)
        self._recent: list[float] = []
        self._reported: dict[str, float] = {}
        self._saved = time.monotonic()
        self._learn = self._compiled()

    # Going on.

    def restore(self, state: State) -> None:
        """Stand where ``state`` stood."""
        weights = self.keeper.folder / state.weights
        load_weights(self.detector.model, weights)
        for variable, value in zip(self.optimizer.variables, state.optimizer, strict=True):
            variable.assign(value)
        self.epoch, self.batch, self.step = state.epoch, state.batch, state.step
        self.best = Best(**state.best) if state.best else None
        self._sums |= state.sums
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
        epochs, settings, suffix = self.settings.epochs, self.settings, self.keeper.suffix
        self.run.progress("Epoch", self.epoch, epochs)
        while self.epoch < epochs:
            if not self._train_epoch():
                self._save_position(f"model_{checkpoint_label(self.epoch, self.batch)}_last{suffix}")
                return False
            self.epoch, self.batch = self.epoch + 1, 0
            self._sums = dict.fromkeys(LOSSES, 0.0)
            if self.epoch == epochs and settings.save_last:
                self._save_position(f"model_{self.epoch:03d}_last{suffix}")
            elif self._checkpoint_is_due():
                self._save_position(f"model_{self.epoch:03d}{suffix}")
            self.run.progress("Epoch", self.epoch, epochs)
            self.after_epoch(self.epoch)
        return True

    def _train_epoch(self) -> bool:
        """Do the steps of the running epoch that are left, and its validations; False to stop."""
        size = self.settings.batch_size.train
        order = epoch_order(len(self.data.train), self.settings.seed, self.fold, self.epoch)
        change = partial(self._change, self.epoch)
        for batch in self.loader.batches(self.data.train, order, size, change, start=self.batch * size):
            if self.run.should_stop():
                return False
            self._train_step(batch)
            self.batch, self.step = self.batch + 1, self.step + 1
            done = min(self.batch * size, len(self.data.train))
            self._report("Iteration", self.batch, self.steps_per_epoch, images=done)
            period = self.settings.metrics_period
            if self.batch == self.steps_per_epoch:
                self._finish_training_metrics()
            elif period and self.batch % period == 0:
                metrics = {"loss": sum(self._recent) / len(self._recent), "lr": self._lr}
                self.run.metrics("train", self._epochs_done, metrics, step=self.step)
                self._recent = []
            if self._validation_is_due():
                self._validate()
        return True

    def _change(self, epoch: int, sample: BoxedImage, place: int) -> BoxedImage:
        """An image as it is learned from in this epoch: a function of the seed and its place in the order."""
        train, chance = self.data.train, self.settings.mosaic
        seeds = [derived_seed(self.settings.seed, self.fold, AUGMENTATION, epoch, place, n) for n in (0, 1)]
        draw = np.random.default_rng(seeds[0])
        if chance and draw.random() < chance:
            others = [train[int(index)] for index in draw.integers(0, len(train), 3)]
            sample = mosaic([sample, *others], train.width, train.height, draw)
        return augment(sample, self.pipeline, seeds[1]) if self.pipeline.pipeline else sample

    def _compiled(self) -> Any:
        """One step as a graph of TensorFlow's."""
        import tensorflow as tf

        model, anchors, most = self.detector.model, self.detector.anchors, self.settings.max_grad_norm
        images = tf.TensorSpec([None, anchors.height, anchors.width, 3], tf.uint8)
        boxes, classes = tf.TensorSpec([None, None, 4], tf.float32), tf.TensorSpec([None, None], tf.float32)

        @tf.function(input_signature=[images, boxes, classes])
        def learn(images: tf.Tensor, boxes: tf.Tensor, classes: tf.Tensor) -> dict[str, tf.Tensor]:
            deltas, kinds = anchors.encode(boxes, classes)
            with tf.GradientTape() as tape:
                losses = detection_loss(model(unit_range(images), training=True), deltas, kinds)
            gradients = tape.gradient(losses["loss"], model.trainable_variables)
            if most:
                gradients, _ = tf.clip_by_global_norm(gradients, most)
            self.optimizer.apply_gradients(zip(gradients, model.trainable_variables, strict=True))
            return losses

        return learn

    def _train_step(self, batch: Batch) -> None:
        self.optimizer.learning_rate.assign(learning_rate(self.settings, self.step, self.steps_per_epoch))
        losses = self._learn(batch.images, batch.boxes, batch.classes)
        for name in LOSSES:
            self._sums[name] += float(losses[name]) * len(batch)
        self._recent.append(float(losses["loss"]))

    @property
    def _lr(self) -> float:
        return float(np.float32(self.optimizer.learning_rate.numpy()))

    def _finish_training_metrics(self) -> None:
        metrics = {name: value / len(self.data.train) for name, value in self._sums.items()}
        self.run.metrics("train", self._epochs_done, {**metrics, "lr": self._lr}, step=self.step)
        self._recent = []
        if not math.isfinite(metrics["loss"]):
            raise RavenError(
                f"The loss is not a number in epoch {self.epoch + 1}; "
                f"train with a smaller --lr than {self.settings.lr:g}."
            )

    # Validation.

    def _validation_is_due(self) -> bool:
        interval = max(self.settings.val_every * self.steps_per_epoch, 1.0)
        passed = math.floor(self.step / interval + 1e-9) > math.floor((self.step - 1) / interval + 1e-9)
        return passed or self.step == self.settings.epochs * self.steps_per_epoch

    def evaluate(self) -> Evaluation:
        """Measure the detector as it stands on the validation images."""
        return evaluate(
            self.detector,
            self.loader,
            self.data.val,
            self.settings.batch_size.val,
            self.data.titles,
            lambda done, total: self._report("Validation", done, total),
        )

    def _validate(self) -> None:
        metrics = with_undefined(self.evaluate().metrics(), FIRST)
        self.run.metrics("val", self._epochs_done, metrics, step=self.step)
        value = metrics.get(self.settings.best_name)
        if not self.settings.save_best or value is None or not math.isfinite(value):
            return
        if self.best is not None and not self.settings.better(value, self.best.value):
            return
        name = best_name(self._epochs_done, self.keeper.suffix)
        self.best = Best(value, self._epochs_done, name)
        metric = {f"val/{self.settings.best_name}": value}
        self.keeper.keep_best(self.detector.model, name, self.step, self._epochs_done, metric)

    def _checkpoint_is_due(self) -> bool:
        """Whether the epoch that has just ended is to be kept; where epochs are short, not each is."""
        if self.settings.checkpoint_every is not None:
            return self.epoch % self.settings.checkpoint_every == 0
        return time.monotonic() - self._saved >= CHECKPOINT_SECONDS

    def _save_position(self, weights_name: str) -> None:
        self._saved = time.monotonic()
        state = State(
            epoch=self.epoch,
            batch=self.batch,
            step=self.step,
            weights=weights_name,
            sums=dict(self._sums),
            identity=self.identity,
            machine=machine(self.settings.device),
            best=asdict(self.best) if self.best else None,
            optimizer=[np.array(variable.numpy()) for variable in self.optimizer.variables],
        )
        self.keeper.keep_position(self.detector.model, weights_name, state, self._epochs_done)

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
