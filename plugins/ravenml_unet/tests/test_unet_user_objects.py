"""Networks, losses and metrics of the user's own."""

from __future__ import annotations

import json
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest
import torch
from unet_support import MakeInput, small_settings

from ravenml.errors import InputError
from ravenml_unet import load_model
from ravenml_unet.models.registry import create_model, model_descriptions
from ravenml_unet.training import run_training

OWN = dedent(
    """
    import torch
    from torch import nn

    class Tiny(nn.Module):
        "One convolution, for tests."
        def __init__(self, num_classes):
            super().__init__()
            self.only = nn.Conv2d(3, num_classes, 3, padding=1)
        def forward(self, x):
            return self.only(x)

    class Probable(Tiny):
        output = "probabilities"
        def forward(self, x):
            return self.only(x).softmax(dim=1)

    class LogProbable(Tiny):
        output = "log_probabilities"
        def forward(self, x):
            return self.only(x).log_softmax(dim=1)

    class Coarse(Tiny):
        stride = 4
        def forward(self, x):
            assert x.shape[-1] % 4 == 0 and x.shape[-2] % 4 == 0
            return self.only(x)

    class Liar(Tiny):
        output = "probabilities"

    class Half(Tiny):
        def forward(self, x):
            return self.only(x)[..., ::2, ::2]

    class Dictionary(Tiny):
        def forward(self, x):
            return {"out": self.only(x)}

    class Odd(Tiny):
        output = "boxes"

    class Lost(Tiny):
        def forward(self, x):
            return self.only(x) * float("nan")

    class Choosy(Tiny):
        def __init__(self, num_classes, color):
            super().__init__(num_classes)

    def make_nothing(num_classes):
        return None

    def mean_nll(log_probabilities, labels):
        return -log_probabilities.gather(1, labels.unsqueeze(1)).mean()

    def detached(log_probabilities, labels):
        return mean_nll(log_probabilities, labels).detach()

    def per_pixel(log_probabilities, labels):
        return -log_probabilities.gather(1, labels.unsqueeze(1))

    def hits(log_probabilities, labels):
        return (log_probabilities.argmax(dim=1) == labels).float().mean(dim=(1, 2))
    """
)


@pytest.fixture(autouse=True)
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A module of one's own in the working folder, and another package's entry point."""
    folder = tmp_path / "work"
    folder.mkdir()
    (folder / "own_code.py").write_text(OWN)
    about = folder / "other_nets-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: other-nets\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text("[ravenml.unet.models]\nTinyNet = own_code:Tiny\n")
    monkeypatch.chdir(folder)
    monkeypatch.syspath_prepend(str(folder))


def only_weights(folder: Path) -> dict[str, torch.Tensor]:
    (path,) = folder.glob("checkpoints/model_*_last.pth")
    weights: dict[str, torch.Tensor] = torch.load(path, weights_only=True)
    return weights


@pytest.mark.parametrize("name", ["TinyNet", "own_code:Tiny", "own_code:Probable", "own_code:LogProbable"])
def test_a_network_of_ones_own_trains_and_predicts(make_input: MakeInput, tmp_path: Path, name: str) -> None:
    output = run_training(make_input(small_settings(model=name, previews=1)))
    assert output is not None and output.model_path is not None
    assert set(only_weights(tmp_path / "run")) == {"only.weight", "only.bias"}
    predictor = load_model(output.model_path, "cpu", trust_code=True)
    images = torch.randint(256, (2, 20, 30, 3), dtype=torch.uint8).numpy()
    assert predictor.predict(images).shape == (2, 20, 30)
    sums = torch.from_numpy(predictor.predict(images, "probabilities")).sum(dim=1)
    torch.testing.assert_close(sums, torch.ones_like(sums))


def test_logits_probabilities_and_their_logarithms_mean_the_same() -> None:
    torch.manual_seed(0)
    networks = [create_model(f"own_code:{name}", 3) for name in ("Tiny", "Probable", "LogProbable")]
    for network in networks[1:]:
        network.load_state_dict(networks[0].state_dict())
    image = torch.randn(2, 3, 9, 7)
    first, second, third = (network(image) for network in networks)
    torch.testing.assert_close(first, second)
    torch.testing.assert_close(first, third)


def test_a_network_that_says_its_stride_gets_sides_that_are_multiples_of_it() -> None:
    assert create_model("own_code:Coarse", 2)(torch.randn(1, 3, 9, 14)).shape == (1, 2, 9, 14)


def test_offered_networks_are_listed_with_their_descriptions() -> None:
    known = model_descriptions()
    assert known["TinyNet"] == "One convolution, for tests (other-nets)"
    assert list(known)[:2] == ["UNet", "UNet11"]


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("own_code:Liar", "its output is probabilities, but at a pixel they add up to"),
        ("own_code:Half", r"shape \(2, 3, 4, 4\) .* it must return \(2, 3, 8, 8\)"),
        ("own_code:Dictionary", "returned a dict; it must return one tensor"),
        ("own_code:Odd", "output = 'boxes'; it must be one of logits"),
        ("own_code:Lost", "not numbers .NaN. in its first batch"),
        ("own_code:Choosy", "failed with TypeError"),
        ("own_code:make_nothing", "is not a network; it must be a subclass of torch.nn.Module"),
        ("own_code:mean_nll", "is not a network; it must be a subclass of torch.nn.Module"),
        ("os:system", "is not a network; it must be a subclass of torch.nn.Module"),
        ("own_code:Missing", "own_code has no Missing"),
        ("no_such_code:Net", "no_such_code cannot be imported: ModuleNotFoundError"),
    ],
)
def test_what_is_wrong_with_a_network_is_said_in_a_sentence(name: str, said: str) -> None:
    with pytest.raises(InputError, match=said):
        create_model(name, 3)(torch.randn(2, 3, 8, 8))


def test_a_loss_of_ones_own_takes_the_place_of_the_built_in_one(
    make_input: MakeInput, tmp_path: Path
) -> None:
    run_training(make_input(small_settings(model="TinyNet"), folder="built_in"))
    run_training(make_input(small_settings(model="TinyNet", loss="own_code:mean_nll"), folder="own"))
    ours, theirs = only_weights(tmp_path / "built_in"), only_weights(tmp_path / "own")
    assert all(torch.allclose(ours[key], theirs[key], atol=1e-6) for key in ours)


def test_a_metric_of_ones_own_is_reported_and_may_decide_what_is_best(
    make_input: MakeInput, tmp_path: Path
) -> None:
    output = run_training(
        make_input(small_settings(model="TinyNet", metric=["own_code:hits"], best_by="val/hits"))
    )
    events = [json.loads(line) for line in (tmp_path / "run" / "events.jsonl").read_text().splitlines()]
    validations = [e["metrics"] for e in events if e.get("type") == "val"]
    assert all(v["hits"] == pytest.approx(v["pixel_accuracy"], abs=1e-6) for v in validations)
    best = [e["optional"] for e in events if e.get("best_now")]
    assert best and set(best[0]) == {"val/hits"}
    assert output is not None and "val/hits" in output.metadata["metrics"]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"loss": "own_code:detached"}, "loss: own_code:detached returned a tensor without gradient"),
        (
            {"loss": "own_code:per_pixel"},
            r"returned the shape \(2, 1, 32, 32\); it must return a scalar tensor",
        ),
        ({"metric": ["own_code:per_pixel"]}, "one number per image"),
        ({"metric": ["own_code:hits", "own_code:hits"]}, "a metric is called hits already"),
        ({"best_by": "val/hits"}, "no metric is called 'hits'"),
    ],
)
def test_what_is_wrong_with_a_loss_or_metric_is_said_in_a_sentence(
    make_input: MakeInput, change: dict[str, Any], said: str
) -> None:
    with pytest.raises(InputError, match=said):
        run_training(make_input(small_settings(model="TinyNet", **change)))
