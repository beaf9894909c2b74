"""What the folds of a k-fold run add up to: ``summary.json`` and the printed table."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from ravenml.common.io import JsonObject, to_jsonable
from ravenml.data.project import Item, Project
from ravenml.data.samples import Samples
from ravenml.data.split import Split
from ravenml.errors import RavenError
from ravenml.infer.metrics import confusion_matrix
from ravenml.infer.predictor import load_predictor
from ravenml.runs import layout
from ravenml.runs.record import read_record, status
from ravenml.runs.tables import fold_table
from ravenml.train.scores import Scores

SCHEMA = 1


@dataclass(frozen=True)
class FoldResult:
    """How one fold ended.

    Attributes:
        metrics: its final scores, by address; empty unless it is completed.
        model: its model's name within the k-fold run's folder.
        error: why it failed.
    """

    fold: int
    status: str
    metrics: dict[str, float] = field(default_factory=dict)
    model: str | None = None
    metadata: JsonObject = field(default_factory=dict)
    error: str | None = None


@dataclass(frozen=True)
class Summary:
    """A k-fold run's scores.

    Attributes:
        out_of_fold: the scores over all images, each predicted once, by the model that never saw it;
            None where they cannot be had.
        source: where they come from: ``scores`` (the plugin's own statistics), ``predictor``, or None.
        images: over how many images.
        why_not: why there is no out-of-fold score.
    """

    folds: list[FoldResult]
    out_of_fold: dict[str, float] | None
    source: str | None
    images: int
    why_not: str | None = None

    def failed(self) -> dict[int, str]:
        """Why each fold that is not completed is not."""
        return {one.fold: one.error or one.status for one in self.folds if one.status != "completed"}

    def names(self) -> list[str]:
        """Every metric that a completed fold has, plain ones before classes."""
        found = dict.fromkeys(name for one in self.folds for name in one.metrics)
        whole = [name for name in found if name.count("/") < 2]
        return whole + [name for name in found if name.count("/") >= 2]

    def values(self, name: str) -> list[float]:
        """A metric's finite values over the completed folds."""
        given = (one.metrics.get(name) for one in self.folds)
        return [float(value) for value in given if isinstance(value, int | float) and math.isfinite(value)]

    def mean(self, name: str) -> float | None:
        """The mean over the completed folds that have it."""
        values = self.values(name)
        return statistics.fmean(values) if values else None

    def std(self, name: str) -> float | None:
        """The sample standard deviation (n - 1); None with fewer than two values."""
        values = self.values(name)
        return statistics.stdev(values) if len(values) > 1 else None

    def headline(self) -> dict[str, float]:
        """The scores that stand for the whole run: out of fold where there are any, else the means."""
        means = {name: mean for name in self.names() if (mean := self.mean(name)) is not None}
        return means | {f"val/{name}": value for name, value in (self.out_of_fold or {}).items()}

    def models(self) -> dict[str, str]:
        """The folds' models by suffix to the run's id."""
        return {f"-f{one.fold}": one.model for one in self.folds if one.model is not None}

    def metadata(self) -> JsonObject:
        """What is stored about the run beside its scores."""
        named = {one.metadata["architecture"] for one in self.folds if one.metadata.get("architecture")}
        return {"kfold": self.as_json()} | ({"architecture": named.pop()} if len(named) == 1 else {})

    def as_json(self) -> JsonObject:
        """The content of ``summary.json``."""
        names = self.names()
        return {
            "v": SCHEMA,
            "folds": [
                {k: v for k, v in vars(one).items() if v not in (None, {}) and k != "metadata"}
                for one in self.folds
            ],
            "mean": {name: self.mean(name) for name in names},
            "std": {name: self.std(name) for name in names},
            "out_of_fold": self.out_of_fold,
            "out_of_fold_source": self.source,
            "out_of_fold_images": self.images,
            "out_of_fold_missing": self.why_not,
        }

    def table(self, width: int | None = None) -> list[str]:
        """The summary as lines for a terminal; see :func:`ravenml.runs.tables.fold_table`."""
        return fold_table(self.as_json(), width)


def summarise(folder: Path, project: Project, plan: Sequence[Split]) -> Summary:
    """Gather the folds of the run in ``folder`` and score its images out of fold."""
    folds = [fold_result(folder, fold) for fold in range(len(plan))]
    missing = [one.fold for one in folds if one.status != "completed"]
    if missing:
        listed = ", ".join(map(str, missing))
        return Summary(folds, None, None, 0, f"of fold{'s' * (len(missing) > 1)} {listed} there is no model")
    try:
        scores, source = _scores(folder, project, plan)
        values = scores.values()
    except Exception as error:  # a plugin's code: the folds' own results must not be lost over it
        reason = str(error) if isinstance(error, RavenError) else f"{type(error).__name__}: {error}"
        return Summary(folds, None, None, 0, reason.rstrip("."))
    return Summary(folds, to_jsonable(values, "the out-of-fold score"), source, len(scores.items))


def _scores(folder: Path, project: Project, plan: Sequence[Split]) -> tuple[Scores, str]:
    """The statistics of all folds together, and where they come from.

    Raises:
        RavenError: there are none, or a fold scored other images than those that it validates with.
    """
    places = [folder / layout.FOLDS / str(fold) for fold in range(len(plan))]
    if all((place / layout.SCORES).exists() for place in places):
        parts = [Scores.load(place / layout.SCORES) for place in places]
        for fold, (part, one) in enumerate(zip(parts, plan, strict=True)):
            if sorted(part.items) != sorted(item.key for item in one.val):
                raise RavenError(f"fold {fold} scored other images than those that it validates with")
        return Scores.together(parts), "scores"
    try:
        parts = [
            predict_scores(place / layout.MODEL_STATE, project, one.val)
            for place, one in zip(places, plan, strict=True)
        ]
    except RavenError as error:
        reason = str(error).rstrip(".")
        raise RavenError(f"the plugin returns no scores, and its models cannot be asked ({reason})") from None
    return Scores.together(parts), "predictor"


def predict_scores(model: Path, project: Project, items: Sequence[Item]) -> Scores:
    """Predict a segmentation of ``items`` at their own size, and count pixels by true and predicted class.

    Raises:
        RavenError: there is no such model, its plugin cannot predict, or it predicts something else.
    """
    predictor = load_predictor(model)
    if predictor.task != "segmentation":
        raise RavenError(
            f"{model} is a model for {predictor.task}; only segmentation can be scored like this."
        )
    titles = list(predictor.classes)
    samples = Samples(project, items, titles)
    counts = np.zeros((len(items), len(titles), len(titles)), dtype=np.int64)
    for index in range(len(items)):
        image, truth = samples[index]
        counts[index] = confusion_matrix(truth, predictor.predict(image[None])[0], len(titles))
    return Scores.segmentation([item.key for item in items], counts, titles)


def fold_result(folder: Path, fold: int) -> FoldResult:
    """How a fold stands now."""
    place = folder / layout.FOLDS / str(fold)
    if not (place / layout.RUN_JSON).exists():
        return FoldResult(fold, "missing", error=failure_reason(place))
    record = read_record(place)
    now = status(place, record)
    if now != "completed":
        return FoldResult(fold, now, error=failure_reason(place))
    result = record["result"]
    model = f"{layout.FOLDS}/{fold}/{result['model']}" if result.get("model") else None
    return FoldResult(fold, now, result.get("metrics") or {}, model, result.get("metadata") or {})


def failure_reason(place: Path, code: int | None = None) -> str:
    """Why a fold failed, in one line.

    Args:
        place: the fold's folder.
        code: its process's exit code where that is known; negative for a signal.
    """
    log = place / layout.CONSOLE
    if code is not None and code < 0:
        return f"its process was ended by signal {-code}; see {log}"
    record = read_record(place) if (place / layout.RUN_JSON).exists() else {}
    result = record.get("result") or {}
    message = result.get("error") or result.get("reason")
    if message:
        return str(message).splitlines()[0]
    lines = log.read_text(errors="replace").splitlines() if log.exists() else []
    errors = [line.removeprefix("Error: ") for line in lines if line.startswith("Error: ")]
    nothing = (
        "the command ended without using its run or returning anything"
        if log.exists()
        else "it was not trained"
    )
    return errors[-1] if errors else f"its process ended; see {log}" if lines else nothing
