"""Runs side by side: the settings that differ, the metrics, and how they went."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from ravenml.common.formatting import format_number, terminal_safe
from ravenml.common.io import JsonObject
from ravenml.errors import InputError
from ravenml.runs.curves import Curve, curves
from ravenml.runs.events import as_number
from ravenml.runs.notes import apply_notes, notes_or_reason
from ravenml.runs.overview import full_name, headline
from ravenml.runs.record import read_record, status
from ravenml.runs.run_row import flat_settings, program_of
from ravenml.runs.tables import align, select_metrics


@dataclass(frozen=True)
class Comparison:
    """Several runs.

    Attributes:
        ids: the runs, in the order asked for.
        names: what people call each; empty for a run without a name.
        differing: what not all of them agree about, by name: a value for each run, None where it has none.
        settings: all that each run was told, and its dataset and commit.
        metrics: by address, a value for each run.
        curves: each run's curves.
        best_metric: by which all their plugins choose the best checkpoint; None where they go by several.
    """

    ids: list[str]
    names: list[str]
    differing: dict[str, list[object]]
    settings: list[JsonObject]
    metrics: dict[str, list[object]]
    curves: list[dict[str, Curve]]
    best_metric: str | None = None

    def curve(self, address: str) -> list[Curve | None]:
        """A metric's curve for each run; in one unit, so that they can be drawn over each other."""
        found = [one.get(address) for one in self.curves]
        units = {curve.unit for curve in found if curve is not None}
        return [
            curve if curve is None or len(units) == 1 or curve.unit == "step" else None for curve in found
        ]

    def metrics_to_chart(self, wanted: Sequence[str]) -> list[str]:
        """The metrics to draw: those wanted, else the one by which a list names a run.

        Raises:
            InputError: none of the runs reported a wanted one over time.
        """
        known = list(dict.fromkeys(name for one in self.curves for name in one))
        for name in wanted:
            if name not in known:
                from ravenml.data.problems import suggestion

                raise InputError(f"--metric: no curve of {name!r} was reported; {suggestion(name, known)}")
        if wanted:
            return list(dict.fromkeys(wanted))
        values = {name: 0.0 for name in known}
        first = headline(values, self.best_metric)[0] or next(iter(known), "")
        return [first] if first else []

    def as_json(self) -> JsonObject:
        """Plain values."""
        return {"runs": self.ids, "names": self.names, "settings": self.differing, "metrics": self.metrics}

    def settings_table(self) -> list[str]:
        """What differs, a row each."""
        rows = [
            ["", *self.ids],
            *([["name", *(name or "-" for name in self.names)]] if any(self.names) else []),
        ]
        rows += [[name, *map(_cell, values)] for name, values in self.differing.items()]
        return [
            *(align(rows) if len(rows) > 1 else []),
            *([] if self.differing else ["Identical settings."]),
        ]

    def metrics_table(self) -> list[str]:
        """The scores that a person compares by, a row each; of two runs also the difference."""
        names = select_metrics(self.metrics)
        two = len(self.ids) == 2
        rows = [["", *self.ids, *(["difference"] if two else [])]]
        for name in names:
            values = self.metrics[name]
            rows.append([name, *map(format_number, values), *([_difference(values)] if two else [])])
        return align(rows) if names else ["No scores were reported."]


def compare(folders: Sequence[Path]) -> Comparison:
    """Read several runs and set them side by side.

    Raises:
        RavenError: one of them has a broken record.
    """
    records = [read_record(folder) for folder in folders]
    every = [curves(folder) for folder in folders]
    told = [_describe(folder, record) for folder, record in zip(folders, records, strict=True)]
    names = dict.fromkeys(name for one in told for name in one)
    differing = {name: [one.get(name) for one in told] for name in names}
    differing = {name: values for name, values in differing.items() if any(v != values[0] for v in values)}
    if differing.keys().isdisjoint(name for record in records for name in flat_settings(record)):
        differing |= _differing_programs(records)
    scores = [
        (record.get("result") or {}).get("metrics") or {name: curve.y[-1] for name, curve in one.items()}
        for record, one in zip(records, every, strict=True)
    ]
    addresses = dict.fromkeys(name for one in scores for name in one)
    metrics = {name: [one.get(name) for one in scores] for name in addresses}
    ids = [folder.name for folder in folders]
    best = {record.get("best_metric") for record in records}
    only = best.pop() if len(best) == 1 else None  # of plugins that go by different ones, a well-known one
    called = [
        full_name(apply_notes(record, notes_or_reason(folder)))
        for folder, record in zip(folders, records, strict=True)
    ]
    return Comparison(ids, called, differing, told, metrics, every, only)


def best_value(name: str, values: Sequence[object]) -> float | None:
    """The best value of a score: the lowest of a loss, else the highest; None where all are equal."""
    numbers = [as_number(value) for value in values]
    known = [number for number in numbers if number is not None and not math.isnan(number)]
    if len(set(known)) < 2:
        return None
    return min(known) if "loss" in name else max(known)


def _differing_programs(records: Sequence[JsonObject]) -> JsonObject:
    """What tells command lines apart of which no setting does: the words that are not in all of them."""
    programs = [program_of(record) for record in records]
    if all(program == programs[0] for program in programs):
        return {}
    common = set(programs[0]).intersection(*programs)
    words = [" ".join(word for word in program if word not in common) for program in programs]
    told_apart = len(set(words)) > 1
    return {"program": words if told_apart else [" ".join(program) for program in programs]}


def _describe(folder: Path, record: JsonObject) -> JsonObject:
    """All that may make two runs differ."""
    code: JsonObject = (record.get("provenance") or {}).get("code") or {}
    dataset = record.get("dataset") or {}
    state: JsonObject = next((one for one in code.values() if one and one.get("commit")), {})
    version = f"{state['commit'][:12]}{', with changes' if state.get('diff') else ''}" if state else None
    return {
        "status": status(folder, record),
        "plugin": record.get("plugin"),
        "plugin_version": record.get("plugin_version"),
        "dataset": dataset.get("name"),
        "dataset digest": str(dataset.get("sha256") or "")[:12] or None,
        "commit": version,
        **flat_settings(record),
    }


def _cell(value: object) -> str:
    text = f"{value:g}" if isinstance(value, float) else "-" if value is None else str(value)
    return text if len(text) <= 40 else f"{text[:39]}…"


def _difference(values: Sequence[object]) -> str:
    first, second = map(as_number, values)
    return f"{second - first:+.4f}" if first is not None and second is not None else "-"


def report(
    compared: Comparison,
    metrics: Sequence[str],
    width: int,
    coloured: bool,
    heading: Callable[[str], str] = str,
) -> list[str]:
    """The comparison as lines for a terminal ``width`` columns wide."""
    from ravenml.runs.chart import LETTERS, draw

    lines = [heading("What differs"), *compared.settings_table(), ""]
    lines += [heading("Scores"), *compared.metrics_table()]
    for name in compared.metrics_to_chart(metrics):
        chart = draw(compared.curve(name), min(width, 100), coloured=coloured)
        if chart:
            called = [name or run for name, run in zip(compared.names, compared.ids, strict=True)]
            legend = [f"{LETTERS[number % 26]} {run}" for number, run in enumerate(called)]
            lines += ["", heading(terminal_safe(name)), *chart, "   ".join(legend)]
    return lines
