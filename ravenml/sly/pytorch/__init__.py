"""For plugins on PyTorch: the parts of Supervisely's SDK that are made for it.

PyTorch is the plugin's own, and is imported when one of these is used.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import numpy as np

from ravenml.common.io import JsonObject
from ravenml.common.reading import open_file
from ravenml.sly import image as images
from ravenml.sly.annotation import Annotation
from ravenml.sly.class_indexing import TRANSFER_LEARNING
from ravenml.sly.configs import (
    BATCH_SIZE,
    DATASET_TAGS,
    EPOCHS,
    HEIGHT,
    INPUT_SIZE,
    LOSS,
    LR,
    SETTINGS,
    TRAIN,
    VAL,
    VAL_EVERY,
    WEIGHTS_INIT_TYPE,
    WIDTH,
)
from ravenml.sly.fs import dir_empty
from ravenml.sly.inference import (
    SingleImageInferenceBase,
    segmentation_array_to_sly_bitmaps,
    segmentation_scores_to_per_class_labels,
)
from ravenml.sly.paths import TaskPaths
from ravenml.sly.reporting import (
    Progress,
    epoch_float,
    logger,
    report_metrics_training,
    report_metrics_validation,
)
from ravenml.sly.samples import SlyDataset, ensure_samples_nonempty
from ravenml.sly.trainer import EvalPlanner, SuperviselyModelTrainer
from ravenml.utils.plugins import lazy_import

CUSTOM_MODEL_CONFIG = "custom_model_config"  # in a config: what the network's factory is given
HEAD_LAYER = "_head_layer"  # how the names of layers that know the classes begin

torch = lazy_import("torch", "pip install torch")
torch_data = lazy_import("torch.utils.data", "pip install torch")
Tensor = Any  # a torch.Tensor; the core does not know PyTorch
Module = Any  # a torch.nn.Module
Measure = Callable[[Tensor, Tensor], Tensor]  # of the network's output and the true indices


def cuda_variable(x: Tensor, volatile: bool = False) -> Tensor:
    """A tensor, or a network, on the GPU; as it is where there is none.

    Args:
        x: what has ``cuda()``.
        volatile: ignored, as PyTorch does since 0.4; ``torch.no_grad()`` leaves gradients out.
    """
    return x.cuda() if torch.cuda.is_available() else x


def image_tensor(image: np.ndarray) -> Tensor:
    """An image, uint8 RGB ``(height, width, 3)``, as float32 ``(3, height, width)`` in 0 … 1."""
    return torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1))).float().div(255)


class PytorchSegmentationSlyDataset(SlyDataset):
    """Samples for a ``DataLoader``: an image as `image_tensor` makes it, and its class indices, int64."""

    def _get_sample_impl(self, img_fpath: str, ann_fpath: str) -> tuple[Tensor, Tensor]:
        image, indices = super()._get_sample_impl(img_fpath, ann_fpath)
        return image_tensor(image), indices


class WeightsRW:
    """Reads and writes the weights of a ``torch.nn.Module`` as a state dict.

    Args:
        model_dir: the folder.
        model_file: the file's name in it.
    """

    def __init__(self, model_dir: str, model_file: str | None = None) -> None:
        self._path = os.path.join(model_dir, model_file or "model.pt")

    def save(self, model: Module) -> None:
        """Write the network's weights."""
        torch.save(model.state_dict(), self._path)

    def load_strictly(self, model: Module) -> Module:
        """Give the network the file's weights, which must be its own, name by name; the network.

        Raises:
            KeyError: the file has others, or lacks some.
            RuntimeError: one has another shape, or the file holds more than weights.
        """
        stored, wanted = self._read(), model.state_dict()
        for names, what in (
            (stored.keys() - wanted.keys(), "has weights that the network does not have"),
            (wanted.keys() - stored.keys(), "lacks weights that the network has"),
        ):
            if names:
                raise KeyError(f"{self._path} {what}: {', '.join(sorted(names))}")
        return self._copy_weights(stored, model)

    def load_for_transfer_learning(
        self,
        model: Module,
        ignore_matching_layers: Sequence[str] | None = None,
        logger: logging.Logger | None = None,
    ) -> Module:
        """Give the network those of the file's weights whose names it has; the network.

        Args:
            model: the network.
            ignore_matching_layers: weights whose names contain one of these, such as a head's, start from
                scratch.
            logger: logs which ones those are.

        Raises:
            RuntimeError: one that is not ignored has another shape, or the file holds more than weights.
        """
        stored = self._read()
        fresh = {name for name in stored for part in ignore_matching_layers or () if part in name}
        if fresh and logger is not None:
            logger.info("Layers that start from scratch.", extra={"layer_names": sorted(fresh)})
        return self._copy_weights({name: stored[name] for name in stored.keys() - fresh}, model)

    def _read(self) -> Mapping[str, Tensor]:
        open_file(Path(self._path)).close()  # PyTorch would wait for a named pipe
        try:
            found = torch.load(self._path, map_location="cpu", weights_only=True)
        except UnpicklingError as error:
            raise RuntimeError(f"{self._path} holds more than weights, and is not read: {error}") from None
        if not isinstance(found, Mapping):
            raise RuntimeError(f"{self._path} is not a state dict.")
        return found

    def _copy_weights(self, weights: Mapping[str, Tensor], model: Module) -> Module:
        target = model.state_dict()
        with torch.no_grad():
            for name in sorted(weights.keys() & target.keys()):
                current, given = target[name], weights[name]
                if current.shape != given.shape:
                    raise RuntimeError(
                        f"{name} has the shape {tuple(given.shape)} in {self._path}, and "
                        f"{tuple(current.shape)} in the network."
                    )
                current.copy_(given)
        return model


class MultiClassAccuracy:
    """The share of the pixels (or other elements) whose likeliest class is the right one.

    Args:
        ignore_index: elements that truly have this index do not count; those without any give 0.
        squeeze_targets: ignored: a channel that targets have, ``(N, 1, …)``, is always removed.
    """

    def __init__(self, ignore_index: int | None = None, squeeze_targets: bool = True) -> None:
        self._ignore_index = ignore_index

    def __call__(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """The share, a tensor with one number.

        Args:
            outputs: a tensor with scores of the classes, ``(N, C, …)``.
            targets: a tensor with the classes' indices, ``(N, …)`` or ``(N, 1, …)``.
        """
        if targets.dim() == outputs.dim():
            targets = targets.squeeze(1)
        right = outputs.detach().argmax(dim=1) == targets
        if self._ignore_index is None:
            return right.float().mean()
        counted = targets != self._ignore_index
        return (right & counted).float().sum() / counted.float().sum().clamp(min=1)


def infer_per_pixel_scores_single_image(
    model: Module, raw_input: Tensor, out_shape: Sequence[int], apply_softmax: bool = True
) -> np.ndarray:
    """A network's scores for every pixel, float32 ``(height, width, classes)``.

    Args:
        model: maps ``(1, 3, H, W)`` to ``(1, classes, h, w)``.
        raw_input: the image as the network wants it, a tensor ``(3, H, W)``.
        out_shape: (height, width) of the result, which is scaled to it bicubically.
        apply_softmax: whether the network gives logits, of which probabilities are made.
    """
    with torch.no_grad():
        scores = model(cuda_variable(raw_input[None]))
        scores = scores.softmax(dim=1) if apply_softmax else scores
    array = np.ascontiguousarray(scores[0].permute(1, 2, 0).cpu().numpy())
    height, width = out_shape[:2]
    return images.resize(array, (height, width)).reshape(height, width, -1)


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
        model_factory_fn: Callable[..., Module],
        optimization_loss_fn: Measure,
        training_metrics_dict: Mapping[str, Measure] | None = None,
        default_model_config: Mapping[str, object] | None = None,
    ) -> None:
        self._model_factory_fn, self._loss = model_factory_fn, optimization_loss_fn
        self._metrics = dict(training_metrics_dict or {})
        if LOSS in self._metrics:
            raise ValueError(f"A metric may not be called {LOSS!r}, which is what the loss is reported as.")
        defaults = self.get_default_config()
        defaults[CUSTOM_MODEL_CONFIG] |= deepcopy(dict(default_model_config or {}))
        super().__init__(defaults)

    @staticmethod
    def get_default_config() -> JsonObject:
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
            for batch, indices in self._loaders[VAL]:
                for name, value in self._measure(*self._output(batch, indices)).items():
                    sums[name] += value * len(batch)
                count += len(batch)
        means = {name: value / count for name, value in sums.items()}
        report_metrics_validation(self.epoch_flt, means)
        return means

    def train(self) -> None:
        """Train; the best checkpoint is the one with the smallest loss in a validation."""
        batches, epochs = self._loaders[TRAIN], self.config[EPOCHS]
        progress = Progress("Model training: ", epochs * len(batches))
        optimizer = torch.optim.Adam(self._model.parameters(), lr=self.config[LR])
        planner = EvalPlanner(epochs=epochs, val_every=self.config[VAL_EVERY])
        best = float("inf")
        for epoch in range(epochs):
            for number, (batch, indices) in enumerate(batches, start=1):
                self._model.train()
                output, target = self._output(batch, indices)
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
                    data = {"epoch": self.epoch_flt, "val_metrics": found}
                    self._save_model_snapshot(found[LOSS] < best, opt_data=data)
                    best = min(best, found[LOSS])

    def _output(self, batch: Tensor, indices: Tensor) -> tuple[Tensor, Tensor]:
        """The network's output for a batch, and what it should be."""
        if int(indices.min()) < 0:
            raise ValueError(
                "An image has pixels that belong to no class; draw them as one, which the loss may ignore."
            )
        return self._model(cuda_variable(batch)), cuda_variable(indices)

    def _measure(self, output: Tensor, target: Tensor, loss: Tensor | None = None) -> dict[str, float]:
        loss = self._loss(output, target) if loss is None else loss
        with torch.no_grad():
            more = {name: float(measure(output, target)) for name, measure in self._metrics.items()}
        return {LOSS: float(loss.detach()), **more}


class PytorchSegmentationApplier(SingleImageInferenceBase):
    """A network for segmentation, run on images that are scaled to the size that it was trained with.

    Args:
        model_factory_fn: as for the training.
    """

    def __init__(self, model_factory_fn: Callable[..., Module]) -> None:
        self._model_factory_fn = model_factory_fn
        super().__init__()

    def _load_train_config(self) -> None:
        super()._load_train_config()
        self._determine_model_input_size()

    def _construct_and_fill_model(self) -> None:
        super()._construct_and_fill_model()
        model = self._model_factory_fn(
            num_classes=max(self.out_class_mapping) + 1,
            input_size=self.input_size,
            custom_model_config=self.train_config[SETTINGS].get(CUSTOM_MODEL_CONFIG, {}),
        )
        WeightsRW(TaskPaths.MODEL_DIR).load_strictly(model)
        self._model = cuda_variable(model.eval())

    def inference(self, image: np.ndarray, ann: Annotation) -> Annotation:
        """Annotate one image, uint8 RGB (height, width, 3); sliding windows blend the probabilities."""
        tensor = image_tensor(images.resize(image, self.input_size))
        scores = infer_per_pixel_scores_single_image(self._model, tensor, image.shape[:2])
        labels = segmentation_array_to_sly_bitmaps(self.out_class_mapping, scores.argmax(axis=2))
        pixelwise = segmentation_scores_to_per_class_labels(self.out_class_mapping, scores)
        return Annotation(image.shape[:2], labels=labels, pixelwise_scores_labels=pixelwise)
