"""What a program writes for TensorBoard becomes events of its run, wherever it writes it."""

from __future__ import annotations

import os
import re
import time
import zlib
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from ravenml.common.formatting import utc_timestamp
from ravenml.common.permissions import make_folder
from ravenml.config.home import cache_dir, home
from ravenml.runs.process.tfevents import EventFile, Found, Plot, Scalar, Words, first_record
from ravenml.runs.run import Run

MARK = "tfevents"
SEARCHED = 20_000  # entries of folders that are looked at
DEPTH = 6
_SUFFIXES = {b"\x89PNG": ".png", b"\xff\xd8\xff\xe0": ".jpg", b"\xff\xd8\xff\xe1": ".jpg", b"GIF8": ".gif"}
_UNSAFE = re.compile(r"[^\w./-]+")
_PARTS = ("train", "training", "val", "valid", "validation", "eval", "test")


class TensorBoardWatcher:
    """The TensorBoard files of a program, each read from where the last look ended.

    They are found where the program, or a process that it started, holds them open (Linux), and in the end
    below its working folder and the named output folders: those that nobody else holds open, and that no
    other run of this home has read, since several programs may work side by side in one folder.

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
        self._add(_find_open_files(self._pid))
        self._read()

    def look_everywhere(self) -> None:
        """Read what is left, in files that no longer are held open too."""
        found = {path for place in self._places for path in _find_below(place, self._since)} - set(
            self._files
        )
        self._add(sorted(found - _find_files_of_others(self._pid) if found else found))
        self._read()

    def _add(self, paths: Iterable[Path]) -> None:
        for path in paths:
            if path in self._files or path.is_relative_to(home().resolve()) or not _claim(path, self._run):
                continue
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

    def _say(self, address: str, found: Found) -> None:
        event = {"step": found.step, "timestamp": utc_timestamp(found.seconds)}
        if isinstance(found, Scalar):
            kind, _, name = address.strip("/").partition("/")
            metrics = {"type": kind, "metrics": {name: found.value}}
            self._run.relay({"message": "metrics", "event_type": "EventType.METRICS", **metrics, **event})
            return
        name = address.strip("/")
        if isinstance(found, Words):
            title = name.removeprefix("scalar/").removesuffix("/text_summary")  # as torch adds it
            self._run.relay({"message": found.text, "event_type": "EventType.TEXT", "name": title, **event})
            return
        if isinstance(found, Plot):
            plot = {"name": name.removeprefix("scalar/"), "kind": found.kind, "data": found.data}
            self._run.relay({"message": "plot", "event_type": "EventType.PLOT", **plot, **event})
            return
        suffix = _SUFFIXES.get(found.content[:4], ".png")
        name = _UNSAFE.sub("_", name).replace("..", "_")
        self._run.picture(f"{name}_{found.step:06d}{suffix}", found.content, **event)


def _claim(path: Path, run: Run) -> bool:
    """Whether the file is this run's: the first run that finds it keeps it.

    A program that writes over a file of an earlier run makes another one of it, which its first record shows:
    the time at which it was begun.
    """
    with suppress(OSError):
        found, first = path.stat(), first_record(path)
        if not first:
            return False
        key = f"{found.st_dev:x}-{found.st_ino:x}-{zlib.crc32(first):x}"
        claim = cache_dir() / "boards" / f"{key}-{path.name}"[:250]
        make_folder(claim.parent)
        try:
            claim.open("x").write(run.id)
        except FileExistsError:
            return claim.read_text() == run.id
    return True


def _find_open_files(pid: int) -> Iterator[Path]:
    """The TensorBoard files that a process or its descendants hold open, as Linux tells it."""
    for one in _process_tree(pid):
        yield from _open_files(str(one))


def _find_files_of_others(pid: int) -> set[Path]:
    """The TensorBoard files that other processes hold open."""
    ours = {str(one) for one in _process_tree(pid)}
    with suppress(OSError):
        others = [name for name in os.listdir("/proc") if name.isdigit() and name not in ours]
        return {path for other in others for path in _open_files(other)}
    return set()


def _open_files(pid: str) -> Iterator[Path]:
    with suppress(OSError):
        for entry in os.scandir(f"/proc/{pid}/fd"):
            with suppress(OSError):
                target = os.readlink(entry.path)
                if MARK in target and target.startswith("/") and not target.endswith(" (deleted)"):
                    yield Path(target)


def _process_tree(pid: int) -> Iterator[int]:
    waiting = deque([pid])
    while waiting:
        one = waiting.popleft()
        yield one
        with suppress(OSError):
            for task in os.listdir(f"/proc/{one}/task"):
                with suppress(OSError):
                    children = Path(f"/proc/{one}/task/{task}/children").read_text().split()
                    waiting.extend(int(child) for child in children)


def _find_below(place: Path, since: float) -> Iterator[Path]:
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
