"""A run's metrics over its epochs."""

from __future__ import annotations

from pathlib import Path

from ravenml.renamed import former_names
from ravenml.runs import layout
from ravenml.runs.events import effective, read_events

__getattr__ = former_names(__name__, {"curves": "read_curves"})


def read_curves(run: Path) -> dict[str, list[tuple[float, float]]]:
    """The metrics of a run over its epochs, ``train/loss`` and so on; those of single classes left out."""
    found: dict[str, list[tuple[float, float]]] = {}
    for event in effective(list(read_events(run / layout.EVENTS))):
        if event.get("event_type") == "EventType.METRICS":
            for name, value in event["metrics"].items():
                if "/" not in name and isinstance(value, int | float):
                    found.setdefault(f"{event['type']}/{name}", []).append(
                        (float(event["epoch"]), float(value))
                    )
    return found
