"""Networks whose batch normalisation is computed into their convolutions predict the same."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from ravenml.data.meta import ObjClass
from ravenml_unet.folding import folded
from ravenml_unet.models.registry import create_model
from ravenml_unet.predict import UNetPredictor


def trained(model: nn.Module) -> nn.Module:
    """In evaluation mode, with statistics as a training leaves them."""
    generator = torch.Generator().manual_seed(1)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            assert module.running_mean is not None and module.running_var is not None
            module.running_mean.normal_(0, 0.2, generator=generator)
            module.running_var.uniform_(0.5, 2, generator=generator)
    return model.eval()


def normalisations(model: nn.Module) -> int:
    return sum(isinstance(module, nn.BatchNorm2d) for module in model.modules())


@pytest.mark.parametrize("name", ["LinkNet34", "UNet"])
def test_a_folded_network_predicts_the_same(name: str) -> None:
    torch.manual_seed(0)
    model = trained(create_model(name, 3))
    before = normalisations(model)
    classes = [ObjClass(f"class {number}", "bitmap", "#000000") for number in range(3)]
    predictor = UNetPredictor(model, classes, (64, 64), torch.device("cpu"), name)  # type: ignore[arg-type]
    faster = predictor.for_windows()
    images = np.random.default_rng(0).integers(0, 256, (2, 64, 64, 3), np.uint8)
    difference = predictor.predict(images, "probabilities") - faster.predict(images, "probabilities")
    assert np.abs(difference).max() < 1e-4
    assert normalisations(model) == before  # the network itself is as it was
    assert normalisations(faster.model) < before / 4 or before == 0


class Odd(nn.Module):
    """A network that uses a convolution's result twice: before its normalisation, and after it."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.norm, self.last = nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4), nn.Conv2d(4, 2, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.first(x)
        return self.last(10 * x + self.norm(x)).log_softmax(1)


class Shared(nn.Module):
    """A network that uses one convolution twice."""

    def __init__(self) -> None:
        super().__init__()
        self.same, self.norm, self.last = nn.Conv2d(3, 3, 1), nn.BatchNorm2d(3), nn.Conv2d(3, 2, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.last(self.norm(self.same(self.same(x)))).log_softmax(1)


@pytest.mark.parametrize("kind", [Odd, Shared])
def test_a_network_that_cannot_be_folded_is_used_as_it_is(kind: type[nn.Module]) -> None:
    torch.manual_seed(0)
    model = trained(kind())
    assert folded(model, 16, 16) is model
