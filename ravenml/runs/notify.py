"""Telling people that a run has failed, hangs, or has ended; part of the process beside the run.

Nothing of it reaches the run: what cannot be delivered is a line in ``readers/sidecar.log``.
"""

from __future__ import annotations

import json
import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

from ravenml.common.formatting import format_duration
from ravenml.common.http_client import HttpClient, TooLarge, TooSlow, Unreachable
from ravenml.common.io import JsonObject
from ravenml.common.secrets import redact
from ravenml.config.notify import Notify
from ravenml.errors import RavenError
from ravenml.runs import layout
from ravenml.runs.events import EventReader
from ravenml.runs.overview import full_name, headline
from ravenml.runs.record import UNDER_WAY, read_record, status
from ravenml.runs.run_row import printable

TRIES = 3
PAUSE = 2.0  # seconds before the second try; twice as many before the third
TIMEOUT = 15.0  # seconds for a webhook's answer
PATIENCE = 60.0  # seconds for a command
_FAILED = ("failed", "lost")
_SAID = {"interrupted": "was interrupted", "lost": "was lost"}


class Notifier:
    """Watches one run, with its folds, and tells how it goes.

    Args:
        folder: the run's.
        settings: whom to tell, and when.
        log: where a person may read what could not be delivered.
        clock: seconds that only grow.
    """

    def __init__(
        self,
        folder: Path,
        settings: Notify,
        log: Callable[[str], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._folder, self._settings, self._log, self._clock = folder, settings, log, clock
        self._signs: dict[Path, _LifeSigns] = {}
        self._alive_at = clock()
        self._hung = False

    def look(self) -> bool:
        """Look at the run once, and tell what is new; whether it is still going on."""
        record = read_record(self._folder)
        now = status(self._folder, record)
        if now not in UNDER_WAY:
            kinds = ["ended", *(["failed"] if now in _FAILED else [])]
            if any(kind in self._settings.when for kind in kinds):
                self._tell(describe(self._folder, record, now, now))
            return False
        places = [self._folder, *layout.fold_folders(self._folder)]
        # A list: each is to be read.
        if any([self._signs.setdefault(place, _LifeSigns(place)).are_new() for place in places]):
            self._alive_at, self._hung = self._clock(), False
        silent = self._clock() - self._alive_at
        if now == "running" and silent > self._settings.silence * 60 and not self._hung:
            self._hung = True
            if "hung" in self._settings.when:
                self._tell(describe(self._folder, record, now, "hung", silent))
        return True

    def _tell(self, message: JsonObject) -> None:
        content = json.dumps(message, ensure_ascii=False).encode()
        for deliver in (self._run_command, self._post):
            try:
                deliver(content)
            except Exception as error:
                self._log(f"notify: {error or type(error).__name__}")

    def _run_command(self, content: bytes) -> None:
        if not self._settings.command:
            return
        name = self._settings.command[0]
        done = subprocess.run(
            self._settings.command,
            input=content,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            timeout=PATIENCE,
        )
        if done.returncode:
            said = done.stderr.decode(errors="replace").strip().splitlines()[-1:]
            raise RavenError(f"{name} ended with exit code {done.returncode} {' '.join(said)}".strip())

    def _post(self, content: bytes) -> None:
        if self._settings.webhook is None:
            return
        client = HttpClient(self._settings.webhook, keep_connections=False)
        reason = ""
        for attempt in range(TRIES):
            time.sleep(attempt * PAUSE)
            try:
                headers = {"Content-Type": "application/json"}
                answer = client.request(
                    "POST", body=content, headers=headers, timeout=TIMEOUT, limit=TIMEOUT, max_bytes=1 << 16
                )
            except (Unreachable, TooLarge, TooSlow) as error:
                reason = str(error) or type(error).__name__
                continue
            if answer.ok:
                return
            reason = f"HTTP status {answer.status}"
            if answer.status < 500:
                break
        raise RavenError(f"the webhook could not be reached: {reason}")


class _LifeSigns:
    """Whether a run, or a fold, has said anything since the last look: an event, or a line of output.
    The machine's usage is measured from outside the training, so it is not a sign of life.
    """

    def __init__(self, place: Path) -> None:
        self._events = EventReader(place / layout.EVENTS)
        self._console = place / layout.CONSOLE
        self._printed = -1

    def are_new(self) -> bool:
        said = sum(event.type != "RESOURCES" for event in self._events.read_new())
        try:
            printed = self._console.stat().st_size
        except OSError:
            printed = 0
        new = said > 0 or printed != self._printed
        self._printed = printed
        return new


def describe(
    folder: Path, record: JsonObject, now: str, event: str, silent: float | None = None
) -> JsonObject:
    """What is sent: small, without secrets, and with ``text``, which chat programs show.

    Args:
        folder: the run's.
        record: its ``run.json``.
        now: its status.
        event: ``hung``, or the status that it ended with.
        silent: seconds without an event.
    """
    result: JsonObject = record.get("result") or {}
    name, score = headline(result.get("metrics") or {}, record.get("best_metric"))
    called = f"{full_name(record)} ({folder.name})" if full_name(record) else folder.name
    text = f"{called} {_SAID.get(event, event)}"
    if silent is not None:
        text = f"{called} hangs: nothing was heard of it for {format_duration(silent)}"
    error = str(result.get("error") or result.get("reason") or "")[:500] or None
    fields = {
        "event": event,
        "run": folder.name,
        "status": now,
        **{key: record.get(key) for key in ("name", "project", "plugin")},
        "dataset": (record.get("dataset") or {}).get("name"),
        "host": record["process"].get("host") or socket.gethostname(),
        "queue": (record.get("remote") or {}).get("queue"),
        "started": record.get("created"),
        "finished": result.get("finished"),
        "error": error,
        "score": {name: score} if name else None,
        "silent_s": round(silent) if silent is not None else None,
        "text": f"{text}: {error}" if error else f"{text}, {name} {score:.4g}" if name else text,
    }
    message = redact({key: value for key, value in fields.items() if value is not None})
    return {key: printable(value) for key, value in message.items()}
