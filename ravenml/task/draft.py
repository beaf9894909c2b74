"""Runs that are to be started: clones of runs with other parameters, and scripts."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar

from ravenml.common.io import JsonObject
from ravenml.config.config import load_config
from ravenml.config.home import runs_dir
from ravenml.errors import InputError, RavenError
from ravenml.remote import WORKER
from ravenml.runs import layout
from ravenml.runs.process.inbox import EVENTS
from ravenml.runs.record import read_record
from ravenml.runs.replay import Replay, replay_clone
from ravenml.task.recorded import list_parameters, sections_of
from ravenml.task.task_view import TaskView


class Draft(TaskView):
    """A run that is not started yet: ``Task.clone`` and ``Task.create`` make it, ``Task.enqueue`` starts it.

    Until then its parameters can be changed; afterwards it is a run like others.
    """

    _known: ClassVar[dict[str, Draft]] = {}

    def __init__(
        self, source: Path | None, script: Sequence[str], folder: Path, name: str | None, project: str | None
    ) -> None:
        super().__init__(runs_dir() / layout.new_id())
        self._source = source
        self._script = list(script)
        self._place = folder
        self._given: JsonObject = {}
        record = read_record(source) if source is not None else {}
        self._name, self._project = name or record.get("name"), project or record.get("project")
        self._parameters = list_parameters(record.get("parameters") or {}, sections_of(record), cast=False)
        self._process: subprocess.Popen[bytes] | None = None
        self._known[self.id] = self

    @classmethod
    def of_run(cls, run_id: str, name: str | None = None, project: str | None = None) -> Draft:
        """A run like another.

        Raises:
            InputError: there is no such run.
        """
        return cls(layout.find_run(run_id), (), Path.cwd(), name, project)

    @classmethod
    def of_script(
        cls,
        script: str | None,
        folder: str | None,
        arguments: Sequence[tuple[str, object]],
        name: str | None,
        project: str | None,
        repository: str | None,
    ) -> Draft:
        """A run of a script of this machine."""
        if repository:
            raise InputError(
                "Task.create: repo= is not fetched; clone the repository, and give script= in it."
            )
        if not script:
            raise InputError("Task.create needs script=, the file that is to be run.")
        words = [word for key, value in arguments for word in (f"--{key.lstrip('-')}", str(value))]
        place = Path(folder or os.getcwd())
        if not (place / script).is_file():
            raise InputError(f"Task.create: there is no script {place / script}.")
        return cls(None, [script, *words], place, name, project)

    @classmethod
    def find(cls, run_id: str) -> Draft | None:
        """The one with this ID; None where this process has made none."""
        return cls._known.get(run_id)

    @property
    def name(self) -> str | None:
        """What people call it."""
        return self._name

    @property
    def project(self) -> str | None:
        """What it belongs to."""
        return self._project

    @property
    def parent(self) -> str | None:
        """The ID of the run that it repeats."""
        return self._source.name if self._source is not None else None

    @property
    def status(self) -> str:
        """``created`` until it is started; see :attr:`TaskView.status`."""
        return super().status if self._is_begun() else "created" if self._process is None else "queued"

    def get_parameters(self, backwards_compatibility: bool = True, cast: bool = False) -> JsonObject:
        """The parameters that it will have; a started run's are what it recorded."""
        return super().get_parameters(cast=cast) if self._is_begun() else {**self._parameters, **self._given}

    def set_parameters(self, *mappings: Mapping[str, object], **values: object) -> None:
        """Change parameters: by section and name (``General/lr``), or by name."""
        for mapping in (*mappings, values):
            for name, value in mapping.items():
                if self._parameters.get(name) != str(value):
                    self._given[name] = value

    def set_parameter(self, name: str, value: object, *_: object, **__: object) -> None:
        """Change a parameter."""
        self.set_parameters({name: value})

    def update_parameters(self, *mappings: Mapping[str, object], **values: object) -> None:
        """Change parameters."""
        self.set_parameters(*mappings, **values)

    def start(self, queue: str | None = None) -> None:
        """Start it: on a queue of the configuration, or in the background on this machine.

        Raises:
            InputError: a parameter is not known to the run that it repeats, or is a secret.
            RavenError: it cannot be sent, or did not start.
        """
        if self._process is not None:
            raise InputError(f"The run {self.id} was started already.")
        replay = self._replay()
        if queue is not None and queue in load_config().queues:
            self._send(replay, queue)
            return
        self._output = tempfile.TemporaryFile()  # noqa: SIM115 - it is read once the process has ended
        environment = {
            **{name: one for name, one in os.environ.items() if name not in (EVENTS, layout.RUN_VARIABLE)},
            **replay.environment,
            **{layout.RUN_ID: self.id, WORKER: "1"},
        }
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", "ravenml", *replay.arguments],
            cwd=replay.folder or self._place,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=self._output,
            stderr=self._output,
            start_new_session=True,
        )

    def wait(self, timeout: float | None = None) -> str:
        """Wait for its end on this machine; its status.

        Args:
            timeout: in seconds.

        Raises:
            RavenError: it did not start; the sentence has what it said last.
        """
        assert self._process is not None
        try:
            self._process.wait(timeout)
        except subprocess.TimeoutExpired:
            return self.status
        self._output.seek(0)
        said = self._output.read().decode(errors="replace").split("\n")
        if not self._is_begun():
            last = next((line for line in reversed(said) if line.strip()), "it said nothing")
            raise RavenError(f"{self.name or self.id} did not start: {last}")
        return self.status

    def stop(self) -> None:
        """End it, as Ctrl-C would."""
        if self._process is not None and self._process.poll() is None:
            self._process.terminate()

    def _replay(self) -> Replay:
        if self._source is not None:
            record = read_record(self._source)
            sets = [f"{_setting(name)}={value}" for name, value in self._given.items()]
            replay = replay_clone(self._source, record, sets)
            options = self._options()
            if replay.arguments[:1] == ["run"]:  # the options below name it
                at = replay.arguments.index("--")
                replay.arguments[1:at] = [*_without_names(replay.arguments[1:at]), *options]
            return replay
        words = [word for name, value in self._given.items() for word in (f"--{_setting(name)}", str(value))]
        return Replay(["run", *self._options(), "--", sys.executable, *self._script, *words], self._place)

    def _options(self) -> list[str]:
        named = (("--project", self._project), ("--name", self._name))
        return [word for option, value in named if value for word in (option, value)]

    def _send(self, replay: Replay, queue: str) -> None:
        """Submit the command to a queue; it is known here by the ID that it has already."""
        arguments = [replay.arguments[0], "--remote", queue, *replay.arguments[1:]]
        done = subprocess.run(
            [sys.executable, "-P", "-m", "ravenml", *arguments],
            cwd=replay.folder or self._place,
            env={**os.environ, **replay.environment, layout.RUN_ID: self.id},
            capture_output=True,
            text=True,
        )
        if done.returncode:
            raise RavenError(f"The run was not sent to {queue}: {done.stderr.strip().splitlines()[-1:]}")

    def _is_begun(self) -> bool:
        return (self._folder / layout.RUN_JSON).exists()


def _setting(name: str) -> str:
    """ClearML's name of a parameter as ``--set`` has it: ``lr`` of ``General/lr``, else ``Net.depth``."""
    section, _, rest = name.partition("/")
    if not rest:
        return section
    return (rest if section in ("General", "Args") else name).replace("/", ".")


def _without_names(options: list[str]) -> list[str]:
    kept: list[str] = []
    words = iter(options)
    for word in words:
        if word in ("--project", "--name"):
            next(words, None)
        elif not word.startswith(("--project=", "--name=")):
            kept.append(word)
    return kept
