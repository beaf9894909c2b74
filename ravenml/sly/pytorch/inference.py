"""Running a network on one image."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ravenml.sly import image as images
from ravenml.sly.pytorch.cuda import cuda_variable
from ravenml.utils.plugins import lazy_import

torch = lazy_import("torch", "pip install torch")


def infer_per_pixel_scores_single_image(
    model: Any, raw_input: Any, out_shape: Sequence[int], apply_softmax: bool = True
) -> np.ndarray:
    """A network's scores for every pixel, float32 ``(height, width, classes)``.

    Args:
        model: maps ``(1, 3, H, W)`` to ``(1, classes, h, w)``.
        raw_input: the image as the network wants it, a tensor ``(3, H, W)``.
        out_shape: (height, width) of the result, which is scaled to it bilinearly.
        apply_softmax: whether the network gives logits, of which probabilities are made.
    """
    with torch.no_grad():
        scores = model(cuda_variable(raw_input[None]))
        scores = scores.softmax(dim=1) if apply_softmax else scores
    there = np.ascontiguousarray(scores[0].permute(1, 2, 0).cpu().numpy())
    height, width = out_shape[:2]
    return images.resize(there, (height, width)).reshape(height, width, -1)
