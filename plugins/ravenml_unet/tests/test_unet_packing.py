"""Convolutions that keep their weights packed give what PyTorch's own do."""

from __future__ import annotations

import copy
import io
import platform

import numpy as np
import pytest
import torch
from torch import nn

from ravenml.data.meta import ObjClass
from ravenml_unet.models.registry import ARCHITECTURES, create_model
from ravenml_unet.packing import PackedConv2d, PackedConvTranspose2d, keep_packed
from ravenml_unet.predict import UNetPredictor

SIZE = 64, 96  # height, width
here = pytest.mark.skipif(platform.machine() not in ("x86_64", "AMD64"), reason="packs on x86-64 alone")


def network(name: str) -> nn.Module:
    torch.manual_seed(0)
    return create_model(name, 3).eval().to(memory_format=torch.channels_last)  # type: ignore[call-overload]


def packing(name: str) -> nn.Module:
    model = network(name)
    keep_packed(model)
    return model


@torch.inference_mode()
def predicted(model: nn.Module, count: int = 1) -> torch.Tensor:
    images = torch.randn(count, 3, *SIZE, generator=torch.Generator().manual_seed(1))
    result: torch.Tensor = model(images.contiguous(memory_format=torch.channels_last))
    return result


def packed(model: nn.Module) -> int:
    """How many convolutions have packed weights."""
    kinds = PackedConv2d | PackedConvTranspose2d
    return sum(isinstance(module, kinds) and module._kept is not None for module in model.modules())


@here
@pytest.mark.parametrize("name", ARCHITECTURES)
def test_predictions_are_the_same_to_the_last_digit(name: str) -> None:
    model = packing(name)
    for count in (1, 2, 1):
        assert torch.equal(predicted(model, count), predicted(network(name), count))
    assert packed(model) > 10


@here
def test_the_predictor_packs() -> None:
    model = network("UNet")
    classes = [ObjClass(f"class {number}", "bitmap", "#000000") for number in range(3)]
    predictor = UNetPredictor(model, classes, (64, 64), torch.device("cpu"), "UNet")  # type: ignore[arg-type]
    assert packed(model) == 0
    predictor.predict(np.zeros((1, 64, 64, 3), np.uint8))
    assert packed(model) > 10


def test_changed_weights_are_packed_again() -> None:
    model, plain = packing("LinkNet34"), network("LinkNet34")
    before = predicted(model)
    for one in (model, plain):
        with torch.no_grad():
            one.get_parameter("encoder1.0.conv1.weight").mul_(2)
    assert not torch.equal(predicted(model), before)
    assert torch.equal(predicted(model), predicted(plain))
    model.load_state_dict(network("LinkNet34").state_dict())
    assert torch.equal(predicted(model), before)
    model.half().float()  # which rounds them, in new memory
    assert torch.equal(predicted(model), predicted(network("LinkNet34").half().float()))


def test_a_packing_network_learns_as_any_other() -> None:
    gradients = []
    for model in (packing("LinkNet34"), network("LinkNet34")):
        predicted(model)
        model.train()
        images = torch.randn(2, 3, *SIZE, generator=torch.Generator().manual_seed(2))
        model(images).mean().backward()
        gradients.append([p.grad for p in model.parameters() if p.grad is not None])
    assert len(gradients[0]) > 100
    assert all(torch.equal(mine, other) for mine, other in zip(*gradients, strict=True))


def test_bfloat16_takes_pytorchs_own_way() -> None:
    model, plain = packing("UNet"), network("UNet")
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(predicted(model), predicted(plain))
    assert packed(model) == 0


def test_a_packing_network_is_copied_and_saved_without_what_is_packed() -> None:
    model = packing("UNet")
    expected = predicted(model)
    file = io.BytesIO()
    torch.save(model, file)
    file.seek(0)
    for other in (copy.deepcopy(model), torch.load(file, weights_only=False)):
        assert packed(other) == 0
        assert torch.equal(predicted(other), expected)
    assert list(model.state_dict()) == list(network("UNet").state_dict())


class Own(nn.Conv2d):
    """A convolution of somebody's own."""


def test_other_convolutions_stay_as_they_are() -> None:
    model = nn.Sequential(
        Own(3, 4, 3, padding=1),
        nn.Conv2d(4, 4, 3, padding="same"),
        nn.Conv2d(4, 4, 3, padding=1, padding_mode="reflect"),
    )
    keep_packed(model)
    assert [type(module) for module in model] == [Own, nn.Conv2d, nn.Conv2d]
