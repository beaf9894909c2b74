"""A trained network as a graph for other engines: uint8 images in, probabilities out."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn import functional as F

from ravenml.common.io import atomic_open
from ravenml_unet.models.network import SegmentationNetwork
from ravenml_unet.packing import drop_packed
from ravenml_unet.predict import UNetPredictor
from ravenml_unet.preprocessing import MEAN, STD

OPSET = 17  # of ONNX: what engines of the last years know
AXES = {
    "images": {0: "batch", 1: "height", 2: "width"},
    "probabilities": {0: "batch", 2: "height", 3: "width"},
}
Graph = Callable[[NDArray[np.uint8]], NDArray[np.float32]]


class ProbabilityGraph(nn.Module):
    """Networks with the preparation of their pixels; several give the mean of their probabilities.

    Takes uint8 RGB ``(N, H, W, 3)`` and gives float32 ``(N, C, H, W)``.

    Args:
        networks: in evaluation mode.
        half: compute in float16, but for the pixels' normalisation and the probabilities.
        dynamic: pad images of any size here; else the size that it is traced with is that of all.
    """

    mean: torch.Tensor
    std: torch.Tensor

    def __init__(self, networks: Sequence[SegmentationNetwork], half: bool, dynamic: bool) -> None:
        super().__init__()
        self.networks, self.dynamic = nn.ModuleList(networks), dynamic
        self.kind = torch.float16 if half else torch.float32
        for network in self.networks:
            network.to(self.kind)
        for name, values in (("mean", MEAN), ("std", STD)):
            self.register_buffer(name, torch.tensor(values).mul(255).view(1, 3, 1, 1))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Give the probabilities of images."""
        x = ((images.permute(0, 3, 1, 2).float() - self.mean) / self.std).to(self.kind)
        parts = [self._probabilities(network, x) for network in self.networks]
        return torch.stack(parts).mean(dim=0) if len(parts) > 1 else parts[0]

    def _probabilities(self, network: nn.Module, x: torch.Tensor) -> torch.Tensor:
        assert isinstance(network, SegmentationNetwork)
        height, width = x.shape[-2:]
        if self.dynamic and network.stride > 1:  # `pad_to_multiple` decides by the size it is traced with
            x = F.pad(x, (0, -width % network.stride, 0, -height % network.stride), mode="reflect")
        if type(network).forward is not SegmentationNetwork.forward:
            return network(x)[..., :height, :width].float().exp()
        if not self.dynamic:
            return network(x).exp()
        logits = network.logits(x)[..., :height, :width].float()
        return logits.sigmoid() if network.num_classes == 1 else logits.softmax(dim=1)


def write_graph(
    predictors: Sequence[UNetPredictor], kind: str, path: Path, dynamic: bool, half: bool, note: str
) -> Graph | None:
    """Write models as one file; see `ravenml_unet.predict.export`."""
    networks = [drop_packed(copy.deepcopy(one.model).cpu()) for one in predictors]
    graph = ProbabilityGraph(networks, half, dynamic).eval()
    width, height = predictors[0].input_size
    example = torch.zeros((1, height, width, 3), dtype=torch.uint8)
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what depends on the example's size is compared afterwards
        traced: Any = torch.jit.trace(graph, example, check_trace=False)
        if kind == "torchscript":
            traced = torch.jit.freeze(traced)
            with atomic_open(path) as file:
                torch.jit.save(traced, file, _extra_files={"ravenml": note})
            return lambda images: traced(torch.from_numpy(images)).numpy()
        torch.onnx.export(
            traced,
            (example,),
            str(path),
            dynamo=False,  # PyTorch's newer exporter needs onnxscript, and takes ten times as long
            opset_version=OPSET,
            input_names=["images"],
            output_names=["probabilities"],
            dynamic_axes=AXES if dynamic else None,
        )
    return None
