"""Reading what a task's program prints into its run: events, console log, checkpoints.

An agent may be killed at any instant, and the next one goes on: every event carries in ``at`` the stream
and the place where it ended, so that none is recorded twice; the console log is cut back to what the cursor
vouches for, and written again from there.
"""

from __future__ import annotations

import os
import time
from pathlib import Path, PurePosixPath

from ravenml.agent.crash import spell_out
from ravenml.agent.safe_copy import keep_checkpoint
from ravenml.agent.task import AgentTask
from ravenml.agent.task_folder import MOUNT, RESULTS
from ravenml.common.io import JsonObject, read_json, write_json
from ravenml.common.secrets import redact_text
from ravenml.errors import RavenError
from ravenml.runs import layout
from ravenml.runs.console import masks_console
from ravenml.runs.events import read_events
from ravenml.runs.output_parser import OutputParser
from ravenml.runs.run import Run

STREAMS = ("stdout", "stderr")
PIECE = 1 << 20  # bytes that are read at once
FILES = 1000  # of a checkpoint, that its event names
PERIOD = 1.0  # seconds between two writings of the cursor


class OutputReader:
    """Takes in what the program prints, from where the last agent stopped."""

    def __init__(self, run: Run, task: AgentTask) -> None:
        self._run, self._task = run, task
        self._cursor_path = task.folder / "cursor.json"
        cursor: dict[str, int] = read_json(self._cursor_path) if self._cursor_path.exists() else {}
        self._parsers = {name: OutputParser(int(cursor.get(name, 0))) for name in STREAMS}
        self._read = {name: parser.consumed for name, parser in self._parsers.items()}
        self._known = _recorded_positions(run)
        self._masks = masks_console()
        self._log = (run.path / layout.CONSOLE).open("ab")
        if self._log.tell() > int(cursor.get(layout.CONSOLE, 0)):
            self._log.truncate(int(cursor.get(layout.CONSOLE, 0)))
        self._written_at = time.monotonic()

    def take(self) -> bool:
        """Take in what is new; whether there was anything."""
        moved = False
        for path in sorted(self._present(), key=lambda path: path.stat().st_mtime_ns):
            moved |= self._take(path)
        if moved and time.monotonic() - self._written_at > PERIOD:
            self._write_cursor()
        return moved

    def finish(self) -> None:
        """Take in the rest, lines without an end among it; the program has ended."""
        while self.take():
            pass
        for name, parser in self._parsers.items():
            for item in parser.end():
                self._item(name, parser, item)
        self._write_cursor()
        self._log.close()

    def _present(self) -> list[Path]:
        return [path for name in STREAMS if (path := self._task.folder / name).exists()]

    def _take(self, path: Path) -> bool:
        name, parser = path.name, self._parsers[path.name]
        with path.open("rb") as file:
            file.seek(self._read[name])
            piece = file.read(PIECE)
        self._read[name] += len(piece)
        for item in parser.feed(piece):
            self._item(name, parser, item)
        return bool(piece)

    def _item(self, name: str, parser: OutputParser, item: JsonObject | str) -> None:
        text = spell_out(item)
        if text is not None:
            line = redact_text(text) if self._masks else text
            self._log.write(line.encode(errors="replace") + b"\n")
            self._log.flush()
        if isinstance(item, dict) and parser.consumed > self._known.get(name, 0):
            if item["event_type"] == "EventType.CHECKPOINT":
                item = self._checkpoint(item)
            self._run.relay({"at": []} | item | {"at": [name, parser.consumed]})

    def _checkpoint(self, event: JsonObject) -> JsonObject:
        """Keep the folder that the event announces; where that cannot be, the event becomes a warning."""
        results = self._task.task_dir / RESULTS
        try:
            source = find_checkpoint(results, event.get("subdir"))
            inside = source.relative_to(os.path.realpath(results))
            files = keep_checkpoint(source, self._run.path / layout.CHECKPOINTS / inside)
        except RavenError as error:
            return {
                "message": f"The checkpoint {event.get('id')} is not kept: {error}",
                "event_type": "EventType.TEXT",
                "level": "warning",
            }
        return event | {
            "kept": inside.as_posix(),
            "files": [(inside / name).as_posix() for name in files][:FILES],
        }

    def _write_cursor(self) -> None:
        consumed = {name: parser.consumed for name, parser in self._parsers.items()}
        write_json(self._cursor_path, {**consumed, layout.CONSOLE: self._log.tell()})
        self._written_at = time.monotonic()


def _recorded_positions(run: Run) -> dict[str, int]:
    """How far each stream's events are recorded."""
    known: dict[str, int] = {}
    for event in read_events(run.path / layout.EVENTS):
        at = event.fields.get("at")
        if isinstance(at, list) and len(at) == 2 and at[0] in STREAMS and isinstance(at[1], int):
            known[at[0]] = max(known.get(at[0], 0), at[1])
    return known


def find_checkpoint(results: Path, subdir: object) -> Path:
    """The folder that a checkpoint's event names, on this machine.

    Args:
        results: the task's ``results/``.
        subdir: relative to it, or absolute as the plugin sees it (``/sly_task_data/results/000003``).

    Raises:
        RavenError: it is not text, lies outside of ``results/``, or is not a folder.
    """
    if not isinstance(subdir, str) or not subdir or "\0" in subdir:
        raise RavenError(f"its subdir is {str(subdir)[:100]!r}, which is not the name of a folder")
    path = PurePosixPath(subdir)
    if path.is_absolute():
        inside = PurePosixPath(MOUNT) / RESULTS
        if not path.is_relative_to(inside) and path.is_relative_to(results.as_posix()):
            inside = PurePosixPath(results.as_posix())  # a plugin without isolation may resolve the link
        path = path.relative_to(inside) if path.is_relative_to(inside) else PurePosixPath("..")
    if results.is_symlink():
        raise RavenError(f"{RESULTS}/ has become a link, which is not followed")
    folder = results / path
    real, root = Path(os.path.realpath(folder)), Path(os.path.realpath(results))
    if ".." in path.parts or real == root or not real.is_relative_to(root):
        raise RavenError(f"its subdir {subdir[:200]!r} is not inside {MOUNT}/{RESULTS}")
    if not real.is_dir():
        raise RavenError(f"its subdir {subdir[:200]!r} is not a folder")
    return real
