"""Running a network that `PytorchSegmentationTrainer` has trained."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ravenml.sly import image as images
from ravenml.sly.annotation import Annotation
from ravenml.sly.constants import SETTINGS
from ravenml.sly.inference_single_image import SingleImageInferenceBase
from ravenml.sly.paths import TaskPaths
from ravenml.sly.pytorch.constants import CUSTOM_MODEL_CONFIG
from ravenml.sly.pytorch.cuda import cuda_variable
from ravenml.sly.pytorch.dataset import image_tensor
from ravenml.sly.pytorch.inference import infer_per_pixel_scores_single_image
from ravenml.sly.pytorch.weights import WeightsRW
from ravenml.sly.raw_to_labels import (
    segmentation_array_to_sly_bitmaps,
    segmentation_scores_to_per_class_labels,
)


class PytorchSegmentationApplier(SingleImageInferenceBase):
    """A network for segmentation, run on images that are scaled to the size that it was trained with.

    Args:
        model_factory_fn: as for the training.
    """

    def __init__(self, model_factory_fn: Callable[..., Any]) -> None:
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
