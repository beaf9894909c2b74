"""Running any program, untouched, as a run that is recorded like every other."""

from __future__ import annotations

import codecs
import os
import shlex
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ravenml.capture import SITE, SWITCH
from ravenml.common.io import JsonObject
from ravenml.common.secrets import redact, redact_arguments
from ravenml.config.home import runs_dir
from ravenml.errors import InputError, RavenError
from ravenml.runs import layout
from ravenml.runs.console import ConsoleLog, find_error
from ravenml.runs.monitor import RunMonitor
from ravenml.runs.output_parser import OutputParser
from ravenml.runs.process.argument_settings import read_settings
from ravenml.runs.process.environment import environment_of
from ravenml.runs.process.inbox import EVENTS, Inbox
from ravenml.runs.process.kept_models import MODELS, KeptModels
from ravenml.runs.process.new_files import NewFiles
from ravenml.runs.process.outputs import Outputs
from ravenml.runs.process.signals import SignalForwarder
from ravenml.runs.process.streams import Stream, copy_size, open_streams, pump
from ravenml.runs.process.tensorboard_watcher import TensorBoardWatcher
from ravenml.runs.process.terminal_text import TerminalText
from ravenml.runs.provenance import code, machine
from ravenml.runs.record import UNDER_WAY, read_record, status
from ravenml.runs.run import Run

KIND = "program"
GRACE = 60.0  # seconds between being asked to stop and being killed


@dataclass(frozen=True)
class Program:
    """What is run, and under which name.

    Attributes:
        arguments: the program and its arguments.
        name: what people call this run.
        project: what it belongs to.
        outputs: folders whose new files are kept as artifacts.
        folder: where it runs.
        capture: whether Python programs get the hooks of `ravenml.capture`.
        keep_new: how many GiB of files that are new or changed in ``folder`` at the end are kept.
    """

    arguments: Sequence[str]
    name: str | None = None
    project: str | None = None
    outputs: Sequence[Path] = ()
    folder: Path = field(default_factory=Path.cwd)
    capture: bool = True
    keep_new: float = 0

    def command(self) -> list[str]:
        """The command line that runs it again."""
        options: list[str] = []
        for option, value in (("--project", self.project), ("--name", self.name)):
            options += [option, value] if value is not None else []
        for output in self.outputs:
            options += ["--output", str(output)]
        options += [] if self.capture else ["--no-capture"]
        return ["raven", "run", *options, "--", *redact_arguments(self.arguments)]


class CannotStart(RavenError):
    """The program does not exist (127) or may not be executed (126)."""


def run_program(program: Program, run_folder: Path | None = None) -> tuple[int, Path]:
    """Run a program to its end and record it.

    Args:
        program: what to run.
        run_folder: the run's folder; by default a new one.  A run that is there goes on, as one more attempt.

    Returns:
        The exit code that a shell would show (128 and the signal's number where one ended it), and the run's
        folder.

    Raises:
        CannotStart: it could not be started; nothing is kept of a run that is new.
        RavenError: the run's folder cannot be written.
    """
    resumes = run_folder is not None and (run_folder / layout.RUN_JSON).exists()
    executable = _find(program)
    named = [program.folder / place for place in program.outputs]
    outputs = Outputs(named)
    limit = int(program.keep_new * 2**30)
    new_files = NewFiles(program.folder, named, limit) if limit else None
    folder = run_folder or runs_dir() / layout.new_run_id()
    fields = {
        "kind": KIND,
        "plugin": None,
        "name": program.name,
        "project": program.project,
        "command": program.command(),
        "folder": str(program.folder),
        "outputs": [str(place) for place in program.outputs],
    }
    if resumes:  # its name and its project stay, if no others are given
        fields = {name: value for name, value in fields.items() if value is not None}
    run = Run.begin(folder, folder.name, fields)
    try:
        return _RunningProgram(program, executable, run, outputs, new_files).run_to_end(), folder
    except CannotStart as error:
        if resumes:
            run.finish("failed", error=str(error), metrics=run.last_metrics())
        else:
            shutil.rmtree(folder, ignore_errors=True)
        raise
    except BaseException as error:
        run.finish("failed", error=f"{type(error).__name__}: {error}", metrics={})
        raise


def find_resumable(prefix: str) -> Path:
    """The folder of a program's run that is to go on.

    Raises:
        InputError: no such run, one that is not a program's, or one that has not ended.
    """
    folder = layout.find_run(prefix)
    record = read_record(folder)
    if record.get("kind") != KIND:
        raise InputError(
            f"--resume: {folder.name} is not a run of `raven run`; to resume a training: "
            f"raven runs resume {folder.name}"
        )
    now = status(folder, record)
    if now in UNDER_WAY:
        raise InputError(f"--resume: {folder.name} is {now}; stop it first: raven runs stop {folder.name}")
    return folder


class _StreamState:
    """What has come of one stream, on its way to becoming lines and events."""

    def __init__(self) -> None:
        self.decode: Any = codecs.getincrementaldecoder("utf-8")(errors="replace").decode
        self.lines = TerminalText()
        self.parser = OutputParser()


class _RunningProgram:
    """One program that runs."""

    def __init__(
        self, program: Program, executable: Path, run: Run, outputs: Outputs, new_files: NewFiles | None
    ) -> None:
        self.program, self.executable, self.run, self.outputs = program, executable, run, outputs
        self.new_files = new_files
        self.states: dict[str, _StreamState] = {}
        self.inbox = Inbox(run, self._try)
        self.models = KeptModels(run.path / layout.ARTIFACTS / MODELS)
        self.stop_requested_at: float | None = None
        self.faults: list[str] = []  # what could not be recorded: the program goes on

    def run_to_end(self) -> int:
        """Start it, stay with it, and record how it ended."""
        run, program = self.run, self.program
        places = {"working folder": program.folder, **self._scripts()}
        found: JsonObject = {"code": code(places, run.path / "provenance")}  # before it can change any
        with ConsoleLog(run.path / layout.CONSOLE) as log:
            streams = open_streams()
            with SignalForwarder() as signals:
                child = self._start(streams)
                signals.forward_to(child, lambda: copy_size(*streams))
                boards = TensorBoardWatcher(
                    run, [*map(Path, self.program.outputs), program.folder], child.pid
                )
                describing = threading.Thread(target=lambda: found.update(_describe(self.executable)))
                describing.start()
                monitor = RunMonitor.of(run, child.pid)
                monitor.every(0.5, self._read_inbox)
                monitor.every(1.0, boards.look)
                monitor.every(20.0, lambda: self.outputs.keep_settled(run))
                with monitor:
                    pump(
                        streams,
                        lambda stream, piece: self._take(stream, piece, log),
                        lambda: self._tick(child, log),
                        lambda: child.poll() is not None,
                    )
                    child.wait()
            self._finish(log)
        describing.join()
        self.faults += [log.fault] if log.fault else []
        return self._record_end(child.returncode, signals.received, boards, found)

    def _start(self, streams: Sequence[Stream]) -> subprocess.Popen[bytes]:
        ends = {name: stream.child_end for stream in streams for name in stream.names}
        told = {
            EVENTS: str(self.inbox.path),
            layout.RUN_VARIABLE: str(self.run.path),
            "PYTHONUNBUFFERED": "1",
        }
        if self.program.capture:
            path = os.environ.get("PYTHONPATH")
            told |= {SWITCH: "on", "PYTHONPATH": os.pathsep.join([SITE, *([path] if path else [])])}
        try:
            child: subprocess.Popen[bytes] = subprocess.Popen(
                list(self.program.arguments),
                executable=self.executable,
                cwd=self.program.folder,
                env={**os.environ, **told},
                **ends,  # type: ignore[call-overload]
            )
            return child
        except OSError as error:
            raise _cannot_start(self.program, 126, error.strerror or str(error)) from error
        finally:
            for stream in streams:
                os.close(stream.child_end)

    def _scripts(self) -> dict[str, Path]:
        """Where the first script that is named on the command line lies."""
        for argument in self.program.arguments:
            path = self.program.folder / argument
            if not argument.startswith("-") and path.suffix in (".py", ".sh", ".r", ".jl") and path.is_file():
                return {"script": path.resolve().parent}
        return {}

    def _take(self, stream: Stream, piece: bytes, log: ConsoleLog) -> None:
        state = self.states.setdefault(stream.names[0], _StreamState())
        log.write(state.lines.feed(state.decode(piece)))
        for found in state.parser.feed(piece):
            self.inbox.relay(found)

    def _try(self, record: Callable[[], None]) -> None:
        """Record something; a full disk does not end the program."""
        for fault in _attempt(record):
            self.faults += [fault] if fault not in self.faults else []

    def _read_inbox(self) -> None:
        self.inbox.read(self._keep_model)

    def _keep_model(self, path: Path) -> None:
        """Keep a model that the program has saved, and has not replaced or removed since."""
        if path.is_absolute() and path.exists() and not path.is_relative_to(self.run.path):
            for name, _ in self.models.keep(path):
                self.run.artifact(self.run.path / layout.ARTIFACTS / MODELS / name)

    def _keep_new_files(self) -> None:
        if self.new_files is not None:
            missing = self.new_files.keep(self.run, self.models.sources())
            self.faults += missing
            for line in missing:
                print(f"raven: {line}", file=sys.stderr)

    def _describe_arguments(self) -> None:
        """Where the program has not told its settings, those that its command line shows."""
        captured, known = self.run.record.get("captured"), self.run.record.get("parameters")
        told_before = captured == "command line"  # of an earlier attempt
        if captured is None or told_before or (captured == "task" and not known):
            found = read_settings(redact_arguments(list(self.program.arguments)))
            if found or known:
                self.run.describe({"parameters": redact(found), "captured": "command line"})

    def _tick(self, child: subprocess.Popen[bytes], log: ConsoleLog) -> None:
        for state in self.states.values():
            log.write(state.lines.settle())
        now = time.monotonic()
        if self.run.should_stop() and child.poll() is None:
            if self.stop_requested_at is None:
                self.stop_requested_at = now
                child.terminate()
            elif now - self.stop_requested_at > GRACE:
                child.kill()

    def _finish(self, log: ConsoleLog) -> None:
        for state in self.states.values():
            log.write(state.lines.feed(state.decode(b"", final=True)) + state.lines.end())
            for found in state.parser.end():
                self.inbox.relay(found)

    def _record_end(
        self, returned: int, came: Sequence[int], boards: TensorBoardWatcher, found: JsonObject
    ) -> int:
        """Bring in what is left, and write how it ended."""
        run = self.run
        left: list[Callable[[], None]] = [
            lambda: run.update(provenance=found),
            self._read_inbox,
            self._describe_arguments,
            boards.look_everywhere,
            lambda: self.outputs.keep_all(run),
            self._keep_new_files,
        ]
        for work in left:
            self._try(work)
        self.inbox.end()
        exit_code = 128 - returned if returned < 0 else returned
        stopped = bool(came) or run.stop.reason is not None
        status = "completed" if returned == 0 else "interrupted" if stopped else "failed"
        result: JsonObject = {"exit_code": exit_code, "metrics": run.last_metrics()}
        if status == "interrupted":
            result["reason"] = run.stop.reason or _signal_name(came[0])
        elif status == "failed":
            ended = f"by {_signal_name(-returned)}" if returned < 0 else f"with exit code {returned}"
            why = find_error(run.path / layout.CONSOLE)
            said = f": {why}" if why else "; the end of console.log may say why."
            result["error"] = f"{self.program.arguments[0]} ended {ended}{said}"
        if self.faults:
            result["faults"] = self.faults
        for fault in _attempt(lambda: run.finish(status, **result)):
            print(f"raven: how it ended could not be recorded: {fault}", file=sys.stderr)
        return exit_code


def _attempt(work: Callable[[], None]) -> list[str]:
    """What kept ``work`` from being done, in words; a program's end is recorded whatever happens here."""
    try:
        work()
    except (Exception, KeyboardInterrupt) as error:
        return [str(error) or type(error).__name__]
    return []


def _find(program: Program) -> Path:
    name = program.arguments[0]
    found = shutil.which(name, path=os.environ.get("PATH")) if os.sep not in name else None
    place = Path(found) if found else program.folder / name
    if not found and (os.sep not in name or not place.exists()):
        raise _cannot_start(program, 127, "no such program")
    if place.is_dir() or not os.access(place, os.X_OK):
        raise _cannot_start(program, 126, "it is not executable")
    return place


def _cannot_start(program: Program, code: int, why: str) -> CannotStart:
    name = program.arguments[0]
    hint = ""
    if len(program.arguments) == 1 and " " in name:
        hint = "; give the program and its arguments as separate words, not as one text"
    elif name.endswith(".py"):
        hint = f"; did you mean: raven run -- python {shlex.join(program.arguments)}"
    error = CannotStart(f"{name} cannot be run: {why}{hint}.")
    error.exit_code = code
    return error


def _describe(executable: Path) -> JsonObject:
    return {**environment_of(executable), "machine": machine()}


def _signal_name(number: int) -> str:
    import signal

    if number == signal.SIGINT:
        return "Ctrl-C"
    with suppress(ValueError):
        return signal.Signals(number).name
    return f"signal {number}"
