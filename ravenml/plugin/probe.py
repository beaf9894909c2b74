"""Importing code for the first time, in a process that it may kill, block or fill.

Whatever the import does, the answer is a sentence.  Two processes take part.  The *watcher* leads a session
of its own; its child imports.  The child answers through a pipe that nothing else writes to; if it dies, the
watcher knows how.  When the answer is there, or the time is up, the whole session is killed, and with it
whatever the import has started.
"""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, NoReturn

from ravenml.common.formatting import describe_error, printable

KEPT = 4096  # bytes that are kept of what the import prints last
THREAD_PATIENCE = 1.0  # seconds that threads may take which are to end by themselves

Examine = Callable[[Any], Iterable[str]]


@dataclass
class Answer:
    """What came of an import.

    Attributes:
        problem: why there is no object, as the end of a sentence; None if it is there.
        traceback: where it was raised, if it was.
        faults: what is wrong with the object, a phrase each.
    """

    problem: str | None = None
    traceback: str = ""
    faults: list[str] = field(default_factory=list)


def load_object(value: str) -> Any:
    """Import what ``module:object`` names; a module alone is itself the object."""
    from importlib_metadata import EntryPoint

    return EntryPoint("", value, "").load()


def probe(
    value: str,
    seconds: float,
    *,
    wait: Callable[[], object] = lambda: None,
    wait_after: float = 5.0,
    examine: Examine | None = None,
    path: Sequence[str] = (),
    fresh: bool = False,
) -> Answer:
    """Import ``module:object`` in a process of its own.

    Args:
        value: what to import.
        seconds: how long it may take.
        wait: called once when it has taken ``wait_after`` seconds.
        examine: called with the object, there; it yields what is wrong with it.
        path: folders that modules are looked for in, before all others.
        fresh: in a new Python, which has imported nothing that this one has.
    """
    path = [*path, *map(str, sys.path)]
    if fresh or _has_other_threads():
        return _probe_in_new_python(value, seconds, examine, path)
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError, AttributeError):
            stream.flush()  # or the fork would write it again
    reading, writing = os.pipe()
    watcher = os.fork()
    if watcher == 0:
        sys.path[:] = path
        _watch(value, examine, reading, writing)
    os.close(writing)
    content, status = b"", None
    try:
        content = _read_line(reading, seconds, wait, wait_after)
    finally:
        with suppress(ProcessLookupError):
            os.kill(watcher, signal.SIGKILL)  # it may not lead its session yet
        with suppress(ProcessLookupError):
            os.killpg(watcher, signal.SIGKILL)
        os.close(reading)
        _, status = os.waitpid(watcher, 0)
    if content.endswith(b"\n"):
        return Answer(**json.loads(content))
    if content == b"late":
        return Answer(f"its import did not end within {seconds:g} s")
    return Answer(f"its import {_ending(status, 'the process that watched it')}")


def run_contained(
    command: Sequence[str], seconds: float, **options: Any
) -> subprocess.CompletedProcess[str] | None:
    """Run a program in a session of its own, which is killed when it ends; None if that takes too long.

    What it prints goes to files, so that a process which it leaves behind holds nobody up.
    """
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=out, stderr=err, start_new_session=True, **options
        )
        try:
            code = process.wait(seconds)
        except subprocess.TimeoutExpired:
            return None
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        out.seek(0)
        err.seek(0)
        printed = (out.read().decode(errors="replace"), err.read().decode(errors="replace"))
    return subprocess.CompletedProcess(command, code, *printed)


def _has_other_threads() -> bool:
    """Whether a fork of this process could wait for ever, for a lock that a thread held."""
    with suppress(OSError):
        return len(os.listdir("/proc/self/task")) > 1
    return threading.active_count() > 1


def _probe_in_new_python(value: str, seconds: float, examine: Examine | None, path: Sequence[str]) -> Answer:
    code = (
        "import json, sys; sys.path[:], *rest = json.loads(sys.argv[1]);"
        "from ravenml.plugin.probe import _main; _main(*rest)"
    )
    name = f"{examine.__module__}:{examine.__qualname__}" if examine is not None else None
    command = [sys.executable, "-P", "-c", code, json.dumps([path, value, seconds, name])]
    done = run_contained(command, seconds + 30)
    if done is None or done.returncode or not done.stdout.startswith("{"):
        said = printable(done.stderr.strip().rpartition("\n")[2]) if done is not None else "no answer"
        return Answer(f"its import could not be tried in {sys.executable} ({said})")
    return Answer(**json.loads(done.stdout))


def _main(value: str, seconds: float, examine: str | None) -> None:
    answer = probe(value, seconds, examine=None if examine is None else load_object(examine))
    print(json.dumps(asdict(answer)))


def _read_line(reading: int, seconds: float, wait: Callable[[], object], wait_after: float) -> bytes:
    """What the watcher writes until its line ends or it does; ``late`` if that takes too long."""
    content, begun, waited = b"", time.monotonic(), False
    while not content.endswith(b"\n"):
        spent = time.monotonic() - begun
        if spent >= seconds:
            return b"late"
        if spent >= wait_after and not waited:
            waited = True
            wait()
        left = (seconds if waited else min(seconds, wait_after)) - spent
        if select.select([reading], [], [], max(left, 0.001))[0]:
            part = os.read(reading, 1 << 16)
            if not part:
                return b""
            content += part
    return content


def _watch(value: str, examine: Examine | None, reading: int, writing: int) -> NoReturn:
    """The watcher: starts the child, waits for its answer or its end, and passes that on."""
    try:
        os.setsid()
        os.close(reading)
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_DFL)
        answers, answering = os.pipe()
        outputs, output = os.pipe()
        child = os.fork()
        if child == 0:
            _import(value, examine, answering, output)
        os.close(answering)
        os.close(output)
        answer = _wait_for_child(child, answers, outputs, parent=writing)
        os.write(writing, json.dumps(asdict(answer)).encode() + b"\n")
    finally:
        os._exit(0)


def _wait_for_child(child: int, answers: int, outputs: int, parent: int) -> Answer:
    said = {answers: b"", outputs: b""}
    poll = select.poll()
    for descriptor in said:
        poll.register(descriptor, select.POLLIN)
    poll.register(parent, 0)  # of which only its end is told
    status = None
    while True:
        events = poll.poll(50 if status is None else 0)
        for descriptor, _ in events:
            if descriptor == parent:
                os.killpg(0, signal.SIGKILL)  # nobody waits for an answer any more
            part = os.read(descriptor, 1 << 16)
            if not part:
                poll.unregister(descriptor)
            said[descriptor] = (said[descriptor] + part)[-KEPT if descriptor == outputs else 0 :]
        if said[answers].endswith(b"\n"):
            return Answer(**json.loads(said[answers]))
        if status is not None and not events:
            break
        if status is None:
            pid, ended = os.waitpid(child, os.WNOHANG)
            status = ended if pid else None
    lines = [line for line in said[outputs].decode(errors="replace").splitlines() if line.strip()]
    last = f"; it printed: {printable(lines[-1], 200)}" if lines else ""
    return Answer(f"its import {_ending(status, 'the process')}{last}")


def _ending(status: int, process: str) -> str:
    code = os.waitstatus_to_exitcode(status)
    if code >= 0:
        return f"ended {process} with exit code {code}"
    try:
        name = signal.Signals(-code).name
    except ValueError:
        name = f"signal {-code}"
    if -code == signal.SIGKILL:
        return f"killed {process} ({name}), or used up the memory"
    return f"killed {process} ({name})"


def _import(value: str, examine: Examine | None, answering: int, output: int) -> NoReturn:
    """The child: imports, and answers."""
    me = os.getpid()
    answer = Answer()
    try:
        _begin_afresh(answering, output)
        try:
            found = load_object(value)
            answer.faults = [printable(fault) for fault in examine(found)] if examine is not None else []
            answer.problem = _endless_thread()
        except BaseException as error:  # SystemExit and KeyboardInterrupt of its own, too
            answer = Answer(describe_error(error), _traceback(error))
        if os.getpid() == me:  # not a fork that the import has made
            os.write(answering, json.dumps(asdict(answer)).encode() + b"\n")
    finally:
        os._exit(0)


def _begin_afresh(answering: int, output: int) -> None:
    """Let go of what is the parent's: its files, its streams, its way of ending at Ctrl-C."""
    nothing = os.open(os.devnull, os.O_RDONLY)
    for target, source in enumerate((nothing, output, output)):
        os.dup2(source, target)
    os.closerange(3, answering)
    os.closerange(answering + 1, os.sysconf("SC_OPEN_MAX"))
    sys.stdin = open(0, closefd=False)  # noqa: SIM115
    sys.stdout = sys.stderr = open(  # noqa: SIM115
        1, "w", buffering=1, errors="backslashreplace", closefd=False
    )
    signal.signal(signal.SIGINT, signal.default_int_handler)
    with suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("1000")  # the first to go, before whoever started it


def _endless_thread() -> str | None:
    for thread in threading.enumerate():
        if thread is not threading.current_thread() and not thread.daemon:
            thread.join(THREAD_PATIENCE)
            if thread.is_alive():
                return f"its import starts the thread {printable(thread.name)!r}, which does not end"
    return None


def _traceback(error: BaseException) -> str:
    try:
        return "".join(traceback.format_exception(error))[-8000:]
    except BaseException:
        return ""
