"""Runs in groups of equal settings: the mean of each score, its deviation, and of how many runs."""

from __future__ import annotations

import csv
import io
import json
import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ravenml.common.formatting import format_number
from ravenml.common.io import JsonObject
from ravenml.errors import InputError
from ravenml.runs.comparison import Comparison
from ravenml.runs.events import as_number
from ravenml.runs.filters import Row
from ravenml.runs.tables import align, select_metrics

_FIELDS = ("plugin", "dataset")  # of a row, by which runs can be grouped too
_FACTS = ("status",)  # what differs between runs, but is not a choice of anybody's


@dataclass(frozen=True)
class Spread:
    """A score in one group.

    Attributes:
        mean: over the runs that have the score.
        std: the sample's standard deviation (n - 1); None for one run.
        n: how many runs have it.
    """

    mean: float
    std: float | None
    n: int

    def __str__(self) -> str:
        return format_number(self.mean) + (f" ± {format_number(self.std)}" if self.std is not None else "")


@dataclass(frozen=True)
class Group:
    """Runs that agree about the settings that they are grouped by.

    Attributes:
        values: those settings; None where the runs have none.
        ids: the runs.
        metrics: by address.
    """

    values: JsonObject
    ids: list[str]
    metrics: dict[str, Spread]

    def as_json(self) -> JsonObject:
        """Plain values."""
        scores = {name: {"mean": s.mean, "std": s.std, "n": s.n} for name, s in self.metrics.items()}
        return {"group": self.values, "runs": self.ids, "metrics": scores}


def group_runs(compared: Comparison, names: Sequence[str]) -> list[Group]:
    """Put runs that agree about these settings into one group, in the order of their first runs.

    Args:
        compared: the runs.
        names: settings; ``-seed`` means all that differ between the runs, but this one.

    Raises:
        InputError: a name is not a setting of any of the runs.
    """
    differing = [name for name in compared.differing if name not in _FACTS]
    return _group(compared.ids, compared.settings, differing, compared.metrics, names)


def group_rows(rows: Sequence[Row], names: Sequence[str], metrics: Sequence[str]) -> list[Group]:
    """Put runs of a list that agree about these settings into one group, in the order of their first runs.

    Args:
        rows: flat records as ``ravenml.runs.index`` makes them.
        names: settings, ``plugin``, ``dataset``; ``-seed`` means all that differ between the runs, but this
            one.
        metrics: those to take the mean of.

    Raises:
        InputError: a name is not a setting of any of the runs.
    """
    settings = [list_choices(row) for row in rows]
    values = {name: [row["metrics"].get(name) for row in rows] for name in metrics}
    return _group([row["id"] for row in rows], settings, find_differing(settings), values, names)


def list_choices(row: Row) -> JsonObject:
    """What somebody chose for a run of a list: its plugin, its dataset and its settings, by name."""
    return {**{name: row.get(name) for name in _FIELDS}, **row["settings"]}


def find_differing(settings: Sequence[JsonObject]) -> list[str]:
    """The settings that not all runs agree about, by name; of a run that lacks one it is None."""
    first = settings[0] if settings else {}
    differing: set[str] = set()
    for one in settings:
        if one != first:
            differing |= {name for name, value in one.items() if first.get(name) != value}
            differing |= {name for name, value in first.items() if one.get(name) != value}
    return sorted(differing)


def _group(
    ids: Sequence[str],
    settings: Sequence[JsonObject],
    differing: Sequence[str],
    metrics: Mapping[str, Sequence[object]],
    names: Sequence[str],
) -> list[Group]:
    without = [name[1:] for name in names if name.startswith("-")]
    chosen = [name for name in names if not name.startswith("-")]
    known = list(dict.fromkeys(name for one in settings for name in one))
    for name in [*chosen, *without]:
        if name not in known:
            from ravenml.data.problems import suggestion

            raise InputError(
                f"--group-by: none of the runs has the setting {name!r}; {suggestion(name, known)}"
            )
    if without:
        chosen = list(dict.fromkeys([*chosen, *(name for name in differing if name not in without)]))
    members: dict[str, list[int]] = {}
    for number, one in enumerate(settings):
        key = json.dumps([one.get(name) for name in chosen], default=str)
        members.setdefault(key, []).append(number)
    return [
        Group(
            {name: settings[runs[0]].get(name) for name in chosen},
            [ids[number] for number in runs],
            {
                name: spread
                for name, values in metrics.items()
                if (spread := _spread([values[number] for number in runs])) is not None
            },
        )
        for runs in members.values()
    ]


def _spread(values: Sequence[object]) -> Spread | None:
    """None where no run has the score; one that is not finite makes the mean not finite either."""
    numbers = [number for value in values if (number := as_number(value)) is not None]
    if not numbers:
        return None
    if not all(map(math.isfinite, numbers)):
        return Spread(math.nan, None, len(numbers))
    deviation = statistics.stdev(numbers) if len(numbers) > 1 else None
    return Spread(statistics.fmean(numbers), deviation, len(numbers))


def group_table(groups: Sequence[Group]) -> list[str]:
    """A row for each group: what it is, how many runs, the scores that a person compares by."""
    scores = select_metrics({name: None for one in groups for name in one.metrics})
    if not scores:
        return ["No scores were reported."]
    rows = [["", "n", *scores]]
    for one in groups:
        cells = [_cell(one.metrics.get(name), len(one.ids)) for name in scores]
        rows.append([_label(one), str(len(one.ids)), *cells])
    return align(rows)


def _cell(spread: Spread | None, runs: int) -> str:
    if spread is None:
        return "-"
    return str(spread) if spread.n == runs else f"{spread} (n={spread.n})"


def _label(group: Group) -> str:
    return "  ".join(f"{name}={value}" for name, value in group.values.items()) or "all runs"


def group_csv(groups: Sequence[Group]) -> str:
    """All scores of all groups: per score a column each for mean, deviation and number of runs."""
    settings = list(groups[0].values) if groups else []
    scores = list(dict.fromkeys(name for one in groups for name in one.metrics))
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    columns = [f"{name} {part}" for name in scores for part in ("mean", "std", "n")]
    writer.writerow([*settings, "runs", *columns])
    for one in groups:
        found = [one.metrics.get(name) for name in scores]
        cells = [cell for s in found for cell in ((s.mean, s.std, s.n) if s else (None, None, 0))]
        writer.writerow([*one.values.values(), len(one.ids), *cells])
    return text.getvalue()
