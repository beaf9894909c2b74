"""Scores over all images: what is summed, and what cannot be."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ravenml.errors import RavenError
from ravenml.infer.metrics import MEANS, SegmentationScores
from ravenml.train.scores import Scores


@dataclass(frozen=True)
class Longest:
    """The highest number that any image has recorded, and how many pixels there were."""

    factor: float = 1.0

    def __call__(self, known: dict[str, Any]) -> dict[str, float]:
        numbers = np.concatenate(known["numbers"])
        return {"longest": self.factor * float(numbers.max()), "pixels": float(known["pixels"])}


def scores(names: str, *numbers: list[float]) -> Scores:
    records = {"numbers": [np.array(its, np.float32) for its in numbers]}
    return Scores(list(names), {"pixels": np.ones(len(names))}, Longest(2.0), records)


def test_records_come_back_image_by_image_even_where_an_image_has_none(tmp_path: Path) -> None:
    scores("abc", [1, 5], [], [3]).save(tmp_path / "scores.npz")
    found = Scores.load(tmp_path / "scores.npz")
    assert [its.tolist() for its in found.records["numbers"]] == [[1, 5], [], [3]]
    assert found.statistics.keys() == {"pixels"}
    assert found.values() == {"longest": 10.0, "pixels": 3.0}


def test_folds_together_are_reduced_once_over_all_their_records() -> None:
    both = Scores.together([scores("ab", [1], [2]), scores("cd", [7], [])])
    assert both.items == ["a", "b", "c", "d"]
    assert both.values() == {"longest": 14.0, "pixels": 4.0}


def test_a_record_that_lacks_an_image_is_refused() -> None:
    with pytest.raises(RavenError, match="'numbers' has 1 rows for 2 images"):
        scores("ab", [1])


def test_scores_that_lack_what_their_reduction_needs_are_refused() -> None:
    found = Scores(["a"], {"confusio": np.ones((1, 2, 2), int)}, SegmentationScores(("bg", "car")))
    with pytest.raises(RavenError, match=r"SegmentationScores cannot reduce \['confusio'\]: KeyError"):
        found.values()


def test_the_means_are_there_even_where_no_image_has_an_object() -> None:
    found = Scores.segmentation(["a"], np.array([[[7, 3], [0, 0]]]), ["__bg__", "car"]).values()
    assert np.isnan([found[name] for name in MEANS]).all() and found["pixel_accuracy"] == 0.7


def test_a_confusion_matrix_of_another_number_of_classes_is_refused() -> None:
    found = Scores.segmentation(["a"], np.ones((1, 3, 3), int), ["bg", "car"])
    with pytest.raises(RavenError, match="cannot reduce"):
        found.values()
