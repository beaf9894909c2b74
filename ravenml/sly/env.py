"""GPUs as a plugin's config names them."""

from __future__ import annotations

import os
from collections.abc import Sequence


def remap_gpu_devices(in_device_ids: Sequence[int]) -> list[int]:
    """Show the program only these GPUs; their new numbers, counted from 0."""
    os.environ["CUDA_VISIBLE_DEVICES"] = ",".join(map(str, in_device_ids))
    return list(range(len(in_device_ids)))
