"""A project's samples as tensors."""

from __future__ import annotations

from typing import Any

import numpy as np

from ravenml.sly.samples import SlyDataset
from ravenml.utils.plugins import lazy_import

torch = lazy_import("torch", "pip install torch")


def image_tensor(image: np.ndarray) -> Any:
    """An image, uint8 RGB ``(height, width, 3)``, as float32 ``(3, height, width)`` in 0 … 1."""
    return torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1))).float().div(255)


class PytorchSegmentationSlyDataset(SlyDataset):
    """Samples for a ``DataLoader``: an image as `image_tensor` makes it, and its class indices, int64."""

    def _get_sample_impl(self, img_fpath: str, ann_fpath: str) -> tuple[Any, Any]:
        image, indices = super()._get_sample_impl(img_fpath, ann_fpath)
        return image_tensor(image), indices
