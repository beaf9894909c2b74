"""Scores of one project against another, as plugins for metrics compute them.

A metric is given pairs of annotations, the truth first; ``class_mapping`` says which class of the predictions
stands for which of the truth.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from ravenml.sly.annotation import Annotation, Label
from ravenml.sly.geometry import Geometry, Rectangle
from ravenml.sly.paths import TaskPaths
from ravenml.sly.project import OpenMode, Project
from ravenml.sly.project_meta import Tag, TagValueType
from ravenml.sly.reporting import Progress, logger

CLASSES_MAPPING = "classes_mapping"
TAGS_MAPPING = "tags_mapping"
CONFIDENCE_THRESHOLD = "confidence_threshold"
PROJECT_GT = "project_gt"
PROJECT_PRED = "project_pred"

TRUE_POSITIVE = "true-positive"
TRUE_NEGATIVE = "true-negative"
FALSE_POSITIVE = "false-positive"
FALSE_NEGATIVE = "false-negative"
ACCURACY = "accuracy"
PRECISION = "precision"
RECALL = "recall"
F1_MEASURE = "F1-measure"
TOTAL = "total"
TOTAL_GROUND_TRUTH = "total-ground-truth"
TOTAL_PREDICTIONS = "total-predictions"
CONFUSION_MATRIX = "confusion-matrix"
UNMATCHED_GT = "unmatched-gt"
UNMATCHED_PREDICTIONS = "unmatched-predictions"
INTERSECTION = "intersection"
UNION = "union"
IOU = "iou"
AP = "average-precision"
MATCHES = "matches"

Metrics = dict[str, Any]
_RECALLS = np.linspace(0, 1, 11)  # at which the precision is averaged


def safe_ratio(num: float, denom: float) -> float:
    """A quotient; 0 where the divisor is 0."""
    return num / denom if denom != 0 else 0


def sum_counters(
    elementwise_counters: Iterable[Mapping[str, float]], counter_names: Iterable[str]
) -> Metrics:
    """The sums of some counters over several sets of them."""
    counters = list(elementwise_counters)
    return {name: sum(one.get(name, 0) for one in counters) for name in counter_names}


def check_class_mapping(
    first_project: Project, second_project: Project, classes_mapping: Mapping[str, str]
) -> None:
    """Refuse a mapping with a class that its project does not have.

    Raises:
        RuntimeError: there is one.
    """
    _check(first_project, first_project.meta.obj_classes.keys(), classes_mapping.keys(), "class")
    _check(second_project, second_project.meta.obj_classes.keys(), classes_mapping.values(), "class")


def check_tag_mapping(
    first_project: Project, second_project: Project, tags_mapping: Mapping[str, str]
) -> None:
    """The same for tags."""
    _check(first_project, first_project.meta.tag_metas.keys(), tags_mapping.keys(), "tag")
    _check(second_project, second_project.meta.tag_metas.keys(), tags_mapping.values(), "tag")


def _check(project: Project, known: Collection[str], named: Iterable[str], what: str) -> None:
    for name in named:
        if name not in known:
            raise RuntimeError(f'The project "{project.name}" has no {what} "{name}".')


class MetricsBase:
    """What a metric has; ``add_pair`` and ``get_metrics`` are its own."""

    def add_pair(self, ann_gt: Annotation, ann_pred: Annotation) -> None:
        """Count an image: the truth, and what was predicted."""
        raise NotImplementedError(f"{type(self).__name__} must say what add_pair does.")

    def get_metrics(self) -> Metrics:
        """The scores of each class or tag."""
        raise NotImplementedError(f"{type(self).__name__} must say what get_metrics does.")

    def get_total_metrics(self) -> Metrics:
        """The scores of all together."""
        raise NotImplementedError(f"{type(self).__name__} must say what get_total_metrics does.")

    def log_total_metrics(self) -> None:
        """Log the scores, a line for each."""
        for title, scores in (*self.get_metrics().items(), (TOTAL, self.get_total_metrics())):
            shown = scores.items() if isinstance(scores, Mapping) else [("", scores)]
            for name, value in shown:
                logger.info(f"{title}: {name} {value}", extra={"metric": f"{title} {name}".strip()})


class MetricProjectsApplier:
    """Counts all images of the task's projects.

    Args:
        metric: what counts them.
        config: names the projects: ``project_gt``, and ``project_pred`` if it is another.

    Raises:
        RuntimeError: a project is not named, or the two do not hold the same images.
    """

    def __init__(self, metric: MetricsBase, config: Mapping[str, Any]) -> None:
        self._metric = metric
        self.project_gt = self._open(config, PROJECT_GT)
        self.project_pred = self._open(config, PROJECT_PRED) if PROJECT_PRED in config else self.project_gt
        truth, predicted = self._items(self.project_gt), self._items(self.project_pred)
        if truth != predicted:
            where, name = min(truth ^ predicted)
            raise RuntimeError(f"Both projects must hold the same images; {where}/{name} is in one of them.")

    def run_evaluation(self) -> None:
        """Count every image; one whose annotation is unusable is left out with a warning."""
        progress = Progress("metric evaluation", self.project_gt.total_items)
        for truth in self.project_gt:
            predicted = next(one for one in self.project_pred if one.name == truth.name)
            for name in truth:
                try:
                    ann = truth.get_ann(name, self.project_gt.meta)
                    self._metric.add_pair(ann, predicted.get_ann(name, self.project_pred.meta))
                except ValueError as error:
                    logger.warning(f"{truth.name}/{name} is left out: {error}")
                progress.iter_done_report()

    @staticmethod
    def _open(config: Mapping[str, Any], field: str) -> Project:
        if not config.get(field):
            raise RuntimeError(f"The task's config does not name {field}.")
        return Project(os.path.join(TaskPaths.DATA_DIR, config[field]), OpenMode.READ)

    @staticmethod
    def _items(project: Project) -> set[tuple[str, str]]:
        return {(dataset.name, name) for dataset in project for name in dataset}


class _OfClasses(MetricsBase):
    """A metric with counters for each class of the truth."""

    counters: Sequence[str] = ()

    def __init__(self, class_mapping: Mapping[str, str]) -> None:
        if not class_mapping:
            raise RuntimeError("A metric needs a pair of classes at least.")
        self._mapping = dict(class_mapping)
        self._counters: dict[str, Counter[str]] = {title: Counter() for title in self._mapping}

    @staticmethod
    def _scores(counted: Metrics) -> Metrics:
        return counted

    def get_metrics(self) -> Metrics:
        return {
            title: self._scores(sum_counters([found], self.counters))
            for title, found in self._counters.items()
        }

    def get_total_metrics(self) -> Metrics:
        return self._scores(sum_counters(self._counters.values(), self.counters))


class IoUMetric(_OfClasses):
    """Intersection over union of each class's pixels; intersection and union are means of an image."""

    counters = (INTERSECTION, UNION, TOTAL_GROUND_TRUTH)

    def add_pair(self, ann_gt: Annotation, ann_pred: Annotation) -> None:
        for title, other in self._mapping.items():
            truth = _drawn(ann_gt.labels, {title: 1}, ann_gt.img_size) > 0
            predicted = _drawn(ann_pred.labels, {other: 1}, ann_gt.img_size) > 0
            found = {INTERSECTION: truth & predicted, UNION: truth | predicted}
            self._counters[title].update({name: int(mask.sum()) for name, mask in found.items()})
            self._counters[title][TOTAL_GROUND_TRUTH] += 1

    @staticmethod
    def _scores(counted: Metrics) -> Metrics:
        images = counted.pop(TOTAL_GROUND_TRUTH)
        iou = safe_ratio(counted[INTERSECTION], counted[UNION])
        return {**{name: safe_ratio(value, images) for name, value in counted.items()}, IOU: iou}

    def get_total_metrics(self) -> Metrics:
        """The sums of the classes' means, and the intersection over union of all pixels."""
        totals = sum_counters(self._counters.values(), (INTERSECTION, UNION))
        return {**totals, IOU: safe_ratio(totals[INTERSECTION], totals[UNION])}


class PixelAccuracyMetric(_OfClasses):
    """Precision, recall and accuracy of each class's pixels, and of all."""

    counters = (TRUE_POSITIVE, TRUE_NEGATIVE, FALSE_POSITIVE, FALSE_NEGATIVE)

    def __init__(self, class_mapping: Mapping[str, str]) -> None:
        super().__init__(class_mapping)
        self._total: Counter[str] = Counter()

    def add_pair(self, ann_gt: Annotation, ann_pred: Annotation) -> None:
        size = ann_gt.img_size
        numbers = {title: number for number, title in enumerate(self._mapping, start=1)}
        truth = _drawn(ann_gt.labels, numbers, size)
        predicted = _drawn(ann_pred.labels, {self._mapping[k]: v for k, v in numbers.items()}, size)
        for title, number in numbers.items():
            mine, other = truth == number, predicted == number
            self._count(self._counters[title], mine & other, ~mine & ~other, ~mine & other, mine & ~other)
        same, none, void = truth == predicted, truth == 0, predicted == 0
        self._count(self._total, same & ~void, none & void, ~same & ~void, ~none & void)

    def _count(self, into: Counter[str], *masks: np.ndarray) -> None:
        into.update({name: int(mask.sum()) for name, mask in zip(self.counters, masks, strict=True)})
        into[TOTAL] += masks[0].size

    def get_metrics(self) -> Metrics:
        return {title: self._shares(found) for title, found in self._counters.items()}

    def get_total_metrics(self) -> Metrics:
        return self._shares(self._total)

    @staticmethod
    def _shares(counted: Mapping[str, int]) -> Metrics:
        right, both = counted[TRUE_POSITIVE], counted[TRUE_POSITIVE] + counted[TRUE_NEGATIVE]
        return {
            PRECISION: safe_ratio(right, right + counted[FALSE_POSITIVE]),
            RECALL: safe_ratio(right, right + counted[FALSE_NEGATIVE]),
            ACCURACY: safe_ratio(both, counted[TOTAL]),
        }


class PrecisionRecallMetric(_OfClasses):
    """Precision and recall of each class's objects, matched by their intersection over union."""

    counters = (TRUE_POSITIVE, TOTAL_GROUND_TRUTH, TOTAL_PREDICTIONS)

    def __init__(self, class_mapping: Mapping[str, str], iou_threshold: float) -> None:
        super().__init__(class_mapping)
        self._threshold = iou_threshold

    def add_pair(self, ann_gt: Annotation, ann_pred: Annotation) -> None:
        for title, other in self._mapping.items():
            truth = filter_labels_by_name(ann_gt.labels, [title])
            predicted = filter_labels_by_name(ann_pred.labels, [other])
            found = match_labels_by_iou(truth, predicted, ann_gt.img_size, self._threshold)
            counted = len(found.matches), len(truth), len(predicted)
            self._counters[title].update(dict(zip(self.counters, counted, strict=True)))

    @staticmethod
    def _scores(counted: Metrics) -> Metrics:
        right = counted[TRUE_POSITIVE]
        precision = safe_ratio(right, counted[TOTAL_PREDICTIONS])
        return {**counted, PRECISION: precision, RECALL: safe_ratio(right, counted[TOTAL_GROUND_TRUTH])}


class MAPMetric(MetricsBase):
    """The mean average precision of objects (11 points, as PASCAL VOC until 2009).

    Args:
        class_mapping: which class of the predictions stands for which of the truth, one for one.
        iou_threshold: from which intersection over union a prediction is right.
        confidence_tag_name: the tag that tells how sure a prediction is.
        confidence_threshold: less sure ones do not count.
    """

    def __init__(
        self,
        class_mapping: Mapping[str, str],
        iou_threshold: float,
        confidence_tag_name: str = "confidence",
        confidence_threshold: float = 0.0,
    ) -> None:
        if not class_mapping:
            raise RuntimeError("A metric needs a pair of classes at least.")
        if len(set(class_mapping.values())) != len(class_mapping):
            raise ValueError("Each class of the truth needs a class of the predictions of its own.")
        self._mapping, self._threshold = dict(class_mapping), iou_threshold
        self._tag, self._least = confidence_tag_name, confidence_threshold
        self._found: dict[str, list[tuple[float, bool]]] = {title: [] for title in self._mapping}
        self._truths: Counter[str] = Counter()

    def add_pair(self, ann_gt: Annotation, ann_pred: Annotation) -> None:
        truth = filter_labels_by_name(ann_gt.labels, self._mapping)
        titles = {other: title for title, other in self._mapping.items()}
        predicted = []
        for label in filter_labels_by_name(ann_pred.labels, titles):
            if label.tags.get(self._tag) is None:
                logger.warning(f"An object of the class {label.obj_class.name!r} has no tag {self._tag!r}.")
            elif self._confidence(label) >= self._least:
                predicted.append(label)
        found = match_labels_by_iou(truth, predicted, ann_gt.img_size, self._threshold)
        for one in found.matches:
            title = one.label_1.obj_class.name
            right = one.label_2.obj_class.name == self._mapping[title]
            self._found[title].append((self._confidence(one.label_2), right))
        for label in found.unmatched_labels_2:
            self._found[titles[label.obj_class.name]].append((self._confidence(label), False))
        self._truths.update(label.obj_class.name for label in truth)

    def get_metrics(self) -> Metrics:
        return {title: {AP: self._average(title)} for title in self._mapping}

    def get_total_metrics(self) -> Metrics:
        return {AP: float(np.mean([one[AP] for one in self.get_metrics().values()]))}

    def _confidence(self, label: Label) -> float:
        (tag, *_) = label.tags.get_all(self._tag)
        return float(tag.value or 0)

    def _average(self, title: str) -> float:
        found = sorted(self._found[title], key=lambda one: one[0], reverse=True)
        right = np.cumsum([is_right for _, is_right in found])
        if not len(right) or right[-1] == 0:
            return 0.0
        recalls, precisions = right / self._truths[title], right / np.arange(1, len(right) + 1)
        return float(np.mean([precisions[recalls >= least].max(initial=0) for least in _RECALLS]))


class ConfusionMatrixMetric(MetricsBase):
    """How often objects of each class were found as which; matched by their intersection over union."""

    def __init__(self, class_mapping: Mapping[str, str], iou_threshold: float) -> None:
        if not class_mapping:
            raise RuntimeError("A metric needs a pair of classes at least.")
        self._threshold = iou_threshold
        self._matrix = {(title, other): 0 for title in class_mapping for other in class_mapping.values()}
        self._missed = dict.fromkeys(class_mapping, 0)
        self._invented = dict.fromkeys(class_mapping.values(), 0)

    def add_pair(self, ann_gt: Annotation, ann_pred: Annotation) -> None:
        truth = filter_labels_by_name(ann_gt.labels, self._missed)
        predicted = filter_labels_by_name(ann_pred.labels, self._invented)
        found = match_labels_by_iou(truth, predicted, ann_gt.img_size, self._threshold)
        for one in found.matches:
            self._matrix[one.label_1.obj_class.name, one.label_2.obj_class.name] += 1
        for label in found.unmatched_labels_1:
            self._missed[label.obj_class.name] += 1
        for label in found.unmatched_labels_2:
            self._invented[label.obj_class.name] += 1

    def get_metrics(self) -> Metrics:
        return {
            CONFUSION_MATRIX: dict(self._matrix),
            UNMATCHED_GT: dict(self._missed),
            UNMATCHED_PREDICTIONS: dict(self._invented),
        }

    get_total_metrics = get_metrics

    def log_total_metrics(self) -> None:
        """Log the counts, a line for each pair of classes that occurred, and for what has no partner."""
        for (title, other), count in self._matrix.items():
            logger.info(f"{title} found as {other}: {count}")
        for title, count in self._missed.items():
            logger.info(f"{title} not found: {count}")
        for title, count in self._invented.items():
            logger.info(f"{title} found where there is none: {count}")


class ClassificationMetrics(MetricsBase):
    """Scores of the images' tags.

    Args:
        tags_mapping: which tag of the predictions stands for which of the truth.
        confidence_threshold: from which value a tag with a number counts.
    """

    def __init__(self, tags_mapping: Mapping[str, str], confidence_threshold: float = 0) -> None:
        if not tags_mapping:
            raise RuntimeError("A metric needs a pair of tags at least.")
        self._mapping, self._least = dict(tags_mapping), confidence_threshold
        self._counters: dict[str, Counter[str]] = {name: Counter() for name in self._mapping}

    def add_pair(self, ann_gt: Annotation, ann_pred: Annotation) -> None:
        names = {
            (True, True): TRUE_POSITIVE, (False, False): TRUE_NEGATIVE,
            (False, True): FALSE_POSITIVE, (True, False): FALSE_NEGATIVE,
        }  # fmt: skip
        for name, other in self._mapping.items():
            pair = self._counts(ann_gt.img_tags.get(name)), self._counts(ann_pred.img_tags.get(other))
            self._counters[name][names[pair]] += 1

    def get_metrics(self) -> Metrics:
        return {name: self._scores(found) for name, found in self._counters.items()}

    def get_total_metrics(self) -> Metrics:
        return self._scores(sum(self._counters.values(), Counter()))

    def _counts(self, tag: Tag | None) -> bool:
        if tag is None:
            return False
        number = tag.meta.value_type == TagValueType.ANY_NUMBER
        return not number or float(tag.value) >= self._least

    @staticmethod
    def _scores(counted: Counter[str]) -> Metrics:
        names = (TRUE_POSITIVE, TRUE_NEGATIVE, FALSE_POSITIVE, FALSE_NEGATIVE)
        right, without, wrong, missed = (counted[name] for name in names)
        return {
            **{name: counted[name] for name in names},
            ACCURACY: safe_ratio(right + without, right + without + wrong + missed),
            PRECISION: safe_ratio(right, right + wrong),
            RECALL: safe_ratio(right, right + missed),
            F1_MEASURE: safe_ratio(2 * right, 2 * right + wrong + missed),
        }


class LabelsPairWithScore(NamedTuple):
    """Two objects that belong together."""

    label_1: Label
    label_2: Label
    score: float


class LabelsMatchResult(NamedTuple):
    """Which objects belong together, and which have no partner."""

    matches: list[LabelsPairWithScore]
    unmatched_labels_1: list[Label]
    unmatched_labels_2: list[Label]


def filter_labels_by_name(labels: Iterable[Label], names_whitelist: Collection[str]) -> list[Label]:
    """The objects of some classes."""
    return [label for label in labels if label.obj_class.name in names_whitelist]


def match_labels_by_iou(
    labels_1: Sequence[Label], labels_2: Sequence[Label], img_size: Sequence[int], iou_threshold: float
) -> LabelsMatchResult:
    """Pairs of objects, the most similar first, whose intersection over union is the threshold at least."""
    pairs = [
        (get_geometries_iou(one.geometry, other.geometry), i, j)
        for i, one in enumerate(labels_1)
        for j, other in enumerate(labels_2)
    ]
    left, right = dict(enumerate(labels_1)), dict(enumerate(labels_2))
    matches = []
    for value, i, j in sorted(pairs, key=lambda pair: pair[0], reverse=True):
        if value >= iou_threshold and i in left and j in right:
            matches.append(LabelsPairWithScore(left.pop(i), right.pop(j), value))
    return LabelsMatchResult(matches, [*left.values()], [*right.values()])


def get_geometries_iou(geometry_1: Geometry, geometry_2: Geometry) -> float:
    """The intersection over union of two shapes' pixels."""
    first, second = geometry_1.to_bbox(), geometry_2.to_bbox()
    if not first.crop(second):
        return 0.0
    whole = Rectangle(
        min(first.top, second.top), min(first.left, second.left),
        max(first.bottom, second.bottom), max(first.right, second.right),
    )  # fmt: skip
    masks = []
    for geometry in (geometry_1, geometry_2):
        mask = np.zeros(whole.to_size(), bool)
        geometry.translate(-whole.top, -whole.left).draw(mask, True)
        masks.append(mask)
    return safe_ratio(float((masks[0] & masks[1]).sum()), float((masks[0] | masks[1]).sum()))


def _drawn(labels: Iterable[Label], numbers: Mapping[str, int], size: tuple[int, int]) -> np.ndarray:
    """The number of the class that is drawn last at each pixel; 0 for those that have none."""
    canvas = np.zeros(size, np.int32)
    for label in labels:
        label.geometry.draw(canvas, numbers.get(label.obj_class.name, 0))
    return canvas
