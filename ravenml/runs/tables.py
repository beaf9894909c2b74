"""Scores as tables of text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ravenml.common.formatting import format_number, terminal_safe
from ravenml.common.io import JsonObject


def score_table(metrics: Mapping[str, object]) -> list[str]:
    """The final scores of a training, a row each: those on the validation images if there are any."""
    rows = [(terminal_safe(n), terminal_safe(format_number(metrics[n]))) for n in select_metrics(metrics)]
    width = max((len(name) for name, _ in rows), default=0)
    return [f"{name:{width}}  {value:>8}" for name, value in rows]


def fold_table(summary: JsonObject, width: int | None = None) -> list[str]:
    """A k-fold run's ``summary.json`` as lines: a row per metric, a column per fold.

    Folds that do not fit into ``width`` columns are left to ``summary.json``; what is not defined is ``-``.
    """
    folds: list[JsonObject] = summary["folds"]
    names = select_metrics(summary["mean"])
    scores = {f"val/{name}": value for name, value in (summary.get("out_of_fold") or {}).items()}
    longest = max(map(len, names), default=0)
    room = len(folds) if width is None else max(0, (width - longest - 33) // 9)
    rows = [["", *(f"fold {one['fold']}" for one in folds[:room]), "mean", "std", "out of fold"]]
    for name in names:
        found = [(one.get("metrics") or {}).get(name) for one in folds[:room]]
        found += [summary["mean"].get(name), summary["std"].get(name), scores.get(name)]
        rows.append([name, *("-" if value == "NaN" else format_number(value) for value in found)])
    lines = align(rows) if names else ["No scores were reported."]
    if names and room < len(folds):
        lines.append(f"{len(folds)} folds; summary.json has each of them.")
    if summary.get("out_of_fold") is not None:
        images = summary.get("out_of_fold_images")
        lines.append(f"Out of fold: {images} images, each predicted once, by the model that never saw it.")
    elif summary.get("out_of_fold_missing"):
        lines.append(f"There is no out-of-fold score: {terminal_safe(summary['out_of_fold_missing'])}.")
    return lines


def select_metrics(metrics: Mapping[str, object]) -> list[str]:
    """The metrics that a person compares by: ``val/…`` where there are any."""
    return [name for name in metrics if name.startswith("val/")] or list(metrics)


def align(rows: Sequence[Sequence[str]]) -> list[str]:
    """Rows of cells as lines, a rule below the first; the first column to the left, others to the right.

    The cells are shown as a terminal may show what somebody else has written.
    """
    rows = [[terminal_safe(cell).replace("\t", " ") for cell in row] for row in rows]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = [
        "  ".join([row[0].ljust(widths[0]), *(c.rjust(w) for c, w in zip(row[1:], widths[1:], strict=True))])
        for row in rows
    ]
    return [lines[0], "─" * len(lines[0]), *lines[1:]]
