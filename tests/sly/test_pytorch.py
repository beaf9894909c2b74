"""The SDK's parts for PyTorch: a plugin that says no more than its network, and the pieces by themselves."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from as_user import Raven
from sly_support import events, needs_bwrap, only_run

from ravenml.data.masks import draw_mask
from ravenml.data.project import Project
from ravenml.sly.pytorch import MultiClassAccuracy, WeightsRW, infer_per_pixel_scores_single_image

torch = pytest.importorskip("torch")
PLUGIN = Path(__file__).parent / "plugins" / "pytorch"


@pytest.fixture
def covered(project: Path) -> Path:
    """The project, with a second class below the first, so that each pixel belongs to one."""
    meta = json.loads((project / "meta.json").read_text())
    meta["classes"].append({"title": "ground", "shape": "rectangle", "color": "#00FF88"})
    (project / "meta.json").write_text(json.dumps(meta))
    for path in project.glob("*/ann/*.json"):
        ann = json.loads(path.read_text())
        points = {"exterior": [[0, 0], [31, 23]], "interior": []}
        ground = {"classTitle": "ground", "geometryType": "rectangle", "tags": [], "points": points}
        path.write_text(json.dumps({**ann, "objects": [ground, *ann["objects"]]}))
    return project


@needs_bwrap
def test_a_network_and_a_loss_are_a_plugin(raven: Raven, covered: Path, tmp_path: Path) -> None:
    plugin = Path(shutil.copytree(PLUGIN, tmp_path / "easy"))
    size = {"width": 32, "height": 24}
    config = tmp_path / "config.json"
    config.write_text(json.dumps({"epochs": 8, "val_every": 4, "lr": 0.05, "input_size": size}))
    command = ("agent", "run", plugin, "--data", covered)
    raven.ok(*command, "--mode", "train", "--config", config)
    run = only_run(raven)
    validated = [event["metrics"] for event in events(run, "METRICS") if event["type"] == "val"]
    assert len(validated) == 2 and validated[-1]["accuracy"] > 0.98 and validated[-1]["loss"] < 0.3
    assert [event["id"] for event in events(run, "CHECKPOINT")] == [0, 1]
    told = json.loads((run / "checkpoints" / "00000001" / "config.json").read_text())
    assert told["class_title_to_idx"] == {"ground": 0, "thing": 1}
    assert told["settings"]["custom_model_config"] == {"channels": 4}

    named = {"model_classes": {"save_classes": "__all__", "add_suffix": "_easy"}}
    mode = {"name": "sliding_window", "window": {"width": 20, "height": 16}, **named}
    config.write_text(json.dumps({"mode": mode}))
    raven.ok(*command, "--mode", "inference", "--model", run / "model-state.tar", "--config", config)
    made, truth = Project.open(raven.runs()[-1] / "artifacts" / "project"), Project.open(covered)
    right = [
        draw_mask(truth.annotation(item), ["thing"]) == draw_mask(made.annotation(found), ["thing_easy"])
        for item, found in zip(truth.items, made.items, strict=True)
    ]
    assert len(right) == 12 and np.mean(right) > 0.95


def net(classes: int = 3) -> Any:
    return torch.nn.ModuleDict({"body": torch.nn.Conv2d(3, 2, 1), "head": torch.nn.Conv2d(2, classes, 1)})


def test_weights_are_read_strictly_or_for_transfer_learning(tmp_path: Path) -> None:
    torch.manual_seed(1)
    weights, first, other, more = WeightsRW(str(tmp_path)), net(), net(), net(5)
    weights.save(first)
    assert torch.equal(weights.load_strictly(other)["head"].weight, first["head"].weight)
    begun = more["head"].weight.clone()
    weights.load_for_transfer_learning(more, ignore_matching_layers=["head"])
    assert torch.equal(more["body"].weight, first["body"].weight)
    assert torch.equal(more["head"].weight, begun), "the head begins anew"
    with pytest.raises(RuntimeError, match=r"head\.bias has the shape \(3,\) in .*, and \(5,\)"):
        weights.load_for_transfer_learning(net(5))
    with pytest.raises(KeyError, match=r"does not have: head\.bias, head\.weight"):
        weights.load_strictly(torch.nn.ModuleDict({"body": torch.nn.Conv2d(3, 2, 1)}))
    with pytest.raises(KeyError, match=r"lacks .*: neck\.bias, neck\.weight"):
        weights.load_strictly(torch.nn.ModuleDict({**net(), "neck": torch.nn.Conv2d(2, 2, 1)}))


def test_weights_are_read_as_data_alone(tmp_path: Path) -> None:
    class Harmful:
        def __reduce__(self) -> tuple[object, ...]:
            return Path.touch, (tmp_path / "harm",)

    torch.save({"head": Harmful()}, tmp_path / "model.pt")
    for load in (WeightsRW(str(tmp_path)).load_strictly, WeightsRW(str(tmp_path)).load_for_transfer_learning):
        with pytest.raises(RuntimeError, match="holds more than weights, and is not read"):
            load(net())
    assert not (tmp_path / "harm").exists()


def test_accuracy_counts_what_is_not_ignored() -> None:
    scores = torch.eye(3)[torch.tensor([[0, 1, 2, 2]])].permute(0, 2, 1)  # the classes 0, 1, 2, 2
    truth = torch.tensor([[0, 1, 0, 2]])
    assert MultiClassAccuracy()(scores, truth).item() == 0.75
    assert MultiClassAccuracy()(scores, truth[:, None]).item() == 0.75, "targets may have a channel"
    assert MultiClassAccuracy(ignore_index=0)(scores, truth).item() == 1
    assert MultiClassAccuracy(ignore_index=0)(scores, 0 * truth).item() == 0


def test_scores_of_one_image_have_the_size_that_is_asked_for() -> None:
    model = torch.nn.Conv2d(3, 6, 1)
    scores = infer_per_pixel_scores_single_image(model, torch.rand(3, 8, 10), (16, 30))
    assert scores.shape == (16, 30, 6) and np.allclose(scores.sum(axis=2), 1, atol=1e-5)
    single = infer_per_pixel_scores_single_image(
        torch.nn.Conv2d(3, 1, 1), torch.rand(3, 8, 10), (4, 5), False
    )
    assert single.shape == (4, 5, 1)
