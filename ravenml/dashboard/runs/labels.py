"""How runs are worded on pages."""

from __future__ import annotations

import math
import time

from ravenml.common.formatting import format_duration, format_number, parse_timestamp
from ravenml.dashboard.widgets.controls import text_element
from ravenml.runs.filters import Row
from ravenml.runs.overview import headline
from ravenml.runs.record import STATUSES


def format_elapsed(begin: str | None, end: str | None) -> str:
    """How long it was, or has been until now."""
    first, last = _seconds(begin), _seconds(end) if end else time.time()
    return format_duration(max(0.0, last - first)) if first is not None and last is not None else ""


def format_score(row: Row) -> str:
    """The one score of a run in a list."""
    name, value = headline(row["metrics"], row.get("best_metric"))
    return f"{name} {format_number(value)}" if name else ""


def format_cell(value: object) -> str:
    """Any value of a run in few letters."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.4g}" if math.isfinite(value) else str(value)
    if isinstance(value, list):
        return ", ".join(map(format_cell, value))
    text = str(value)
    return text if len(text) <= 80 else f"{text[:79]}…"


def status_chip(status: str) -> None:
    """How a run stands, as a word with a coloured mark before it."""
    text_element("span", status, f"status status-{status if status in STATUSES else 'lost'}")


def _seconds(timestamp: str | None) -> float | None:
    if not timestamp:
        return None
    try:
        return parse_timestamp(timestamp)
    except ValueError:
        return None
