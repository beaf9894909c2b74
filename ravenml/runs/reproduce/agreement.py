"""Whether two runs came to the same: metric by metric, their whole curves, folds included."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from ravenml.common.io import JsonObject
from ravenml.runs import layout
from ravenml.runs.curves import Curve, curves
from ravenml.runs.events import as_number
from ravenml.runs.record import read_record
from ravenml.runs.tables import align, select_metrics

IDENTICAL, CLOSE, DIFFERENT, MISSING = "identical", "close", "different", "missing"
CLOSE_SHARE = 0.01  # of the larger of the two values


@dataclass(frozen=True)
class Verdict:
    """What became of one metric.

    Attributes:
        name: its address; of a fold's, with the fold before it (``fold 1: val/miou``).
        before, after: its final values; None where there is none.
        verdict: ``identical`` if it agrees to the last bit, over the whole training; ``close`` if its final
            values differ by 1 % at most, or agree while the way there did not; ``different``; ``missing`` if
            only the first run has it.
    """

    name: str
    before: float | None
    after: float | None
    verdict: str


def agreement(first: Path, second: Path) -> list[Verdict]:
    """Compare the run in ``second``, which repeats it, with the run in ``first``."""
    found = list(_compare(first, second, ""))
    for place in (fold / layout.RUN_JSON for fold in layout.fold_folders(first)):
        fold = place.parent.name
        found += _compare(place.parent, second / layout.FOLDS / fold, f"fold {fold}: ")
    return found


def _compare(first: Path, second: Path, prefix: str) -> Iterable[Verdict]:
    before, after = _finals(first), _finals(second)
    ways_before, ways_after = curves(first), curves(second)
    for name in dict.fromkeys([*before, *ways_before]):
        way, again = ways_before.get(name), ways_after.get(name)
        value = before.get(name, way.y[-1] if way is not None and way.y else None)
        now = after.get(name, again.y[-1] if again is not None and again.y else None)
        yield Verdict(prefix + name, value, now, verdict(value, now, way, again))


def verdict(before: float | None, after: float | None, way: Curve | None, again: Curve | None) -> str:
    """How well two final values, and the ways there, agree."""
    if after is None or before is None:
        return MISSING
    if _same(before, after):
        return IDENTICAL if _same_curve(way, again) else CLOSE
    near = math.isfinite(before) and math.isfinite(after)
    return CLOSE if near and math.isclose(before, after, rel_tol=CLOSE_SHARE) else DIFFERENT


def _same(one: float, other: float) -> bool:
    return one == other or (math.isnan(one) and math.isnan(other))


def _same_curve(way: Curve | None, again: Curve | None) -> bool:
    if way is None or again is None:
        return way is again
    if way.unit != again.unit or way.x != again.x:
        return False
    return all(_same(one, other) for one, other in zip(way.y, again.y, strict=True))


def _finals(folder: Path) -> dict[str, float]:
    if not (folder / layout.RUN_JSON).exists():
        return {}
    metrics: JsonObject = (read_record(folder).get("result") or {}).get("metrics") or {}
    return {name: number for name, value in metrics.items() if (number := as_number(value)) is not None}


def summary(found: list[Verdict]) -> str:
    """All verdicts in one sentence."""
    counts = Counter(one.verdict for one in found)
    parts = [f"{counts[kind]} {kind}" for kind in (IDENTICAL, CLOSE, DIFFERENT, MISSING) if counts[kind]]
    return f"{len(found)} metrics: {', '.join(parts)}." if found else "No metrics were recorded."


def table(found: list[Verdict]) -> list[str]:
    """A row per metric of the whole run, and for those of folds that are not identical."""
    whole = {one.name: one for one in found if not one.name.startswith("fold ")}
    rows = [whole[name] for name in select_metrics(whole)]
    rows += [one for one in found if one not in rows and one.verdict != IDENTICAL]
    cells = [[one.name, _number(one.before), _number(one.after), one.verdict] for one in rows]
    return align([["", "recorded", "now", "verdict"], *cells]) if rows else []


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.6g}"
