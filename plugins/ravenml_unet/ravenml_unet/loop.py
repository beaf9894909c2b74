"""What the U-Net does in the toolkit's training loop: batches, steps, sums and measuring."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from lightning_fabric import Fabric
from torch import nn

from ravenml.infer.metrics import MEANS, segmentation_metrics, with_undefined
from ravenml.runs.run import Run
from ravenml.toolkit import loop
from ravenml.toolkit.seeding import AUGMENTATION, STEP, derived_seed, epoch_order
from ravenml_unet.autotune import FORMATS, Execution
from ravenml_unet.checkpoints import State, TorchCheckpointWriter
from ravenml_unet.compiling import compile_network, explain_failures
from ravenml_unet.confusion import confusion_per_image
from ravenml_unet.data import Batch, ImagesAndLabels, Loader, ResizedSamples, split_batches
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


class TrainingLoop(loop.TrainingLoop[nn.Module, State, tuple[Batch, float]]):
    """Trains one network, perhaps in several processes, each of which learns from its part of every batch.

    Attributes:
        model: the network, without Fabric's wrapping.
    """

    settings: UNetSettings

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
        super().__init__(run, settings, fold, model, len(data.train), keeper, after_epoch)
        self.fabric, self.execution = fabric, execution
        self.data, self.loader, self.identity = data, loader, identity
        self.augmenter, self.loss, self.own_metrics = augmenter, loss, own_metrics
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
        self.clear_sums()

    # Going on.

    def restore(self, state: State) -> None:
        """Stand where ``state`` stood."""
        load_weights(self.model, self.keeper.folder / state.weights, self.settings.model)
        self._optimizer.load_state_dict(state.optimizer)
        self.fabric.strategy.precision.load_state_dict(state.precision)
        if self.team.rank == 0:  # the others' are in it
            self._sums |= {name: value.to(self.fabric.device) for name, value in state.sums.items()}
        self.resume_at(state)

    def state(self, weights: str) -> State:
        """Where the training stands."""
        sums = {name: value.clone() for name, value in self._sums.items()}
        self.team.add(sums.values())
        return State(
            epoch=self.epoch,
            batch=self.batch,
            step=self.step,
            weights=weights,
            optimizer=self._optimizer.state_dict(),
            precision=self.fabric.strategy.precision.state_dict(),
            sums={name: value.cpu() for name, value in sums.items()},
            identity=self.identity,
            machine=self.machine(),
            best=asdict(self.best) if self.best else None,
        )

    def any(self, mine: bool) -> bool:
        """Whether it is so in any process."""
        return self.team.any(mine)

    # Training.

    def fit(self) -> bool:
        """See the toolkit's."""
        self.wrapped.train()
        return super().fit()

    def batches(self) -> Iterator[tuple[Batch, float]]:
        """This process's part of every batch, and what its mean loss is weighted by."""
        size = self.settings.batch_size.train
        order = epoch_order(len(self.data.train), self.settings.seed, self.fold, self.epoch)
        left = split_batches(order[self.batch * size :], size)
        # A process for which the last batch has no image does the step with one that does not count.
        mine = [part if len(part := self.team.part(whole)) else whole[:1] for whole in left]
        for whole, batch in zip(left, self.loader.batches(self.data.train, mine), strict=True):
            yield batch, self.team.weight(whole)

    def learn(self, batch: tuple[Batch, float]) -> None:
        """Do one step."""
        part, weight = batch
        with explain_failures() if self.execution.compiled else nullcontext():
            self._train_step(part.images, part.labels, weight)

    def _train_step(self, images: torch.Tensor, labels: torch.Tensor, weight: float) -> None:
        # Whatever draws random numbers in a step (dropout, say) draws this step's, come what may.
        position = (self.epoch, self.batch, *self.team.seed)
        its = derived_seed(self.settings.seed, self.fold, STEP, *position)
        seed_generators(its, self.fabric.device)
        for group in self._optimizer.param_groups:
            group["lr"] = self.lr
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

    # Sums.

    def clear_sums(self) -> None:
        """Begin an epoch's sums."""
        classes, device = len(self.data.titles), self.fabric.device
        # MPS has no float64; float32 is enough for the mean of an epoch's losses.
        self._sums = {
            "loss": torch.zeros((), dtype=torch.float32, device=device),
            "recent": torch.zeros(2, dtype=torch.float32, device=device),
            "confusion": torch.zeros((classes, classes), dtype=torch.int64, device=device),
        }

    def recent_loss(self) -> float:
        """The mean loss since it was last asked for."""
        self.team.add([self._sums["recent"]])
        loss, images = self._sums["recent"].tolist()
        self._sums["recent"].zero_()
        return float(loss / images)

    def training_metrics(self) -> dict[str, float]:
        """The epoch's mean loss, and the scores of its predictions."""
        self.team.add([self._sums["loss"], self._sums["confusion"]])
        loss = float(self._sums["loss"]) / len(self.data.train)
        scores = segmentation_metrics(self._sums["confusion"].cpu().numpy(), self.data.titles)
        return {"loss": loss, **scores}

    # Divergence.

    def has_diverged(self, may_wait: bool) -> bool:
        """Whether a loss was not finite, which the sum of all keeps; a team looks at the end of an epoch."""
        if self.team.count > 1:
            looks = self.batch == self.steps_per_epoch
        else:
            looks = may_wait or self.fabric.device.type == "cpu"
        return looks and self.any(not math.isfinite(float(self._sums["loss"])))

    def is_finite(self) -> bool:
        """Whether all weights and running statistics are finite, in every process."""
        self.team.agree(self.model)
        tensors = (value for value in self.model.state_dict().values() if value.is_floating_point())
        return not self.any(not all(bool(torch.isfinite(one).all()) for one in tensors))

    @property
    def advice(self) -> str:
        """What to do about a training that diverges."""
        return f"{super().advice}, or with --precision 32"

    # Validation.

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
            lambda done, total: self.report("Validation", done, total),
            originals,
            self.team if self.team.count > 1 else None,
        )

    def validation_metrics(self) -> dict[str, float]:
        """The loss and the scores of the validation images."""
        return with_undefined(self.evaluate().metrics(), MEANS)

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
