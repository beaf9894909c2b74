"""The loop of a training: epochs, steps, validations, the best weights, checkpoints, a guard against NaN.

A plugin's loop is a subclass that says what its framework does: the batches of an epoch, a step, a
measurement, and what its state is.  It resumes exactly: each step is a function of the settings, the weights
and its own number (``seeding.py``, ``hyperparameters.learning_rate``).

No weights that are not finite are ever written: a training that diverges ends at once, with a sentence, and
its best checkpoint stays.
"""

from __future__ import annotations

import math
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Generic, TypeVar

from ravenml.errors import RavenError
from ravenml.runs.run import Run
from ravenml.toolkit.checkpoints import Best, CheckpointWriter, Position, best_name, checkpoint_label
from ravenml.toolkit.hyperparameters import LoopSettings, learning_rate

REPORT_SECONDS = 0.2  # the shortest time between two progress events of one kind
CHECKPOINT_SECONDS = 15.0  # likewise between two checkpoints, where nobody says how often they are wanted

Batch = TypeVar("Batch")
Network = TypeVar("Network")
State = TypeVar("State", bound=Position)


class TrainingLoop(ABC, Generic[Network, State, Batch]):
    """Trains one network; :meth:`fit` may be called once.

    Attributes:
        best: the best validated moment so far.
        epoch: how many epochs are complete.
        batch: how many steps of the running epoch are done.
        step: how many steps are done in all.
        steps_per_epoch: how many an epoch has.

    Args:
        run: where it is recorded.
        settings: the training's.
        fold: the number of the fold, or None.
        network: what is trained, as the writer of checkpoints takes it.
        images: how many images an epoch has.
        keeper: writes the checkpoints.
        after_epoch: called with the number of epochs done.
    """

    def __init__(
        self,
        run: Run,
        settings: LoopSettings,
        fold: int | None,
        network: Network,
        images: int,
        keeper: CheckpointWriter[Network, Any, State],
        after_epoch: Callable[[int], None] = lambda epoch: None,
    ) -> None:
        self.run, self.settings, self.fold = run, settings, fold
        self.network, self.images, self.keeper, self.after_epoch = network, images, keeper, after_epoch
        self.steps_per_epoch = math.ceil(images / settings.batch_size.train)
        self.best: Best | None = None
        self.epoch = self.batch = self.step = 0
        self._reported: dict[str, float] = {}
        self._saved = time.monotonic()

    # What a plugin says.

    @abstractmethod
    def batches(self) -> Iterator[Batch]:
        """The batches of the running epoch that are left, from ``self.batch`` on."""

    @abstractmethod
    def learn(self, batch: Batch) -> None:
        """Do one step, and add its loss to the sums."""

    @abstractmethod
    def clear_sums(self) -> None:
        """Forget what an epoch's training metrics are summed up from."""

    @abstractmethod
    def has_diverged(self, may_wait: bool) -> bool:
        """Whether the loss of a step of this epoch was not finite.

        Args:
            may_wait: whether looking may make a device wait; it is so about five times a second.
        """

    @abstractmethod
    def recent_loss(self) -> float:
        """The mean loss since it was last asked for."""

    @abstractmethod
    def training_metrics(self) -> Mapping[str, float]:
        """The metrics of the epoch whose last step is done."""

    @abstractmethod
    def validation_metrics(self) -> Mapping[str, float]:
        """Measure the network as it stands; the first metrics are the first ones shown."""

    @abstractmethod
    def is_finite(self) -> bool:
        """Whether all of the network's weights are finite."""

    @abstractmethod
    def state(self, weights: str) -> State:
        """What resuming needs beyond the weights, which are in the file of that name."""

    @property
    def advice(self) -> str:
        """What to do about a training that diverges."""
        return f"train with a smaller --lr than {self.settings.lr:g}"

    def any(self, mine: bool) -> bool:
        """Whether it is so in any of the processes that train together."""
        return mine

    def counts(self, value: float) -> bool:
        """Whether a value of the deciding metric can be a best."""
        return math.isfinite(value)

    # What all share.

    @property
    def epochs_done(self) -> float:
        """With the fraction of the running one."""
        return self.step / self.steps_per_epoch

    @property
    def lr(self) -> float:
        """The learning rate of the step that comes next."""
        return learning_rate(self.settings, self.step, self.steps_per_epoch)

    def resume_at(self, state: State) -> None:
        """Stand where a state stood whose weights are loaded."""
        self.epoch, self.batch, self.step = state.epoch, state.batch, state.step
        self.best = Best(**state.best) if state.best else None
        self.run.resumed(self.step, self.epochs_done)
        # Once more: the kill may have come between the files and what was to follow them.
        self.keeper.announce(self.keeper.folder / state.weights, state, self.epochs_done)

    def fit(self) -> bool:
        """Train up to the last epoch.

        Returns:
            False where the run was asked to stop before; what resuming needs is saved then.

        Raises:
            RavenError: the loss, or a weight, is not finite.
        """
        epochs, settings, suffix = self.settings.epochs, self.settings, self.keeper.suffix
        self.run.progress("Epoch", self.epoch, epochs)
        while self.epoch < epochs:
            if not self._train_epoch():
                self._save(f"model_{checkpoint_label(self.epoch, self.batch)}_last{suffix}")
                return False
            self.epoch, self.batch = self.epoch + 1, 0
            self.clear_sums()
            if self.epoch == epochs and settings.save_last:
                self._save(f"model_{self.epoch:03d}_last{suffix}")
            elif self._checkpoint_is_due():
                self._save(f"model_{self.epoch:03d}{suffix}")
            self.run.progress("Epoch", self.epoch, epochs)
            self.after_epoch(self.epoch)
        return True

    def report(self, subtask: str, done: int, total: int, **extra: Any) -> bool:
        """Tell about progress, but not more often than a person can read; the end always.

        Returns:
            Whether it was told.
        """
        now = time.monotonic()
        if done != total and now - self._reported.get(subtask, -math.inf) < REPORT_SECONDS:
            return False
        self._reported[subtask] = now
        self.run.progress(subtask, done, total, **extra)
        return True

    def _train_epoch(self) -> bool:
        """Do the steps of the running epoch that are left, and its validations; False to stop."""
        size, period = self.settings.batch_size.train, self.settings.metrics_period
        for batch in self.batches():
            if self.any(self.run.should_stop()):
                return False
            rate = self.lr
            self.learn(batch)
            self.batch, self.step = self.batch + 1, self.step + 1
            told = self.report(
                "Iteration", self.batch, self.steps_per_epoch, images=min(self.batch * size, self.images)
            )
            if self.has_diverged(may_wait=told):
                raise RavenError(f"The loss is not finite at step {self.step} {self._moment}; {self.advice}.")
            if self.batch == self.steps_per_epoch:
                metrics = self.training_metrics()
                self.run.metrics("train", self.epochs_done, {**metrics, "lr": rate}, step=self.step)
            elif period and self.batch % period == 0:
                metrics = {"loss": self.recent_loss(), "lr": rate}
                self.run.metrics("train", self.epochs_done, metrics, step=self.step)
            if self._validation_is_due():
                self._validate()
        return True

    def _check_weights(self) -> None:
        if not self.is_finite():
            raise RavenError(
                f"The weights are not finite after step {self.step} {self._moment}; {self.advice}."
            )

    @property
    def _moment(self) -> str:
        return f"(epoch {math.ceil(self.epochs_done)} of {self.settings.epochs})"

    def _validation_is_due(self) -> bool:
        interval = max(self.settings.val_every * self.steps_per_epoch, 1.0)
        passed = math.floor(self.step / interval + 1e-9) > math.floor((self.step - 1) / interval + 1e-9)
        return passed or self.step == self.settings.epochs * self.steps_per_epoch

    def _validate(self) -> None:
        self._check_weights()
        metrics = self.validation_metrics()
        self.run.metrics("val", self.epochs_done, dict(metrics), step=self.step)
        value = metrics.get(self.settings.best_name)
        if not self.settings.save_best or value is None or not self.counts(value):
            return
        if self.best is not None and not self.settings.better(value, self.best.value):
            return
        name = best_name(self.epochs_done, self.keeper.suffix)
        self.best = Best(value, self.epochs_done, name)
        metric = {f"val/{self.settings.best_name}": value}
        self.keeper.keep_best(self.network, name, self.step, self.epochs_done, metric)

    def _checkpoint_is_due(self) -> bool:
        """Whether what resuming needs is saved after this epoch.

        Where epochs take seconds, a checkpoint after each would take a good part of the training's time.
        """
        if self.settings.checkpoint_every is not None:
            return self.epoch % self.settings.checkpoint_every == 0
        return self.any(time.monotonic() - self._saved >= CHECKPOINT_SECONDS)

    def _save(self, weights: str) -> None:
        self._saved = time.monotonic()
        self._check_weights()
        self.keeper.keep_position(self.network, weights, self.state(weights), self.epochs_done)
