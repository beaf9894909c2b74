"""``evaluation.json`` of a k-fold run: every image once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from ravenml.common.io import read_json, write_json
from ravenml.infer.evaluation import make_section, pool_evaluations
from ravenml.train.kfold import write_pooled_evaluation

TITLES = ["__bg__", "cat", "dog"]


def evaluations() -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Two folds of three and of two images, and what one evaluation of all five says."""
    confusion = np.random.default_rng(0).integers(0, 50, (5, 3, 3))
    keys = [f"a/{number}.png" for number in range(5)]
    folds = []
    for part, loss in ((slice(0, 3), 0.5), (slice(3, 5), 1.0)):
        folds.append(
            {
                "v": 1,
                "dataset": "/data",
                "epoch": loss,
                "classes": TITLES,
                "images": keys[part],
                "loss": loss,
                "metrics": {"own": 2 * loss},
                "model_size": make_section(confusion[part], TITLES, keys[part]),
            }
        )
    return folds, make_section(confusion, TITLES, keys)


def test_the_folds_images_are_scored_together_and_each_counts_once() -> None:
    folds, together = evaluations()
    whole = pool_evaluations(folds)
    assert whole is not None
    assert whole["model_size"] == together
    assert whole["images"] == [f"a/{number}.png" for number in range(5)]
    assert whole["loss"] == (3 * 0.5 + 2 * 1.0) / 5
    assert whole["metrics"] == {"own": (3 * 1.0 + 2 * 2.0) / 5}
    assert whole["folds"] == 2 and whole["dataset"] == "/data"
    assert "epoch" not in whole and "original_size" not in whole


def test_evaluations_of_other_classes_or_in_a_plugins_own_form_are_left_alone() -> None:
    folds, _ = evaluations()
    assert pool_evaluations([folds[0], folds[1] | {"classes": ["__bg__", "cat", "cow"]}]) is None
    assert pool_evaluations([{"average_precision": 0.5}, {"average_precision": 0.6}]) is None


def test_it_is_written_when_every_fold_has_one(tmp_path: Path) -> None:
    folds, together = evaluations()
    write_json(tmp_path / "folds" / "0" / "evaluation.json", folds[0])
    write_pooled_evaluation(tmp_path, 2)
    assert not (tmp_path / "evaluation.json").exists()
    write_json(tmp_path / "folds" / "1" / "evaluation.json", folds[1])
    write_pooled_evaluation(tmp_path, 2)
    assert read_json(tmp_path / "evaluation.json")["model_size"] == together
