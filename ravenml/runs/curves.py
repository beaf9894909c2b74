"""How a run's metrics went over time, from its events."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from ravenml.runs import layout
from ravenml.runs.events import MetricsEvent, effective_metrics

# Seen apart by the colour-blind, and legible on white and on black.
COLOURS = (
    *("#3b7ddd", "#e07b1f", "#2a9d6f", "#c4487f", "#8466d1", "#a8861a", "#1a9bb5", "#d1504a"),
    *("#6b8f23", "#7a7f8c", "#b0652b", "#4f6bb0"),
)


@dataclass
class Curve:
    """One metric over a training.

    Attributes:
        unit: what ``x`` counts: ``epoch``, or ``step`` where the epochs were not told.
        x: ascending, as reported.
        y: a value for each; NaN and infinities as they are.
    """

    unit: str
    x: list[float] = field(default_factory=list)
    y: list[float] = field(default_factory=list)

    def finite(self) -> list[tuple[float, float]]:
        """The points that can be drawn."""
        return [(x, y) for x, y in zip(self.x, self.y, strict=True) if math.isfinite(y)]


def curves(folder: Path) -> dict[str, Curve]:
    """The curve of each metric that a run reported, by address (``val/miou``).

    A k-fold run reports none of its own; its curves are the means over its folds, at the moments at which all
    of them have a value.
    """
    places = layout.fold_folders(folder)
    if not places:
        return _curves(effective_metrics(folder / layout.EVENTS))
    folds = [_curves(effective_metrics(place / layout.EVENTS)) for place in places]
    folds = [one for one in folds if one]
    shared = [name for name in (folds[0] if folds else {}) if all(name in one for one in folds)]
    means = {name: _mean([one[name] for one in folds]) for name in shared}
    return {name: mean for name, mean in means.items() if mean.x}


def _curves(events: Iterable[MetricsEvent]) -> dict[str, Curve]:
    found: dict[str, Curve] = {}
    for event in events:
        if (moment := event.moment()) is not None:
            unit, at = moment
            for address, value in event.numbers():
                curve = found.setdefault(address, Curve(unit))
                if curve.unit == unit:
                    curve.x.append(at)
                    curve.y.append(value)
    return found


def _mean(several: list[Curve]) -> Curve:
    values = [dict(zip(one.x, one.y, strict=True)) for one in several]
    shared = [x for x in several[0].x if all(x in one for one in values)]
    return Curve(several[0].unit, shared, [sum(one[x] for one in values) / len(values) for x in shared])
