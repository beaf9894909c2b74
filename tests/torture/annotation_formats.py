"""Sources of every annotation format, and projects, with anything in them: read in part, or refused."""

from __future__ import annotations

import json
import os
import random
import shutil
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr, suppress
from io import StringIO
from pathlib import Path

from projects import write_project

from ravenml.common.io import SCRATCH
from ravenml.data.formats.conversion import export_project, import_project
from ravenml.data.formats.registry import guess_format
from ravenml.data.images import EXTENSIONS
from ravenml.data.inspection import as_text, inspect_project
from ravenml.data.project import Project
from ravenml.data.samples import Samples
from ravenml.errors import RavenError
from torture.mutate import mutate_bytes, mutate_document, mutate_text
from torture.runner import guard

TRIALS = 10_000

FORMATS = ("coco", "cvat", "labelme", "masks", "via", "voc", "yolo")
NAMES = [
    "x" * 300,
    "a\0b.png",
    "\udcff.png",
    "../../etc/passwd",
    "/dev/zero",
    "/etc",
    "..",
    "a\nb",
    "\x1b[2J",
]


@contextmanager
def campaign(folder: Path) -> Iterator[Callable[[random.Random], str]]:
    """A project, and what each format makes of it, are written once; each trial breaks a copy of one."""
    os.environ[SCRATCH] = str(folder)  # nobody looks for these files after a power cut
    project = Project.open(write_project(folder / "project", images=3, val=1))
    specimens = {"project": folder / "project"}
    for name in FORMATS:
        specimens[name] = folder / f"as_{name}"
        with redirect_stderr(StringIO()):
            export_project(project, specimens[name], name, copy=True)
    source, target = folder / "trial" / "source", folder / "trial" / "target"

    def trial(rng: random.Random) -> str:
        shutil.rmtree(folder / "trial", ignore_errors=True)
        name = rng.choice(list(specimens))
        shutil.copytree(specimens[name], source, symlinks=True)
        files = [path for path in sorted(source.rglob("*")) if path.is_file()]
        for path in rng.sample(files, rng.choice([1, 1, 1, 2])):
            break_file(rng, path)
        with guard(folder), redirect_stderr(StringIO()):
            try:
                if name == "project":
                    return _read(source)
                if rng.random() < 0.1:
                    guess_format(source)
                done = import_project(source, target, name, copy=rng.random() < 0.3)
                _read(target)
                return "imported in part" if done.problems else "imported"
            except RavenError as error:
                said = str(error)
                if not (len(said) < 20_000 and "\n" not in said):
                    raise AssertionError(f"no sentence: {said!r:.300}") from None
                return "refused"

    yield trial


def break_file(rng: random.Random, path: Path) -> None:
    """Break one file: mostly what it says, sometimes what it is."""
    content = path.read_bytes()
    if rng.random() < 0.07:
        replace_by_something_else(rng, path)
    elif path.suffix == ".json" and rng.random() < 0.8:
        path.write_bytes(mutate_document(rng, json.loads(content)))
    elif path.suffix.lower() in EXTENSIONS:
        path.write_bytes(mutate_bytes(rng, content))
    elif rng.random() < 0.5:
        path.write_bytes(_other_words(rng, content))
    else:
        path.write_bytes(mutate_text(rng, content.decode()))


def replace_by_something_else(rng: random.Random, path: Path) -> None:
    """Put in a file's place what is not one, or what nobody may read."""
    path.unlink()
    match rng.randrange(7):
        case 0:
            path.mkdir()
        case 1:
            os.mkfifo(path)
        case 2:
            path.symlink_to(path.name)
        case 3:
            path.symlink_to(rng.choice(["/dev/zero", "/dev/tty", "missing", "/proc/self/mem", ".."]))
        case 4:
            path.write_bytes(b"")
        case 5:
            with socket.socket(socket.AF_UNIX) as server, suppress(OSError):  # the path may be too long
                server.bind(str(path))
        case _:
            pass  # it is gone


def _other_words(rng: random.Random, content: bytes) -> bytes:
    """The text with numbers and names that no such file has, in the place of those that it has."""
    words = content.split()
    old = rng.choice(words) if words else b""
    if b'"' in old:
        old = old.split(b'"')[1] or old
    new = rng.choice([b"nan", b"-1", b"1e999", b"9" * 5000, b"", b"\xff", *(os.fsencode(n) for n in NAMES)])
    return content.replace(old, new, rng.choice([1, -1])) if old else new


def _read(root: Path) -> str:
    """Read all of a project as a training does, and look through it as `raven data inspect` does."""
    try:
        as_text(inspect_project(root))
        project = Project.open(root)
        samples = Samples(project, project.items, project.titles, cache=None)
        for number in range(len(samples)):
            samples[number]
    except RavenError:
        return "refused"
    return "read"
