"""On the worker: a training as a process of its own, restored from the mirror, mirrored while it runs."""

from __future__ import annotations

import ctypes
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ravenml.errors import RavenError
from ravenml.files import write_json
from ravenml.remote.container import container_command, current_user, find_engine
from ravenml.remote.job import Job
from ravenml.remote.mirror import PERIOD, Mirror, beat
from ravenml.remote.pack import CODE, PROVENANCE
from ravenml.remote.places import Place
from ravenml.remote.queues import open_store
from ravenml.remote.restore import bring
from ravenml.remote.sealing import is_sealed, seal_folder
from ravenml.runs import layout
from ravenml.runs.launcher import FOLD, PARENT, PARENT_PID
from ravenml.runs.run import FIELDS

JOB_FILE = "RAVENML_REMOTE_JOB"  # in a k-fold parent's environment: what its folds are started with
ENVIRONMENT = "RAVENML_REMOTE_ENVIRONMENT"  # there, too: the runtime environment for its folds
ALIVE = 3 * PERIOD  # seconds; a predecessor that was heard within them may still be writing
_POLITE, _GRACE = 10.0, 60.0  # seconds after which a request to stop becomes SIGTERM, and SIGKILL


class Lost(Exception):
    """The training was killed by something else than itself: worth another try."""


class Replaced(Exception):
    """Another worker has taken this run over."""


@dataclass
class Work:
    """One process that trains, in a folder of this machine's own.

    Attributes:
        inside: what it is within the run: empty, or ``folds/0/``.
        control: the name of the request that it listens to.
        mirrored: whether it writes the run; of processes that train one model together, only the first.
        environment: what the process gets beside this one's environment.
    """

    job: Job
    attempt: int
    inside: str = ""
    control: str = layout.CONTROL
    mirrored: bool = True
    environment: dict[str, str] = field(default_factory=dict)

    def run(self) -> int:
        """Restore, run, mirror; the exit code of the process.

        Raises:
            Lost: the process was killed.
        """
        for name in self.job.secrets:
            if not (Path(name).expanduser().exists() if "/" in name else name in os.environ):
                return self._refuse(
                    f"The worker {socket.gethostname()} has no {name}, which the queue requires."
                )
        _sweep()
        scratch = Path(tempfile.mkdtemp(prefix=f"raven-work-{os.getpid()}-"))
        try:
            return self._run(scratch)
        except Replaced:
            return 0
        except RavenError as error:
            return self._refuse(str(error))
        finally:
            shutil.rmtree(scratch, ignore_errors=True)

    def _run(self, scratch: Path) -> int:
        job, me = self.job, uuid.uuid4().hex
        place = Place(open_store(job.store), job.id)
        heart = self.control.replace("control", "heartbeat")
        run_folder = scratch / "runs" / job.id
        folder = run_folder / self.inside if self.inside else run_folder
        without = ("folds/",) if job.spread_folds and not self.inside else ()
        mirror = Mirror(place, folder, self.inside, without)
        if self.mirrored:
            before = place.read(heart) or {}
            beat(place, heart, self.attempt, "running", by=me, host=socket.gethostname())
            if before.get("state") == "running" and time.time() - float(before["at"]) < ALIVE:
                time.sleep(ALIVE)  # until a predecessor that lives on has seen that it is replaced
        if self.inside:
            bring(place, run_folder, {}, without=("folds/", "previews/"), keep=_is_no_weights)
        bring(place, folder, {}, self.inside, without)
        mirror.adopt()
        if is_sealed(folder) and _result(folder) == "completed":
            return 0
        folder.mkdir(parents=True, exist_ok=True)
        output = folder / layout.CONSOLE if self.inside else scratch / "output.log"
        process = self._start(scratch, run_folder, folder, output)
        try:
            code = self._follow(process, place, mirror, heart, me)
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
        if code < 0 and not is_sealed(folder):
            raise Lost(f"the training was killed by signal {-code}")
        if not is_sealed(folder) and not self.inside:
            status = "completed" if code == 0 else "failed"
            seal_folder(folder, job, status, _last_line(output) or f"it ended with exit code {code}")
        if not (folder / layout.CONSOLE).exists():  # it ended before it had a run
            shutil.copyfile(output, folder / layout.CONSOLE)
        if self.mirrored:
            _insist(mirror)
            beat(place, heart, self.attempt, "ended", by=me)
        return code

    def _start(self, scratch: Path, run_folder: Path, folder: Path, output: Path) -> subprocess.Popen[bytes]:
        job, library = self.job, Path(__file__).parents[2]
        code = scratch / CODE
        if (library / CODE).is_dir():
            shutil.copytree(
                library / CODE, code, symlinks=True
            )  # what is written there is for this run alone
        code.mkdir(exist_ok=True)
        known = {name: job.record[name] for name in ("command", "remote") if name in job.record}
        mine = {
            FIELDS: json.dumps(known),
            "RAVENML_RUNS_PATH": str(scratch / "runs"),
            "PYTHONPATH": os.pathsep.join(filter(None, [str(library), os.environ.get("PYTHONPATH")])),
            "PYTHONUNBUFFERED": "1",
            "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")]),
            PARENT_PID: str(os.getpid()),
            **job.env,
            **self.environment,
        }
        if (library / PROVENANCE).is_dir():
            mine["RAVENML_PROVENANCE"] = str(library / PROVENANCE)
        settings = scratch / "config.json"
        if job.config is not None:
            settings.write_text(json.dumps(job.config))
        arguments = [str(settings) if word == "{config}" else word for word in job.arguments]
        if self.inside:
            mine |= {PARENT: str(run_folder)}
        elif job.resumable and (folder / layout.TRAIN_ARGS).exists():
            # Its process is gone, whatever machine it was on: the store has told us so.
            write_json(folder / layout.HEARTBEAT, {"state": "lost", "at": 0})
            arguments += ["--resume", job.id]
        else:
            mine[layout.RUN_ID] = job.id
        if job.spread_folds and not self.inside:
            described = scratch / "job.json"
            described.write_text(json.dumps({"job": job.as_json(), "attempt": self.attempt}))
            mine |= {JOB_FILE: str(described), **_cluster()}
        command = self._command(arguments, code / (job.folder or "."), scratch, library, mine)
        with output.open("ab") as log:
            return subprocess.Popen(
                command,
                cwd=code / (job.folder or "."),
                env={**os.environ, **mine},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=_end_with_this_thread,
            )

    def _command(
        self, arguments: Sequence[str], cwd: Path, scratch: Path, library: Path, mine: Mapping[str, str]
    ) -> list[str]:
        command = ["-P", "-m", "ravenml", *arguments]
        if self.job.image is None:
            return [sys.executable, *command]
        return container_command(
            find_engine(),
            self.job.image,
            ["python", *command],
            cwd,
            [scratch, library],
            {**os.environ, **mine},
            self.job.secrets,
            gpus=bool(self.job.resources.get("GPU")),
            user=current_user(),
            arguments=self.job.image_arguments,
        )

    def _follow(
        self, process: subprocess.Popen[bytes], place: Place, mirror: Mirror, heart: str, me: str
    ) -> int:
        """Mirror every two seconds until the process ends; pass on what others ask of it."""
        asked_at: float | None = None
        while True:
            try:
                return process.wait(PERIOD)
            except subprocess.TimeoutExpired:
                pass
            if not self.mirrored:
                continue
            try:
                newest = place.read(heart) or {}
                if newest.get("by", me) != me:
                    raise Replaced
                beat(place, heart, self.attempt, "running", by=me, host=socket.gethostname())
                mirror.round()
                request = place.read(self.control)
                if request and asked_at is None:
                    write_json(mirror.folder / layout.CONTROL, request)
                    asked_at = time.monotonic()
            except (RavenError, OSError) as error:
                print(f"The mirror is behind: {error}", flush=True)
            if asked_at is not None and time.monotonic() - asked_at > _GRACE:
                os.killpg(process.pid, signal.SIGKILL)
            elif asked_at is not None and time.monotonic() - asked_at > _POLITE:
                process.send_signal(signal.SIGTERM)  # it does not read control.json

    def _refuse(self, sentence: str) -> int:
        """End the run because it cannot be run here at all."""
        from ravenml.remote.sealing import seal_mirror

        print(sentence, flush=True)
        with suppress(RavenError):
            seal_mirror(Place(open_store(self.job.store), self.job.id), self.job, "failed", sentence)
        return 1


def work(
    job: dict[str, Any], attempt: int, rank: int = 0, environment: Mapping[str, str] | None = None
) -> int:
    """A run, or one process of several that train one model (a Ray task)."""
    return Work(
        Job.from_json(job, "the task"), attempt, mirrored=rank == 0, environment=dict(environment or {})
    ).run()


def work_fold(job: dict[str, Any], attempt: int, fold: int) -> int:
    """One fold of a k-fold run (a Ray task)."""
    return Work(
        Job.from_json(job, "the task"),
        attempt,
        inside=f"folds/{fold}/",
        control=f"control-{fold}.json",
        environment={FOLD: str(fold)},
    ).run()


def _is_no_weights(name: str) -> bool:
    return not name.startswith(f"{layout.CHECKPOINTS}/") or name.endswith(".json")


def _cluster() -> dict[str, str]:
    """What a k-fold run's process needs to start its folds as tasks of this cluster."""
    import ray

    context = ray.get_runtime_context()
    return {"RAY_ADDRESS": context.gcs_address, ENVIRONMENT: json.dumps(dict(context.runtime_env))}


def _insist(mirror: Mirror, patience: float = 600.0) -> None:
    """The last round, tried again while the store does not answer."""
    end = time.monotonic() + patience
    while True:
        try:
            return mirror.round()
        except RavenError:
            if time.monotonic() > end:
                raise
            time.sleep(PERIOD)


def _result(folder: Path) -> str:
    return str(json.loads((folder / layout.RUN_JSON).read_bytes())["result"]["status"])


def _last_line(path: Path) -> str:
    with suppress(OSError), path.open("rb") as file:
        file.seek(0, os.SEEK_END)
        file.seek(max(0, file.tell() - 8192))
        lines = [line for line in file.read().decode(errors="replace").splitlines() if line.strip()]
        return lines[-1].removeprefix("Error: ")[:1000] if lines else ""
    return ""


def _end_with_this_thread() -> None:
    """In the child: be asked to stop when the worker dies, however it dies."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGTERM)


def _sweep() -> None:
    """Remove what workers that were killed have left behind."""
    for left in Path(tempfile.gettempdir()).glob("raven-work-*"):
        pid = left.name.split("-")[2]
        if pid.isdigit() and not Path(f"/proc/{pid}").exists():
            shutil.rmtree(left, ignore_errors=True)
