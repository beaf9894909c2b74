"""A graph that is small enough to be checked by hand: how red is a pixel?"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

onnx = pytest.importorskip("onnx", reason="the extra ravenml[engines] is not installed")

ABOUT = {"classes": ["__bg__", "red"], "input": {"width": 16, "height": 12}}


def write_graph(
    path: Path, about: dict[str, Any] | None = None, shape: tuple[Any, ...] = (1, 3, 12, 16)
) -> Path:
    """An ONNX file that tells how much redder than 0.5 a pixel is, with its description beside it.

    The scores of its two classes are ``1 - red`` and ``red``.
    """
    weight = np.zeros((2, 3, 1, 1), np.float32)
    weight[:, 0, 0, 0] = (-1, 1)
    graph = onnx.helper.make_graph(
        [onnx.helper.make_node("Conv", ["image", "weight", "bias"], ["scores"])],
        "redness",
        [onnx.helper.make_tensor_value_info("image", onnx.TensorProto.FLOAT, shape)],
        [onnx.helper.make_tensor_value_info("scores", onnx.TensorProto.FLOAT, (shape[0], 2, *shape[2:]))],
        [
            onnx.numpy_helper.from_array(weight, "weight"),
            onnx.numpy_helper.from_array(np.array([1, 0], np.float32), "bias"),
        ],
    )
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=9)
    onnx.save(model, path)
    if about is not None:
        path.with_suffix(".yaml").write_text(yaml.safe_dump(about))
    return path
