"""Training a network for segmentation, of which a plugin says no more than the network and the loss."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from copy import deepcopy
from typing import Any

from ravenml.sly.class_indexing import TRANSFER_LEARNING
from ravenml.sly.constants import (
    BATCH_SIZE,
    DATASET_TAGS,
    EPOCHS,
    HEIGHT,
    INPUT_SIZE,
    LOSS,
    LR,
    TRAIN,
    VAL,
    VAL_EVERY,
    WEIGHTS_INIT_TYPE,
    WIDTH,
)
from ravenml.sly.eval_planner import EvalPlanner
from ravenml.sly.paths import TaskPaths, dir_empty
from ravenml.sly.progress import Progress, epoch_float, report_metrics_training, report_metrics_validation
from ravenml.sly.pytorch.constants import CUSTOM_MODEL_CONFIG, HEAD_LAYER
from ravenml.sly.pytorch.cuda import cuda_variable
from ravenml.sly.pytorch.dataset import PytorchSegmentationSlyDataset
from ravenml.sly.pytorch.weights import WeightsRW
from ravenml.sly.samples import ensure_samples_nonempty
from ravenml.sly.sly_logger import logger
from ravenml.sly.trainer import SuperviselyModelTrainer
from ravenml.utils.plugins import lazy_import

torch = lazy_import("torch", "pip install torch")
torch_data = lazy_import("torch.utils.data", "pip install torch")

Measure = Callable[[Any, Any], Any]  # of the network's output and the true indices


class PytorchSegmentationTrainer(SuperviselyModelTrainer):
    """Trains with Adam; each validation ends with a checkpoint.  Every pixel must belong to a class.

    Args:
        model_factory_fn: makes the network from ``num_classes``, ``input_size`` (height, width) and
            ``custom_model_config``.  The network maps float ``(N, 3, H, W)`` in 0 … 1 to scores
            ``(N, classes, H, W)``.
        optimization_loss_fn: of scores and int64 indices ``(N, H, W)``.
        training_metrics_dict: more to report, by name.
        default_model_config: ``custom_model_config`` where the task has none.

    Raises:
        ValueError: a metric is called ``loss``.
    """

    def __init__(
        self,
        model_factory_fn: Callable[..., Any],
        optimization_loss_fn: Measure,
        training_metrics_dict: Mapping[str, Measure] | None = None,
        default_model_config: Mapping[str, Any] | None = None,
    ) -> None:
        self._model_factory_fn, self._loss = model_factory_fn, optimization_loss_fn
        self._metrics = dict(training_metrics_dict or {})
        if LOSS in self._metrics:
            raise ValueError(f"A metric may not be called {LOSS!r}, which is what the loss is reported as.")
        defaults = self.get_default_config()
        defaults[CUSTOM_MODEL_CONFIG] |= deepcopy(dict(default_model_config or {}))
        super().__init__(defaults)

    @staticmethod
    def get_default_config() -> dict[str, Any]:
        """What ``task_config.json`` is laid over."""
        return {
            INPUT_SIZE: {WIDTH: 256, HEIGHT: 256},
            DATASET_TAGS: {TRAIN: "train", VAL: "val"},
            BATCH_SIZE: {TRAIN: 1, VAL: 1},
            EPOCHS: 2,
            VAL_EVERY: 0.5,
            LR: 0.001,
            WEIGHTS_INIT_TYPE: TRANSFER_LEARNING,
            CUSTOM_MODEL_CONFIG: {},
        }

    def get_start_class_id(self) -> int:
        """Indices begin at 0."""
        return 0

    def _determine_model_classes(self) -> None:
        self._determine_model_classes_segmentation(bkg_input_idx=-1)

    def _construct_data_loaders(self) -> None:
        self._loaders = {}
        for purpose in (TRAIN, VAL):
            samples, tag = self._samples_by_data_purpose[purpose], self.config[DATASET_TAGS][purpose]
            ensure_samples_nonempty(samples, tag, self.project.meta)
            size = self.config[INPUT_SIZE]
            known = PytorchSegmentationSlyDataset(
                self.project.meta, samples, (size[HEIGHT], size[WIDTH]), self.class_title_to_idx, -1
            )
            learns = purpose == TRAIN
            count = self.config[BATCH_SIZE][purpose]
            # An odd batch at the end would be noisy; where there is no other, it is better than none.
            self._loaders[purpose] = torch_data.DataLoader(
                known, count, shuffle=learns, drop_last=learns and len(samples) >= count
            )

    def _construct_and_fill_model(self) -> None:
        progress = Progress("Building model:", 1)
        model = self._model_factory_fn(
            num_classes=max(self.class_title_to_idx.values()) + 1,
            input_size=self._input_size,
            custom_model_config=self.config[CUSTOM_MODEL_CONFIG],
        )
        if not dir_empty(TaskPaths.MODEL_DIR):
            kept = WeightsRW(TaskPaths.MODEL_DIR)
            if self.config[WEIGHTS_INIT_TYPE] == TRANSFER_LEARNING:
                kept.load_for_transfer_learning(model, [HEAD_LAYER], logger)
            else:
                kept.load_strictly(model)
        self._model = cuda_variable(model)
        progress.iter_done_report()

    def _construct_loss(self) -> None:
        """Both were given."""

    def _dump_model_weights(self, out_dir: str) -> None:
        WeightsRW(out_dir).save(self._model)

    def _validation(self) -> dict[str, float]:
        self._model.eval()
        sums, count = dict.fromkeys([LOSS, *self._metrics], 0.0), 0
        with torch.no_grad():
            for images, indices in self._loaders[VAL]:
                for name, value in self._measure(*self._output(images, indices)).items():
                    sums[name] += value * len(images)
                count += len(images)
        means = {name: value / count for name, value in sums.items()}
        report_metrics_validation(self.epoch_flt, means)
        return means

    def train(self) -> None:
        """Train; the best checkpoint is the one with the smallest loss on the validation's images."""
        batches, epochs = self._loaders[TRAIN], self.config[EPOCHS]
        progress = Progress("Model training: ", epochs * len(batches))
        optimizer = torch.optim.Adam(self._model.parameters(), lr=self.config[LR])
        planner = EvalPlanner(epochs=epochs, val_every=self.config[VAL_EVERY])
        best = float("inf")
        for epoch in range(epochs):
            for number, (images, indices) in enumerate(batches, start=1):
                self._model.train()
                output, target = self._output(images, indices)
                loss = self._loss(output, target)
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                progress.iter_done_report()
                self.epoch_flt = epoch_float(epoch, number, len(batches))
                report_metrics_training(self.epoch_flt, self._measure(output, target, loss))
                if planner.need_validation(self.epoch_flt):
                    found = self._validation()
                    planner.validation_performed()
                    told = {"epoch": self.epoch_flt, "val_metrics": found}
                    self._save_model_snapshot(found[LOSS] < best, opt_data=told)
                    best = min(best, found[LOSS])

    def _output(self, images: Any, indices: Any) -> tuple[Any, Any]:
        """The network's output for a batch, and what it should be."""
        if int(indices.min()) < 0:
            raise ValueError(
                "An image has pixels that belong to no class; draw them as one, which the loss may ignore."
            )
        return self._model(cuda_variable(images)), cuda_variable(indices)

    def _measure(self, output: Any, target: Any, loss: Any = None) -> dict[str, float]:
        loss = self._loss(output, target) if loss is None else loss
        with torch.no_grad():
            more = {name: float(measure(output, target)) for name, measure in self._metrics.items()}
        return {LOSS: float(loss.detach()), **more}
