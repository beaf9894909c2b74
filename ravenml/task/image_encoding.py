"""Arrays as pictures."""

from __future__ import annotations

import io
from typing import Any

from ravenml.errors import InputError


def encode_image(image: Any, place: str) -> bytes:
    """A picture as PNG.

    Args:
        image: ``(H, W)``, ``(H, W, 1)``, ``(H, W, 3)`` RGB or ``(H, W, 4)`` RGBA, uint8 0…255, float 0…1 (or
            0…255) or bool; a PIL image; a tensor on the CPU.
        place: what the sentence begins with.

    Raises:
        InputError: it has another shape.
    """
    if hasattr(image, "save") and hasattr(image, "convert"):
        buffer = io.BytesIO()
        image.save(buffer, format="PNG")
        return buffer.getvalue()
    import cv2
    import numpy as np

    array = np.asarray(image.detach().cpu() if hasattr(image, "detach") else image)
    if array.dtype == bool:
        array = array.astype(np.uint8) * 255
    elif np.issubdtype(array.dtype, np.floating):
        array = np.nan_to_num(array)
        array = np.clip(array * 255 if array.size and array.max() <= 1 else array, 0, 255).astype(np.uint8)
    array = np.clip(array, 0, 255).astype(np.uint8)
    codes = {1: None, 3: cv2.COLOR_RGB2BGR, 4: cv2.COLOR_RGBA2BGRA}
    channels = array.shape[2] if array.ndim == 3 else 1
    if array.ndim not in (2, 3) or not array.size or channels not in codes:
        raise InputError(
            f"{place} has the shape {array.shape}; a picture has (H, W), (H, W, 1), (H, W, 3) or (H, W, 4)."
        )
    code = codes[channels]
    ready = np.ascontiguousarray(array)
    return bytes(cv2.imencode(".png", ready if code is None else cv2.cvtColor(ready, code))[1].tobytes())
