"""Runs campaigns: each in a process of its own, which may die of a trial."""

from __future__ import annotations

import faulthandler
import importlib
import importlib.util
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

TESTS = Path(__file__).resolve().parents[1]
MEMORY = 1 << 30  # bytes that one trial may take


class Missing(Exception):
    """What the campaign needs is not on this machine; its text says what to install."""


@dataclass
class Outcome:
    """What became of a campaign.

    Attributes:
        words: how many trials ended with each word.
        failures: what is wrong, by trial.
        missing: what the campaign would need, if it could not run.
    """

    name: str
    seed: int
    words: Counter[str] = field(default_factory=Counter)
    failures: dict[int, str] = field(default_factory=dict)
    seconds: float = 0.0
    missing: str = ""

    @property
    def survived(self) -> int:
        """Trials that went as they should."""
        return self.words.total()

    @property
    def tried(self) -> int:
        """All trials."""
        return self.survived + len(self.failures)

    def __str__(self) -> str:
        if self.missing:
            return f"{self.name}: not run: {self.missing}"
        words = ", ".join(f"{number:,} {word}" for word, number in self.words.most_common())
        return (
            f"{self.name}: {self.tried:,} tried, {self.survived:,} survived in {self.seconds:.0f} s "
            f"(seed {self.seed}): {words or 'nothing survived'}"
        )


def campaigns() -> list[str]:
    """The names of all campaigns."""
    folder = Path(__file__).parent
    modules = [path for path in folder.glob("*.py") if not path.name.startswith("test_")]
    return sorted(path.stem for path in modules if "\ndef campaign(" in path.read_text())


def summary(name: str) -> str:
    """What a campaign tries, in one line."""
    return (load(name).__doc__ or "").partition("\n")[0]


def load(name: str) -> Any:
    """The module of a campaign: of this package by its name, or any file by its path."""
    if not name.endswith(".py"):
        return importlib.import_module(f"torture.{name}")
    spec = importlib.util.spec_from_file_location("campaign", name)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def run(
    name: str, *, seed: int, trials: int | None = None, seconds: float | None = None, first: int = 0
) -> Outcome:
    """Run one campaign and print its failures as they come.

    Args:
        name: of a module of this package, or the path of a file.
        seed: of all that is random.
        trials: how many; by default as many as the campaign has.
        seconds: begin no trial after this time.
        first: the number of the first trial.
    """
    outcome, began = Outcome(name, seed), time.monotonic()
    if trials is None:
        trials = load(name).TRIALS
    end = first + trials
    while outcome.missing == "":
        left = None if seconds is None else seconds - (time.monotonic() - began)
        if left is not None and left <= 0:
            break
        next_trial = _run_until_death(outcome, first, end, left)
        if next_trial is None:
            break
        first = next_trial
    outcome.seconds = time.monotonic() - began
    return outcome


def _run_until_death(outcome: Outcome, first: int, end: int, seconds: float | None) -> int | None:
    """The trials from ``first`` on, in one process; the number of the next one if the process died early."""
    folder = Path(tempfile.mkdtemp(prefix=f"torture-{Path(outcome.name).stem}-"))
    (folder / "tmp").mkdir()
    (folder / "home").mkdir()
    (folder / "work").mkdir()
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("RAVENML_", "AWS_"))}
    environment = kept | {
        "HOME": str(folder / "home"),
        "RAVENML_STORAGE_PATH": str(folder / "home" / ".ravenML"),
        "TMPDIR": str(folder / "tmp"),
        "PYTHONPATH": str(TESTS),
        "PYTHONDONTWRITEBYTECODE": "1",
        "AWS_EC2_METADATA_DISABLED": "true",
    }
    reading, writing = os.pipe()
    task = {
        "name": outcome.name, "seed": outcome.seed, "first": first, "end": end, "seconds": seconds,
        "folder": str(folder / "work"), "report": writing,
    }  # fmt: skip
    errors = (folder / "stderr").open("w+b")
    process = subprocess.Popen(
        [sys.executable, "-m", "torture.runner", json.dumps(task)],
        env=environment, cwd=folder / "work", stdin=subprocess.DEVNULL, stdout=errors, stderr=errors,
        pass_fds=[writing], start_new_session=True,
    )  # fmt: skip
    os.close(writing)
    begun: int | None = None
    done = False
    try:
        with open(reading) as reports:
            for line in reports:
                match json.loads(line):
                    case {"trial": int(trial), "word": str(word)}:
                        outcome.words[word] += 1
                        begun = None
                    case {"trial": int(trial), "failure": str(failure)}:
                        _fail(outcome, trial, failure)
                        begun = None
                    case {"trial": int(trial)}:
                        begun = trial
                    case {"missing": str(missing)}:
                        outcome.missing = missing
                    case {"done": True}:
                        done = True
        status = process.wait()
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)  # what the campaign started and left behind
        process.wait()
        errors.seek(0)
        printed = errors.read().decode(errors="replace")
        errors.close()
        shutil.rmtree(folder, ignore_errors=True)
    if done or outcome.missing:
        return None
    where = begun if begun is not None else first
    died = f"died of {signal.Signals(-status).name}" if status < 0 else f"ended with exit code {status}"
    _fail(outcome, where, f"its process {died}:\n{printed[-3000:]}")
    if begun is None:  # the set-up failed: it would fail again
        return None
    return begun + 1


def _fail(outcome: Outcome, trial: int, failure: str) -> None:
    outcome.failures[trial] = failure
    if len(outcome.failures) <= 20:
        again = f"make torture CAMPAIGN={outcome.name} SEED={outcome.seed} TRIAL={trial}"
        print(f"{outcome.name}: trial {trial} failed; repeat it with: {again}\n{failure}", flush=True)


# ---------------------------------------------------------------------------- in the campaign's process


def _main(task: dict[str, object]) -> None:
    name, seed, folder = str(task["name"]), task["seed"], Path(str(task["folder"]))
    with open(int(str(task["report"])), "w", buffering=1) as reports:

        def report(**fields: object) -> None:
            reports.write(json.dumps(fields) + "\n")

        module = load(name)
        first, end, seconds = int(str(task["first"])), int(str(task["end"])), task["seconds"]
        until = None if seconds is None else time.monotonic() + float(str(seconds))
        limit = getattr(module, "SECONDS_PER_TRIAL", 10)
        try:
            with module.campaign(folder) as trial:
                for number in range(first, end):
                    if until is not None and time.monotonic() > until:
                        break
                    report(trial=number)
                    before = _watch(limit)
                    try:
                        word = trial(random.Random(f"{seed}/{number}"))
                        used = _memory("VmHWM") - before
                        assert used < MEMORY, f"it took {used / MEMORY:.1f} GiB of memory"
                    except Missing:
                        raise
                    except Exception as error:
                        report(trial=number, failure="".join(traceback.format_exception(error))[-3000:])
                    else:
                        report(trial=number, word=word)
                    finally:
                        faulthandler.cancel_dump_traceback_later()
        except Missing as error:
            report(missing=str(error))
        else:
            report(done=True)


def _watch(limit: float) -> int:
    """End this process when the trial takes too long, and print where it was; even if it does not run Python.

    Returns:
        The bytes of memory in use.
    """
    load = os.getloadavg()[0] / len(os.sched_getaffinity(0))
    faulthandler.dump_traceback_later(limit * max(1.0, load), exit=True)
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")  # the peak of memory begins here
    return _memory("VmRSS")


def _memory(kind: str) -> int:
    found = re.search(rf"{kind}:\s+(\d+) kB", Path("/proc/self/status").read_text())
    return int(found[1]) * 1024 if found else 0


# ---------------------------------------------------------------------------- what a trial may not do

_guarded: list[tuple[str, set[str]]] = []
_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
_CHANGES = {
    "os.mkdir", "os.rename", "os.remove", "os.rmdir", "os.symlink", "os.link", "os.chmod", "os.chown",
    "os.truncate", "shutil.rmtree", "shutil.move", "shutil.copyfile",
}  # fmt: skip
_STARTS = {"subprocess.Popen", "os.system", "os.exec", "os.posix_spawn", "os.fork", "pickle.find_class"}


def _audit(event: str, arguments: tuple[object, ...]) -> None:
    if not _guarded:
        return
    root, found = _guarded[-1]
    if event in _STARTS:
        found.add(f"{event} {arguments[:2]!r:.200}")
    elif event == "open" and isinstance(arguments[2], int) and arguments[2] & _WRITES:
        _outside(root, event, arguments[:1], found)
    elif event in _CHANGES:
        _outside(root, event, arguments[:2], found)


def _outside(root: str, event: str, paths: tuple[object, ...], found: set[str]) -> None:
    for path in paths:
        if isinstance(path, str | bytes | os.PathLike):
            place = os.path.realpath(os.fsdecode(path))
            if not place.startswith((root, "/dev/null", "/dev/tty", "/dev/pts/", "/proc/self/")):
                found.add(f"{event} {place}")


@contextmanager
def guard(folder: Path) -> Iterator[None]:
    """Whatever runs within may change files in the campaign's home, its temporary folder and ``folder`` only,
    and may start no program and unpickle nothing.

    Raises:
        AssertionError: it did; the text says what.
    """
    global _hooked
    if not _hooked:
        sys.addaudithook(_audit)
        _hooked = True
    root = os.path.realpath(os.environ["HOME"]).removesuffix("home")
    assert os.path.realpath(folder).startswith(root), f"{folder} is not in the campaign's folder"
    found: set[str] = set()
    _guarded.append((root, found))
    try:
        yield
    finally:
        _guarded.pop()
    assert not found, f"it may not do this: {', '.join(sorted(found))}"


_hooked = False

if __name__ == "__main__":
    faulthandler.enable()
    from torture import runner  # the module that campaigns import, not this copy of it

    runner._main(json.loads(sys.argv[1]))
