"""pip, pip-compile and install scripts as processes: what they say while they run, and why they failed.

On a terminal, one line per plugin shows what is being done and for how long; elsewhere, plain lines tell of
downloads and of what scripts print.  Why something failed is one sentence with the package and who wants it.
"""

from __future__ import annotations

import os
import re
import selectors
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from urllib.parse import unquote

from ravenml.common.formatting import format_duration, terminal_safe

# The journal's lock: a process that outlives us, because we alone were killed, keeps holding it.
inherited: tuple[int, ...] = ()
# A file whose time says until when we lived: what came later is not what a killed pip left behind.
heartbeat: Path | None = None

_TOLD = re.compile(
    r"\s*(Downloading |Building wheel for .*started|Installing collected)"
)  # pip's lines that are worth a line
_TICK = 0.25  # seconds
_BETWEEN = re.compile(r"(The above exception was the|During handling of the above)")  # tracebacks
_RAISED = r"requirement=\w+\('([^']+)'\), parent=(.*?)\)(?=[,\]])"  # in resolvelib's exceptions
_ANSI = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


def say(text: str) -> None:
    """Print a line at once: children print to the same terminal."""
    print(text, flush=True)


def pip(
    *arguments: str,
    title: str = "pip",
    asked_by: str = "the requirements",
    environment: Mapping[str, str] | None = None,
) -> str | None:
    """Run this environment's pip; None, or why it failed, without a full stop.

    Args:
        arguments: a command of pip and its arguments.
        title: what is installed or removed, for the line that shows progress.
        asked_by: who wants what the arguments name.
        environment: further environment variables.
    """
    command = [sys.executable, "-P", "-m", "pip", "--disable-pip-version-check", *arguments]
    code, text = run_shown(
        command, title, environment=environment, tells=lambda line: bool(_TOLD.match(line))
    )
    return None if code == 0 else explain_failure(text, asked_by) or f"pip ended with {code}"


def run_shown(
    command: Sequence[str | Path],
    title: str,
    *,
    environment: Mapping[str, str] | None = None,
    folder: Path | None = None,
    tells: Callable[[str], bool] = lambda line: True,
    given: str | None = None,
) -> tuple[int, str]:
    """Run a program to its end and show that it is at work; its exit code, and what it printed.

    It ends only when all that it started has let go of its output.  Tracebacks are not shown.

    Args:
        title: what the line on the terminal begins with.
        environment: further environment variables.
        folder: its working folder.
        tells: whether a line that it prints is worth one where there is no terminal.
        given: its standard input.  With it, standard output alone comes back where it ends well.
    """
    lines: list[str] = []
    shown = _Progress(title)
    with tempfile.TemporaryFile() as source, tempfile.TemporaryFile() as result:
        if given is not None:
            source.write(given.encode())
            source.seek(0)
        process = subprocess.Popen(
            command,
            cwd=folder,
            env={**os.environ, "PYTHONUNBUFFERED": "1", **(environment or {})},
            stdin=source,
            stdout=subprocess.PIPE if given is None else result,
            stderr=subprocess.STDOUT if given is None else subprocess.PIPE,
            pass_fds=inherited,
        )
        output = process.stdout or process.stderr
        assert output is not None
        try:
            _read(output.fileno(), lines, shown, tells)
        except BaseException as error:
            # what it started must be at an end before anybody tidies up; Ctrl-C has reached it already
            if not isinstance(error, KeyboardInterrupt):
                process.terminate()
            elif not sys.stdin.isatty():
                process.send_signal(signal.SIGINT)
            while os.read(output.fileno(), 65536):
                pass
            raise
        finally:
            shown.clear()
            output.close()
            process.wait()
        if given is not None and process.returncode == 0:
            result.seek(0)
            return 0, result.read().decode(errors="replace")
    return process.returncode, "\n".join(lines)


def _read(output: int, lines: list[str], shown: _Progress, tells: Callable[[str], bool]) -> None:
    """Read lines until the end of the output, and keep the heart beating."""
    rest, in_traceback = b"", False
    with selectors.DefaultSelector() as selector:
        selector.register(output, selectors.EVENT_READ)
        while True:
            if selector.select(_TICK):
                part = os.read(output, 65536)
                *whole, rest = (rest + part).replace(b"\r", b"\n").split(b"\n")
                if not part:
                    whole, rest = [rest], b""
                for raw in whole:
                    line = _ANSI.sub("", raw.decode(errors="replace")).rstrip()
                    line = re.sub(r"file://\S+", lambda url: unquote(url[0]), line)
                    lines.append(line)
                    if line.startswith("Traceback (most recent call last)"):
                        in_traceback = True
                    elif in_traceback and line and not line.startswith(" "):
                        in_traceback = False  # the exception itself, which explain_failure makes a sentence
                    elif line.strip() and not in_traceback and not _BETWEEN.match(line):
                        shown.show(line.strip(), tells(line))
                if not part:
                    return
            shown.tick()
            if heartbeat is not None:
                with suppress(OSError):
                    os.utime(heartbeat)


class _Progress:
    """One line on a terminal that says what is being done and for how long; plain lines elsewhere."""

    def __init__(self, title: str) -> None:
        self.title = title
        self.text = ""
        self.began = time.monotonic()
        self.live = sys.stdout.isatty()

    def show(self, text: str, worth_a_line: bool) -> None:
        self.text = terminal_safe(text)
        if not self.live and worth_a_line:
            say(f"  {self.text}")

    def tick(self) -> None:
        if self.live:
            elapsed = format_duration(time.monotonic() - self.began)
            room = shutil.get_terminal_size().columns - 1
            line = f"{self.title} ({elapsed})  {self.text}"
            sys.stdout.write(f"\r\x1b[K{line if len(line) <= room else line[: room - 1] + '…'}")
            sys.stdout.flush()

    def clear(self) -> None:
        if self.live:
            sys.stdout.write("\r\x1b[K")
            sys.stdout.flush()


# Why it failed.


def explain_failure(
    text: str, asked_by: str = "the requirements", by_requirement: Mapping[str, str] | None = None
) -> str:
    """Why pip or pip-compile failed, from what it printed: a sentence without its full stop.

    A requirement that does not exist, or contradicts another, is named together with who wants it.

    Args:
        text: what was printed.
        asked_by: who wants what no package wants, such as ``requirements.in``.
        by_requirement: the same for single requirements, where they come from several files.
    """
    files = {"".join(line.split()): file for line, file in (by_requirement or {}).items()}
    wanted = _conflict(text) or _not_found(text)
    if wanted:
        *others, last = (
            f"{requirement}, wanted by {who or files.get(''.join(requirement.split()), asked_by)}"
            for requirement, who in wanted.items()
        )
        sentence = f"these contradict each other: {'; '.join(others)}; and {last}"
        sentence = sentence if others else f"no package index has {last}{_versions(text)}"
        offline = "Retrying (Retry(" in text
        return f"the package index cannot be reached, and so {sentence}" if offline else sentence
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    errors = [line for line in lines if line.upper().startswith("ERROR")]
    return " ".join(errors[:3] or lines[-1 if "Traceback (most" in text else -3 :]).rstrip(".")


def _conflict(text: str) -> dict[str, str]:
    """What contradicts each other and who wants it (empty: the user); from what pip or pip-compile says."""
    wanted: dict[str, str] = {}
    told = re.search(r"The conflict is caused by:\n((?:[ \t]+\S.*\n?)+)", text)
    for line in told[1].splitlines() if told else ():
        if match := re.match(r"\s+The user requested (\(constraint\) )?(.+)", line):
            wanted.setdefault(match[2], "the constraints" if match[1] else "")
        elif match := re.match(r"\s+(.+?) depends on (.+)", line):
            wanted.setdefault(match[2], match[1])
    for raised in re.findall(r"ResolutionImpossible: (\[RequirementInformation.*\])", text)[-1:]:
        for requirement, parent in re.findall(_RAISED, raised):
            wanted.setdefault(requirement, _candidate(parent))
    return wanted if len(wanted) > 1 else {}


def _not_found(text: str) -> dict[str, str]:
    """What was not found and who wants it, likewise."""
    pattern = r"satisfies the requirement (.+?)(?: \(from (?!versions)(.+?)\))? \(from versions: "
    if match := re.search(pattern, text):
        who = match[2] or ""
        return {match[1]: "" if " (line " in who else who.split("->")[-1]}
    if match := re.search(r"No matching distribution found for (\S+)", text):
        parents = [parent for requirement, parent in re.findall(_RAISED, text) if requirement == match[1]]
        return {match[1]: _candidate(parents[-1]) if parents else ""}
    return {}


def _versions(text: str) -> str:
    match = re.search(r"\(from versions: (.*)\)", text)
    return "" if match is None or match[1] == "none" else f"; it has {', '.join(match[1].split(', ')[-5:])}"


def _candidate(parent: str) -> str:
    """Name and version in pip's notation of what wants something; empty where nothing does."""
    match = re.search(r"'([^']+)'", parent)
    if match is None:
        return ""
    file = match[1].rstrip("/").split("/")[-1]
    wheel = re.match(r"([^-]+)-([^-]+)-.*\.whl$", file) or re.match(
        r"(.+)-([^-]+?)(?:\.tar\.\w+|\.zip)$", file
    )
    return f"{wheel[1].replace('_', '-')} {wheel[2]}" if wheel else file.replace("==", " ")
