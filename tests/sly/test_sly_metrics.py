"""Scores of predictions against the truth."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import ravenml.sly as sly
from ravenml.sly.metrics import (
    AP,
    CONFUSION_MATRIX,
    UNMATCHED_GT,
    UNMATCHED_PREDICTIONS,
    check_class_mapping,
    check_tag_mapping,
    get_geometries_iou,
)

SIZE = (10, 20)
SURE = sly.TagMeta("confidence", sly.TagValueType.ANY_NUMBER)
CLASSES = {name: sly.ObjClass(name, sly.Rectangle) for name in ("cat", "dog", "cat_x", "dog_x")}
MAPPING = {"cat": "cat_x", "dog": "dog_x"}


def box(name: str, left: int, right: int, sure: float | None = None) -> sly.Label:
    """An object over all rows, from one column to another."""
    tags = [] if sure is None else [sly.Tag(SURE, sure)]
    return sly.Label(sly.Rectangle(0, left, 9, right), CLASSES[name], tags)


def pair(truth: list[sly.Label], predicted: list[sly.Label]) -> tuple[sly.Annotation, sly.Annotation]:
    return sly.Annotation(SIZE, truth), sly.Annotation(SIZE, predicted)


def test_intersection_over_union_counts_pixels() -> None:
    metric = sly.IoUMetric(MAPPING)
    metric.add_pair(*pair([box("cat", 0, 9)], [box("cat_x", 5, 14)]))
    metric.add_pair(*pair([box("cat", 0, 9)], [box("cat_x", 0, 9), box("dog_x", 8, 9)]))
    found = metric.get_metrics()
    # What is drawn later covers what is below.
    assert found["cat"] == {"intersection": (50 + 80) / 2, "union": (150 + 100) / 2, "iou": 130 / 250}
    assert found["dog"]["iou"] == 0
    assert metric.get_total_metrics() == {"intersection": 130, "union": 270, "iou": 130 / 270}


def test_pixels_are_right_or_wrong() -> None:
    metric = sly.PixelAccuracyMetric(MAPPING)
    metric.add_pair(*pair([box("cat", 0, 9), box("dog", 10, 19)], [box("cat_x", 0, 4), box("dog_x", 5, 19)]))
    found = metric.get_metrics()
    assert found["cat"] == {"precision": 1, "recall": 0.5, "accuracy": 0.75}
    assert found["dog"] == {"precision": 100 / 150, "recall": 1, "accuracy": 0.75}
    assert metric.get_total_metrics()["precision"] == 0.75


def test_objects_are_found_missed_or_invented() -> None:
    truth = [box("cat", 0, 4), box("cat", 10, 14), box("dog", 16, 19)]
    predicted = [box("cat_x", 0, 4, 0.9), box("cat_x", 6, 9, 0.8), box("dog_x", 10, 14, 0.7)]
    objects = sly.PrecisionRecallMetric(MAPPING, 0.5)
    objects.add_pair(*pair(truth, predicted))
    assert objects.get_metrics()["cat"]["precision"] == 0.5 == objects.get_metrics()["cat"]["recall"]
    assert objects.get_total_metrics()["true-positive"] == 1

    matrix = sly.ConfusionMatrixMetric(MAPPING, 0.5)
    matrix.add_pair(*pair(truth, predicted))
    found = matrix.get_metrics()
    assert found[CONFUSION_MATRIX] == {
        ("cat", "cat_x"): 1, ("cat", "dog_x"): 1, ("dog", "cat_x"): 0, ("dog", "dog_x"): 0
    }  # fmt: skip
    assert found[UNMATCHED_GT] == {"cat": 0, "dog": 1}
    assert found[UNMATCHED_PREDICTIONS] == {"cat_x": 1, "dog_x": 0}


def test_the_average_precision_follows_the_confidence() -> None:
    metric = sly.MAPMetric(MAPPING, 0.5)
    predicted = [
        box("cat_x", 0, 4, 0.9),
        box("cat_x", 6, 9, 0.8),
        box("cat_x", 10, 14, 0.7),
        box("cat_x", 16, 17),
    ]
    metric.add_pair(*pair([box("cat", 0, 4), box("cat", 10, 14)], predicted))
    # Up to a recall of 0.5 (6 of 11 points) the precision is 1, then 2 of 3.
    assert metric.get_metrics()["cat"][AP] == pytest.approx((6 + 5 * 2 / 3) / 11)
    assert metric.get_metrics()["dog"][AP] == 0
    surer = sly.MAPMetric({"cat": "cat_x"}, 0.5, confidence_threshold=0.85)
    surer.add_pair(*pair([box("cat", 0, 4), box("cat", 10, 14)], predicted))
    assert surer.get_total_metrics()[AP] == pytest.approx(6 / 11)
    with pytest.raises(ValueError, match="of its own"):
        sly.MAPMetric({"cat": "cat_x", "dog": "cat_x"}, 0.5)


def test_tags_are_right_or_wrong() -> None:
    day, night = sly.TagMeta("day"), sly.TagMeta("night", sly.TagValueType.ANY_NUMBER)
    metric = sly.ClassificationMetrics({"day": "night"}, confidence_threshold=0.5)
    for truth, predicted in (([day], 0.9), ([day], 0.1), ([], 0.8), ([], None), ([], None)):
        tags = [] if predicted is None else [sly.Tag(night, predicted)]
        metric.add_pair(
            sly.Annotation(SIZE, img_tags=[sly.Tag(one) for one in truth]),
            sly.Annotation(SIZE, img_tags=tags),
        )
    found = metric.get_metrics()["day"]
    assert (found["accuracy"], found["precision"], found["recall"], found["F1-measure"]) == (
        0.6,
        0.5,
        0.5,
        0.5,
    )
    assert found == metric.get_total_metrics()


def test_shapes_overlap_by_their_pixels() -> None:
    triangle = sly.Polygon([(0, 0), (0, 9), (9, 0)])
    assert get_geometries_iou(triangle, triangle) == 1
    assert get_geometries_iou(triangle, sly.Rectangle(0, 0, 9, 9)) == 55 / 100
    assert get_geometries_iou(triangle, sly.Rectangle(20, 20, 29, 29)) == 0


def test_two_projects_are_compared_image_by_image(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(sly.TaskPaths, "DATA_DIR", str(tmp_path))
    for name, labels in (("truth", [box("cat", 0, 9)]), ("found", [box("cat_x", 0, 4)])):
        project = sly.Project(str(tmp_path / name), sly.OpenMode.CREATE)
        project.set_meta(sly.ProjectMeta(CLASSES.values(), [SURE]))
        ann = sly.Annotation(SIZE, labels)
        image = np.zeros((*SIZE, 3), np.uint8)
        dataset = project.create_dataset("ds")
        dataset.add_item_np("a.png", image, ann)
        if name == "truth":
            dataset.add_item_np("b.png", image, ann)
    metric = sly.IoUMetric(MAPPING)
    with pytest.raises(RuntimeError, match=r"the same images; ds/b\.png is in one"):
        sly.MetricProjectsApplier(metric, {"project_gt": "truth", "project_pred": "found"})
    with pytest.raises(RuntimeError, match="does not name project_gt"):
        sly.MetricProjectsApplier(metric, {})
    applier = sly.MetricProjectsApplier(metric, {"project_gt": "truth"})
    applier.run_evaluation()
    assert metric.get_metrics()["cat"] == {"intersection": 0, "union": 100, "iou": 0}
    check_class_mapping(applier.project_gt, applier.project_pred, MAPPING)
    with pytest.raises(RuntimeError, match='"truth" has no class "cow"'):
        check_class_mapping(applier.project_gt, applier.project_pred, {"cow": "cat"})
    with pytest.raises(RuntimeError, match='"truth" has no tag "wet"'):
        check_tag_mapping(applier.project_gt, applier.project_pred, {"confidence": "wet"})
    said: list[str] = []
    monkeypatch.setattr(sly.logger, "handle", lambda record: said.append(record.getMessage()))
    metric.log_total_metrics()
    assert "cat: union 100.0" in said and "total: iou 0.0" in said
