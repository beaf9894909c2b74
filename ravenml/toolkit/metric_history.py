"""A run's metrics over its epochs."""

from __future__ import annotations

from pathlib import Path

from ravenml.renamed import former_names
from ravenml.runs import layout
from ravenml.runs.events import effective_metrics

__getattr__ = former_names(__name__, {"curves": "read_curves"})


def read_curves(run: Path) -> dict[str, list[tuple[float, float]]]:
    """The metrics of a run over its epochs, ``train/loss`` and so on; those of single classes left out."""
    found: dict[str, list[tuple[float, float]]] = {}
    for event in effective_metrics(run / layout.EVENTS):
        for address, value in event.values.items():
            if address.count("/") == 1 and isinstance(value, int | float) and event.epoch is not None:
                found.setdefault(address, []).append((event.epoch, float(value)))
    return found
