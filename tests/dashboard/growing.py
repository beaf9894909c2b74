"""A run whose one metric has very many points, and which may grow while a browser looks on."""

from __future__ import annotations

import json
import math
from pathlib import Path


def lines(begin: int, end: int, attempt: int = 1) -> str:
    """The events of these steps: a loss, and a learning rate."""
    written = []
    for step in range(begin, end):
        loss = 2 / math.sqrt(1 + step / 500) + 0.2 * math.sin(step * 12.9898) * math.cos(step / 7)
        event = {
            **{"message": "metrics", "event_type": "EventType.METRICS", "type": "train"},
            **{"epoch": step / 1000, "metrics": {"loss": loss, "lr": 0.001 * 0.99 ** (step / 1000)}},
            **{"step": step, "timestamp": "2026-11-21T06:33:16.788Z", "level": "info", "v": 1},
            **{"attempt": attempt, "seq": step},
        }
        written.append(json.dumps(event, separators=(",", ":")))
    return "".join(f"{line}\n" for line in written)


def grow(folder: Path, begin: int, end: int) -> None:
    """Append the events of these steps."""
    with (folder / "events.jsonl").open("a") as file:
        file.write(lines(begin, end))
