"""Lines of events that anybody may have written are read without an error."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from ravenml.runs.events import MetricsEvent, effective, newest_metrics, read_events
from torture.mutate import mutate_document
from torture.runner import guard

TRIALS = 10_000
EVENTS = [
    {"event_type": "EventType.METRICS", "type": "val", "epoch": 1, "metrics": {"miou": 0.2}, "step": 3},
    {
        "event_type": "EventType.RESUMED",
        "step": 2,
        "attempt": 2,
        "epoch": 1,
        "timestamp": "2026-01-01T00:00:00Z",
    },
    {"event_type": "EventType.PROGRESS", "subtask": "Epoch", "current": 1, "total": 2, "images": 3},
    {"event_type": "EventType.CHECKPOINT", "files": ["a.pt"], "best_now": True, "kept": "a.pt", "step": 9},
    {"event_type": "EventType.RESOURCES", "resources": {"cpu_percent": 3.5}},
    {"event_type": "EventType.IMAGE", "name": "x", "file": "images/x.png"},
    {"event_type": "EventType.TASK_FINISHED", "message": "done"},
]


@contextmanager
def campaign(folder: Path) -> Iterator[Callable[[random.Random], str]]:
    file = folder / "events.jsonl"

    def trial(rng: random.Random) -> str:
        lines = [mutate_document(rng, rng.choice(EVENTS)) for _ in range(rng.randint(1, 8))]
        file.write_bytes(b"\n".join([*lines, b""]))
        with guard(folder):
            events = list(read_events(file))
            for event in events:
                assert isinstance(event.message, str)
                assert event.step is None or isinstance(event.step, int)
                assert event.epoch is None or isinstance(event.epoch, float)
                assert event.seconds is None or isinstance(event.seconds, float)
                if isinstance(event, MetricsEvent):
                    list(event.numbers())
                    event.moment()
            newest_metrics(effective(events))
        return "read" if events else "passed over"

    yield trial
