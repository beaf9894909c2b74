"""The five networks: their weights' names, and what they compute."""

from __future__ import annotations

import hashlib
import json

import pytest
import torch
from projects import real_data
from torch import nn

from ravenml.errors import InputError
from ravenml_unet.models.network import pad_to_multiple
from ravenml_unet.models.registry import ARCHITECTURES, create_model
from ravenml_unet.settings import UNetSettings

# SHA-256 of the JSON of names and shapes, in order, as Supervisely's U-Net app saves them for 4 classes.
SAVED = {
    "UNet": "012fa91bd5e775c100cc6184502eab21c6248baca41bd8aa3373036b9d2bd58a",
    "UNet11": "b02050af01e0e1171b9b0429f4e10c282576f498fdbaa5c4dde9136a4543622d",
    "UNet16": "e723b032bf80eec7206ac2fbaf6d47b8b780215ffa64536f43c669fedf900266",
    "AlbuNet": "122adaed81080c133c6da208dadd87265912e70b5e2415fd434818bc40c60d3c",
    "LinkNet34": "eafe9731054900b39e2ea02be4fdb3baf5229bbd0d03798072d0b68c54d42ee7",
}
every_network = pytest.mark.parametrize("name", ARCHITECTURES)


def names_and_shapes(name: str) -> dict[str, list[int]]:
    return {key: list(value.shape) for key, value in create_model(name, num_classes=4).state_dict().items()}


@every_network
def test_parameter_names_and_shapes_are_those_that_supervisely_saves(name: str) -> None:
    saved = names_and_shapes(name)
    assert hashlib.sha256(json.dumps(saved).encode()).hexdigest() == SAVED[name], saved


@every_network
def test_the_list_of_supervisely_s_names_and_shapes_says_the_same(name: str) -> None:
    expected = json.loads(real_data("unet_state_dict_keys.json").read_text())[name]
    assert list(names_and_shapes(name).items()) == list(expected.items())


def test_the_settings_help_names_every_network_of_the_registry() -> None:
    help_text = UNetSettings.model_fields["model"].description or ""
    assert all(f" {name}," in help_text for name in ARCHITECTURES)


@every_network
def test_the_registry_knows_how_many_parameters_a_network_has(name: str) -> None:
    assert sum(p.numel() for p in create_model(name, 2).parameters()) == ARCHITECTURES[name].parameters


@every_network
def test_any_size_gives_probabilities_of_that_size(name: str) -> None:
    model = create_model(name, num_classes=3).eval()
    for size in ((33, 70), (5, 3), (64, 96)):
        output = model(torch.randn(1, 3, *size))
        assert output.shape == (1, 3, *size)
        assert output.dtype == torch.float32
        torch.testing.assert_close(output.exp().sum(dim=1), torch.ones(1, *size))


@every_network
def test_gradients_reach_every_parameter_that_learns(name: str) -> None:
    model = create_model(name, num_classes=3)
    loss = -model(torch.randn(2, 3, 64, 64))[:, 1].mean()
    loss.backward()
    for key, parameter in model.named_parameters():
        if parameter.requires_grad:
            assert parameter.grad is not None and parameter.grad.abs().sum() > 0, key
    frozen = {key for key, parameter in model.named_parameters() if not parameter.requires_grad}
    assert frozen <= {"encoder.fc.weight", "encoder.fc.bias"}


def test_a_single_class_gets_the_logarithm_of_its_own_probability() -> None:
    output = create_model("UNet", num_classes=1)(torch.randn(1, 3, 32, 32))
    assert output.shape == (1, 1, 32, 32)
    assert (output < 0).all() and output.std() > 0


def test_the_vanilla_unet_pools_by_2_2_2_and_4() -> None:
    model = create_model("UNet", num_classes=2)
    seen: list[tuple[int, ...]] = []
    for stage in model.down:  # type: ignore[union-attr]
        stage.register_forward_hook(lambda _, __, output: seen.append(tuple(output.shape[1:])))
    model(torch.randn(1, 3, 64, 128))
    assert seen == [(32, 64, 128), (64, 32, 64), (128, 16, 32), (256, 8, 16), (512, 2, 4)]


def test_the_vanilla_unet_computes_what_its_weights_say_by_hand() -> None:
    """The published arithmetic, written once more in plain functions."""
    model = create_model("UNet", num_classes=3)
    weights = model.state_dict()

    def twice(x: torch.Tensor, key: str) -> torch.Tensor:
        for layer in ("l1", "l2"):
            weight, bias = weights[f"{key}.{layer}.conv.weight"], weights[f"{key}.{layer}.conv.bias"]
            x = nn.functional.conv2d(x, weight, bias, padding=1).clamp(min=0)
        return x

    def larger(x: torch.Tensor, factor: int) -> torch.Tensor:
        return x.repeat_interleave(factor, dim=-1).repeat_interleave(factor, dim=-2)

    image = torch.randn(1, 3, 32, 64)
    down = [twice(image, "down.0")]
    for level, factor in enumerate((2, 2, 2, 4), start=1):
        down.append(twice(nn.functional.max_pool2d(down[-1], factor, factor), f"down.{level}"))
    x = down[4]
    for level, factor in ((3, 4), (2, 2), (1, 2), (0, 2)):
        x = twice(torch.cat([larger(x, factor), down[level]], 1), f"up.{level}")
    x = nn.functional.conv2d(x, weights["conv_final.weight"], weights["conv_final.bias"])
    torch.testing.assert_close(model(image), nn.functional.log_softmax(x, dim=1))


def test_albunet_enlarges_bilinearly_and_ternausnet_by_transposed_convolutions() -> None:
    albu = [m for m in create_model("AlbuNet", 2).modules() if isinstance(m, nn.Upsample)]
    assert len(albu) == 6 and all(m.mode == "bilinear" and m.align_corners is False for m in albu)
    for name in ("UNet11", "UNet16"):
        deconvolutions = [m for m in create_model(name, 2).modules() if isinstance(m, nn.ConvTranspose2d)]
        assert len(deconvolutions) == 5 and all(m.kernel_size == (4, 4) for m in deconvolutions)


def test_padding_mirrors_the_border_and_leaves_the_image_alone() -> None:
    image = torch.arange(12.0).view(1, 1, 3, 4)
    padded = pad_to_multiple(image, 5)
    assert padded.shape == (1, 1, 5, 5)
    assert torch.equal(padded[..., :3, :4], image)
    assert padded[0, 0, 0].tolist() == [0, 1, 2, 3, 2]
    assert torch.equal(padded[0, 0, 3], padded[0, 0, 1])
    assert pad_to_multiple(padded, 5) is padded


def test_an_image_too_small_to_be_mirrored_is_continued_by_its_border() -> None:
    assert pad_to_multiple(torch.tensor([[[[1.0, 2.0]]]]), 4)[0, 0].tolist() == [[1, 2, 2, 2]] * 4


def test_the_first_loss_is_that_of_a_guess() -> None:
    torch.manual_seed(0)
    for name in ("UNet", "UNet11"):
        output = create_model(name, num_classes=4)(torch.randn(2, 3, 64, 64))
        assert output.mean().item() == pytest.approx(-torch.log(torch.tensor(4.0)).item(), abs=0.1)


def test_an_unknown_network_is_named_with_those_there_are() -> None:
    with pytest.raises(InputError, match=r"'UNet12'.*UNet, UNet11"):
        create_model("UNet12", 2)
