"""A task on this machine: the program that runs, and what the agent must know to find it again.

<home>/agent/<run id>/
  task.json        what is started, how, and whether the agent is done with it
  alive            held by the supervisor while the program runs; it holds the supervisor's process number
  stdout, stderr   all that the program printed
  exit             its exit code, once it has ended
  cursor.json      how far the agent has read
  home/, path/     the program's HOME, and what is added to Python's path
  task/            the task folder, unless the user named another
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path

from ravenml.agent import supervisor
from ravenml.agent.task_folder import DATA
from ravenml.common.io import read_json, write_json
from ravenml.common.locks import LockHeld, is_held, open_locked
from ravenml.common.locks import acquire as lock
from ravenml.common.permissions import open_file
from ravenml.config.home import home
from ravenml.errors import RavenError

TASK = "task.json"


def tasks_dir() -> Path:
    """Where the agent keeps its tasks."""
    return home() / "agent"


@dataclass
class AgentTask:
    """A task of the agent.

    Attributes:
        folder: where the agent keeps it.
        run: the run's id.
        plugin: the plugin's folder.
        mode: the plugin's mode: ``train`` is ``src/train.py``.
        task_dir: the task folder.
        named: whether the user named the task folder, which is then never removed.
        isolation: ``docker``, ``bwrap`` or ``none``.
        command: the command line that runs the program.
        grace: seconds between SIGTERM and SIGKILL.
        keep: whether the folder is kept after a success.
        done: whether there is nothing left to do.
        data: the projects that are mounted in the task folder, by name.
    """

    folder: Path
    run: str
    plugin: Path
    mode: str
    task_dir: Path
    named: bool = False
    isolation: str = "none"
    command: list[str] = field(default_factory=list)
    grace: float = 10.0
    keep: bool = False
    done: bool = False
    data: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._held = -1

    @classmethod
    def read(cls, folder: Path) -> AgentTask:
        """The task in a folder.

        Raises:
            RavenError: its ``task.json`` is missing or broken.
        """
        record = read_json(folder / TASK)
        try:
            paths = {name: Path(record[name]) for name in ("plugin", "task_dir")}
            return cls(folder=folder, **{**record, **paths})
        except (KeyError, TypeError) as error:
            raise RavenError(f"{folder / TASK} is not a valid task: {error}.") from None

    def write(self, done: bool = False) -> None:
        """Write ``task.json``, with ``done`` once nothing is left to do."""
        self.done = self.done or done
        record = asdict(self)
        del record["folder"]
        write_json(self.folder / TASK, record)

    def leave(self) -> None:
        """Nothing is left to do, and the folder stays: in it, links stand where the data were mounted."""
        for name, project in self.data.items():
            place = self.task_dir / DATA / name
            with suppress(OSError):  # it is no empty folder, or the plugin has removed it
                place.rmdir()
                place.symlink_to(project, target_is_directory=True)
        self.write(done=True)

    def acquire(self) -> bool:
        """Attend to it, while this process lives or until ``release``; False if another agent does."""
        try:
            self._held = open_locked(self.folder / "agent", patience=0)
        except LockHeld:
            return False
        return True

    def release(self) -> None:
        """Leave it to another agent."""
        if self._held >= 0:
            os.close(self._held)
            self._held = -1

    def is_attended(self) -> bool:
        """Whether an agent attends to it."""
        return is_held(self.folder / "agent")

    def start(self, environment: dict[str, str], working_folder: Path, pass_fds: Sequence[int] = ()) -> None:
        """Start the program under its supervisor, in a session of its own, and wait for it.

        Args:
            environment: the program's whole environment.
            working_folder: where it starts.
            pass_fds: files that stay open, and locked, for as long as the supervisor lives.
        """
        # Locked here already: an agent that comes in between finds the task alive, or never started.
        alive = open_file(self.folder / "alive", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC)
        try:
            lock(alive, patience=0)
            line = [sys.executable, "-I", "-S", supervisor.__file__, str(self.folder), str(alive)]
            child = subprocess.Popen(
                [*line, *self.command],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                env=environment,
                cwd=working_folder,
                start_new_session=True,
                pass_fds=[*pass_fds, alive],
            )
        finally:
            os.close(alive)
        while not (self._supervisor_pid() or (self.folder / "exit").exists()):
            if child.poll() is not None and not (self.folder / "exit").exists():
                raise RavenError(f"The program of {self.run} could not be started ({self.folder}).")
            time.sleep(0.01)

    def alive(self) -> bool:
        """Whether the supervisor lives."""
        return is_held(self.folder / "alive")

    def was_started(self) -> bool:
        """Whether its program was started, or is about to be."""
        alive = self.folder / "alive"
        return self.alive() or (alive.exists() and alive.stat().st_size > 0)

    def exit_code(self) -> int | None:
        """The program's exit code (negative: the signal that ended it); None while there is none."""
        try:
            return int((self.folder / "exit").read_text())
        except (OSError, ValueError):
            return None

    def ask_to_stop(self) -> None:
        """SIGTERM to the program (and not to the sandbox around it, which would just die)."""
        for pid in self._program_pids():
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGTERM)

    def kill(self) -> None:
        """SIGKILL to the program and to all that it started."""
        if self.isolation == "docker":
            name = self.command[self.command.index("--name") + 1]
            subprocess.run(["docker", "kill", name], stdin=subprocess.DEVNULL, capture_output=True)
        pid = self._supervisor_pid()
        for child in [child for child, _ in descendants(pid)] if pid else ():
            with suppress(ProcessLookupError):
                os.kill(child, signal.SIGKILL)

    def _program_pids(self) -> list[int]:
        """The outermost processes of the program itself."""
        pid = self._supervisor_pid()
        if pid is None:
            return []
        own = {child: parent for child, parent in descendants(pid) if not _is_sandbox(child)}
        return [pid for pid, parent in own.items() if parent not in own]

    def _supervisor_pid(self) -> int | None:
        if not self.alive():
            return None
        try:
            return int((self.folder / "alive").read_text())
        except (OSError, ValueError):
            return None


def descendants(ancestor: int) -> Iterator[tuple[int, int]]:
    """Each living process that ``ancestor`` started, directly or not, with its parent (Linux)."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with suppress(OSError, ValueError, IndexError):
                # The name, in parentheses, may hold spaces; the parent is the second field behind it.
                parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
                children.setdefault(parent, []).append(int(entry.name))
    waiting = [ancestor]
    while waiting:
        parent = waiting.pop()
        for child in children.get(parent, ()):
            waiting.append(child)
            yield child, parent


def _is_sandbox(pid: int) -> bool:
    try:
        return (Path("/proc") / str(pid) / "comm").read_text().strip() == "bwrap"
    except OSError:
        return True  # it has ended in the meantime
