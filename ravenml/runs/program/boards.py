"""What a program writes for TensorBoard becomes events of its run, wherever it writes it."""

from __future__ import annotations

import os
import re
import time
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from ravenml.runs.events import timestamp
from ravenml.runs.program.tfevents import EventFile, Picture, Scalar
from ravenml.runs.run import Run

MARK = "tfevents"
SEARCHED = 20_000  # entries of folders that are looked at
DEPTH = 6
_SUFFIXES = {b"\x89PNG": ".png", b"\xff\xd8\xff\xe0": ".jpg", b"\xff\xd8\xff\xe1": ".jpg", b"GIF8": ".gif"}
_UNSAFE = re.compile(r"[^\w./-]+")
_PARTS = ("train", "training", "val", "valid", "validation", "eval", "test")


class Boards:
    """The TensorBoard files of a program, each read from where the last look ended.

    They are found where the program, or a process that it started, holds them open (Linux), and below its
    working folder and the named output folders.

    Args:
        run: where the events go.
        places: the folders below which files are looked for.
        pid: the program's process.
    """

    def __init__(self, run: Run, places: Sequence[Path], pid: int) -> None:
        self._run = run
        self._places = list(dict.fromkeys(places))
        self._pid = pid
        self._since = time.time() - 1
        self._files: dict[Path, EventFile] = {}
        self._first: Path | None = None

    def look(self) -> None:
        """Read what the files that are held open have got."""
        self._add(_held_open(self._pid))
        self._read()

    def look_everywhere(self) -> None:
        """Read what is left, in files that no longer are held open too."""
        for place in self._places:
            self._add(_below(place, self._since))
        self._read()

    def _add(self, paths: Iterator[Path]) -> None:
        for path in paths:
            if path not in self._files and not path.is_relative_to(self._run.path.resolve()):
                self._first = self._first or path.parent
                self._files[path] = EventFile(path)

    def _read(self) -> None:
        for path, file in self._files.items():
            for found in file.read_new():
                self._say(self._address(path, found.tag), found)

    def _address(self, path: Path, tag: str) -> str:
        """``<type>/<name>``: a tag's own, or with the name of a folder that is one of several."""
        folder = path.parent.name
        if path.parent != self._first or folder in _PARTS:
            return f"{folder}/{tag}"
        return tag if tag.strip("/").count("/") else f"scalar/{tag}"

    def _say(self, address: str, found: Scalar | Picture) -> None:
        event = {"step": found.step, "timestamp": timestamp(found.seconds)}
        if isinstance(found, Scalar):
            kind, _, name = address.strip("/").partition("/")
            metrics = {"type": kind, "metrics": {name: found.value}}
            self._run.relay({"message": "metrics", "event_type": "EventType.METRICS", **metrics, **event})
            return
        suffix = _SUFFIXES.get(found.content[:4], ".png")
        name = _UNSAFE.sub("_", address.strip("/")).replace("..", "_")
        self._run.picture(f"{name}_{found.step:06d}{suffix}", found.content, **event)


def _held_open(pid: int) -> Iterator[Path]:
    """The TensorBoard files that a process or its descendants hold open, as Linux tells it."""
    for one in _family(pid):
        with suppress(OSError):
            for entry in os.scandir(f"/proc/{one}/fd"):
                with suppress(OSError):
                    target = os.readlink(entry.path)
                    if MARK in target and target.startswith("/") and not target.endswith(" (deleted)"):
                        yield Path(target)


def _family(pid: int) -> Iterator[int]:
    waiting = deque([pid])
    while waiting:
        one = waiting.popleft()
        yield one
        with suppress(OSError):
            for task in os.listdir(f"/proc/{one}/task"):
                with suppress(OSError):
                    children = Path(f"/proc/{one}/task/{task}/children").read_text().split()
                    waiting.extend(int(child) for child in children)


def _below(place: Path, since: float) -> Iterator[Path]:
    """The TensorBoard files below ``place`` that were written to since; the near ones first."""
    waiting, looked_at = deque([(str(place.resolve()), 0)]), 0
    while waiting:
        folder, depth = waiting.popleft()
        with suppress(OSError), os.scandir(folder) as entries:
            for entry in entries:
                looked_at += 1
                if looked_at > SEARCHED:
                    return
                with suppress(OSError):
                    if entry.is_dir(follow_symlinks=False):
                        if depth < DEPTH and not entry.name.startswith(".") and entry.name != "node_modules":
                            waiting.append((entry.path, depth + 1))
                    elif MARK in entry.name and entry.stat().st_mtime >= since:
                        yield Path(entry.path)
