"""What the detector does in the toolkit's training loop: batches, steps, sums and measuring."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from ravenml.data.boxes import BoxedImage
from ravenml.infer.metrics import with_undefined
from ravenml.runs.run import Run
from ravenml.toolkit import loop
from ravenml.toolkit.augmentation.pipeline import Pipeline
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


class TrainingLoop(loop.TrainingLoop[Any, State, Batch]):
    """Trains one detector."""

    settings: BoxSettings

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
        super().__init__(run, settings, fold, detector.model, len(data.train), keeper, after_epoch)
        self.detector, self.data, self.loader = detector, data, loader
        self.identity, self.pipeline = identity, pipeline
        self.optimizer = make_optimizer(detector.model, settings)
        self.clear_sums()
        self._learn = self._compiled()

    # Going on.

    def restore(self, state: State) -> None:
        """Stand where ``state`` stood."""
        load_weights(self.detector.model, self.keeper.folder / state.weights)
        for variable, value in zip(self.optimizer.variables, state.optimizer, strict=True):
            variable.assign(value)
        self._sums |= state.sums
        self.resume_at(state)

    def state(self, weights: str) -> State:
        """Where the training stands."""
        return State(
            epoch=self.epoch,
            batch=self.batch,
            step=self.step,
            weights=weights,
            sums=dict(self._sums),
            identity=self.identity,
            machine=machine(self.settings.device),
            best=asdict(self.best) if self.best else None,
            optimizer=[np.array(variable.numpy()) for variable in self.optimizer.variables],
        )

    # Training.

    def batches(self) -> Iterator[Batch]:
        """The batches of the running epoch that are left."""
        size = self.settings.batch_size.train
        order = epoch_order(len(self.data.train), self.settings.seed, self.fold, self.epoch)
        change = partial(self._change, self.epoch)
        return self.loader.batches(self.data.train, order, size, change, start=self.batch * size)

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

    def learn(self, batch: Batch) -> None:
        """Do one step."""
        self.optimizer.learning_rate.assign(self.lr)
        losses = self._learn(batch.images, batch.boxes, batch.classes)
        for name in LOSSES:
            self._sums[name] += float(losses[name]) * len(batch)
        self._recent.append(float(losses["loss"]))

    # Sums.

    def clear_sums(self) -> None:
        """Begin an epoch's sums."""
        self._sums = dict.fromkeys(LOSSES, 0.0)
        self._recent: list[float] = []

    def recent_loss(self) -> float:
        """The mean loss since it was last asked for."""
        recent, self._recent = self._recent, []
        return sum(recent) / len(recent)

    def training_metrics(self) -> dict[str, float]:
        """The epoch's mean loss and its parts."""
        return {name: value / len(self.data.train) for name, value in self._sums.items()}

    # Divergence.

    def has_diverged(self, may_wait: bool) -> bool:
        """Whether a loss was not finite, which the sum of all keeps."""
        return not math.isfinite(self._sums["loss"])

    def is_finite(self) -> bool:
        """Whether all weights and running statistics are finite."""
        return all(bool(np.isfinite(one.numpy()).all()) for one in self.detector.model.variables)

    def counts(self, value: float) -> bool:
        """A detector that finds nothing yet has an average precision of 0, which is no best."""
        return math.isfinite(value) and (value > 0 or self.settings.best_name == "loss")

    # Validation.

    def evaluate(self) -> Evaluation:
        """Measure the detector as it stands on the validation images."""
        return evaluate(
            self.detector,
            self.loader,
            self.data.val,
            self.settings.batch_size.val,
            self.data.titles,
            lambda done, total: self.report("Validation", done, total),
        )

    def validation_metrics(self) -> dict[str, float]:
        """The loss and COCO's scores of the validation images."""
        return with_undefined(self.evaluate().metrics(), FIRST)
