"""On the worker: a training as a process of its own, restored from the mirror, mirrored while it runs.

Ray calls :func:`train` for a run, or for each process of several that train one model, and :func:`train_fold`
for a fold of a k-fold run.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from ravenml.common.io import SCRATCH, write_json
from ravenml.common.locks import acquire, is_held
from ravenml.common.permissions import make_folder
from ravenml.common.secrets import redact_text
from ravenml.errors import RavenError
from ravenml.remote.client.pack import CODE, PROVENANCE
from ravenml.remote.job import Job, missing_secrets, ray_options
from ravenml.remote.layout import RemoteRun, open_store
from ravenml.remote.mirror import PERIOD, Mirror
from ravenml.remote.restore import fetch
from ravenml.remote.sealing import is_sealed, read_result, seal_folder, seal_mirror
from ravenml.remote.worker.container import ENGINE_FAILED, first_complaint
from ravenml.remote.worker.folds import JOB_FILE, REQUESTS
from ravenml.remote.worker.heartbeat import Heartbeat, Superseded
from ravenml.remote.worker.process import Process
from ravenml.runs import layout
from ravenml.runs.console import find_error, read_tail
from ravenml.runs.launcher import FOLD, PARENT
from ravenml.runs.run import FIELDS

if TYPE_CHECKING:
    from ray import ObjectRef

# Seconds after which a training that was asked to stop is sent SIGTERM, since it may not look at
# `control.json` (one that does takes it for the same request; `raven run` always does), and SIGKILL
# (`raven run` gives its program a minute).
_TERMINATE_AFTER, _KILL_AFTER = 10.0, 120.0
_LOOK = 0.2  # seconds between two looks at what the process of a k-fold run requests
_SCRATCH_PREFIX, _SCRATCH_LOCK = "raven-work-", "in-use"


class TrainingLost(Exception):
    """The training was killed by something else than itself: worth another try."""


def train(job: Job, attempt: int) -> int:
    """A run; its exit code."""
    return Worker(job, attempt).run()


def train_together(job: Job, attempt: int, rank: int, environment: Mapping[str, str]) -> tuple[int, str]:
    """One process of several that train one model; its exit code, and why it is not 0."""
    worker = Worker(job, attempt, mirrored=rank == 0, environment=dict(environment))
    code = worker.run()
    return code, f"{socket.gethostname()}: {worker.reason}" if code else ""


def train_fold(job: Job, attempt: int, fold: int) -> int:
    """One fold of a k-fold run; its exit code."""
    return Worker(job, attempt, f"folds/{fold}/", f"control-{fold}.json", environment={FOLD: str(fold)}).run()


@dataclass
class Worker:
    """One process that trains, in a folder of this machine's own.

    Attributes:
        inside: what it is within the run: empty, or ``folds/0/``.
        control: the name of the request that it listens to.
        mirrored: whether it writes the run; of processes that train one model together, only the first.
        environment: what the process gets beside this one's environment.
        reason: why its exit code is not 0, once it has ended.
    """

    job: Job
    attempt: int
    inside: str = ""
    control: str = layout.CONTROL
    mirrored: bool = True
    environment: dict[str, str] = field(default_factory=dict)
    reason: str = ""

    def run(self) -> int:
        """Restore, run, mirror; the exit code of the process.

        Raises:
            TrainingLost: the process was killed.
        """
        for name in missing_secrets(self.job.secrets):
            return self._refuse(f"The worker {socket.gethostname()} has no {name}, which the queue requires.")
        try:
            with scratch_folder() as scratch:
                return self._run(scratch)
        except Superseded:
            return 0
        except RavenError as error:
            return self._refuse(str(error))

    @property
    def _has_folds(self) -> bool:
        """Whether this is the process of a k-fold run, whose folds are tasks of their own."""
        return self.job.spread_folds and not self.inside

    def _run(self, scratch: Path) -> int:
        job = self.job
        run = RemoteRun(open_store(job.store), job.id)
        run_folder = scratch / "runs" / job.id
        folder = run_folder / self.inside if self.inside else run_folder
        without = ("folds/",) if self._has_folds else ()
        name = self.control.replace("control", "heartbeat")
        with ExitStack() as stack:
            heartbeat = stack.enter_context(Heartbeat(run, name, self.attempt, silent=not self.mirrored))
            mirror = Mirror(run, folder, self.inside, without, heartbeat.check)
            if self.inside:
                fetch(run, run_folder, {}, without=("folds/", "previews/"), keep=_is_not_weights)
            fetch(run, folder, {}, self.inside, without)
            mirror.adopt()
            if read_result(folder).get("status") == "completed":
                return 0
            make_folder(folder)
            output = folder / layout.CONSOLE if self.inside else scratch / "output.log"
            folds = None
            if self._has_folds:
                folds = stack.enter_context(FoldTasks(job, self.attempt, run, scratch / REQUESTS))
            process = self._start(scratch, run_folder, folder, output)
            stack.callback(process.kill)
            code, stopped = self._follow(process, run, mirror, folds)
            if code < 0 and not is_sealed(folder) and not stopped:
                raise TrainingLost(f"the training was killed by signal {-code}")
            if code:
                found = _reason(output, job, code)
                self.reason = "a request to stop" if stopped else found or f"it ended with exit code {code}"
            if not is_sealed(folder) and not self.inside:
                status = "completed" if code == 0 else "interrupted" if stopped else "failed"
                seal_folder(folder, job, status, self.reason)
            if not (folder / layout.CONSOLE).exists():  # it ended before it had a run
                shutil.copyfile(output, folder / layout.CONSOLE)
            if self.mirrored:
                _send_last(mirror)
                heartbeat.end()
            return code

    def _start(self, scratch: Path, run_folder: Path, folder: Path, output: Path) -> Process:
        job, library = self.job, Path(__file__).parents[3]
        code = scratch / CODE
        if (library / CODE).is_dir():  # a copy: what is written there is for this run alone
            shutil.copytree(library / CODE, code, symlinks=True)
        code.mkdir(exist_ok=True)
        fields = {name: job.record[name] for name in ("command", "remote") if name in job.record}
        environment = {
            FIELDS: json.dumps(fields),
            "RAVENML_RUNS_PATH": str(scratch / "runs"),
            SCRATCH: str(scratch),
            "PYTHONPATH": os.pathsep.join(filter(None, [str(library), os.environ.get("PYTHONPATH")])),
            "PYTHONUNBUFFERED": "1",
            "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")]),
            **job.env,
            **self.environment,
        }
        if (library / PROVENANCE).is_dir():
            environment["RAVENML_PROVENANCE"] = str(library / PROVENANCE)
        settings = scratch / "config.json"
        if job.config is not None:
            settings.write_text(json.dumps(job.config))
        arguments = [str(settings) if word == "{config}" else word for word in job.arguments]
        if self.inside:
            environment[PARENT] = str(run_folder)
        elif job.resumable and (folder / layout.TRAIN_ARGS).exists():
            # Its process is gone, whatever machine it was on: so the store says.
            write_json(folder / layout.HEARTBEAT, {"state": "lost", "at": 0})
            arguments += ["--resume", job.id]
        else:
            environment[layout.RUN_ID] = job.id
        if self._has_folds:
            environment[JOB_FILE] = str(scratch / "job.json")
            (scratch / "job.json").write_text(json.dumps(job.as_json()))
        numbers = (environment.get(FOLD), environment.get("RANK"))
        name = "-".join(["raven", job.id, *filter(None, numbers)])
        cwd = code / (job.folder or ".")
        return Process(job, arguments, name, cwd, [scratch, library], environment, output)

    def _follow(
        self, process: Process, run: RemoteRun, mirror: Mirror, folds: FoldTasks | None
    ) -> tuple[int, bool]:
        """Mirror every two seconds until the process ends; pass on what others ask of it.

        Returns:
            Its exit code, and whether it was asked to stop.

        Raises:
            Superseded: another worker has taken this run over.
        """
        asked_at: float | None = None
        terminated = False
        while (code := process.wait(PERIOD)) is None:
            if not self.mirrored:
                continue
            try:
                request = run.read(self.control) if asked_at is None else None
                if request:
                    write_json(mirror.folder / layout.CONTROL, request)
                    asked_at = time.monotonic()
                mirror.round()
            except (RavenError, OSError) as error:
                print(f"The mirror is behind: {error}", flush=True)
            waited = time.monotonic() - asked_at if asked_at is not None else 0.0
            if waited > _TERMINATE_AFTER and not terminated and self.job.arguments[0] != "run":
                process.terminate()
                terminated = True
            if waited > _KILL_AFTER and not (folds is not None and folds.any_running):
                process.kill()
        return code, asked_at is not None

    def _refuse(self, reason: str) -> int:
        """End the run because it cannot be run on this worker at all."""
        print(reason, flush=True)
        self.reason = reason
        with suppress(RavenError):
            seal_mirror(RemoteRun(open_store(self.job.store), self.job.id), self.job, "failed", reason)
        return 1


class FoldTasks:
    """The folds of a k-fold run as Ray tasks, while the block lasts.

    The process of the run may be in a container without Ray; :class:`ClusterFolds` in ``folds.py`` writes its
    requests as files into ``requests``, a folder that both see, and reads the answers there.
    """

    def __init__(self, job: Job, attempt: int, run: RemoteRun, requests: Path) -> None:
        import ray

        self._ray, self._job, self._attempt, self._run, self._requests = ray, job, attempt, run, requests
        requests.mkdir()
        self._task = ray.remote(train_fold).options(
            **ray_options(job.resources), max_retries=job.retries, retry_exceptions=[TrainingLost]
        )
        self._running: dict[int, ObjectRef[Any]] = {}
        self._checked_at: dict[int, float] = {}
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._work, name="folds", daemon=True)

    def __enter__(self) -> FoldTasks:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ending.set()
        self._thread.join()
        for task in self._running.values():  # only where the run's process did not wait for them
            self._ray.cancel(task, force=True)

    @property
    def any_running(self) -> bool:
        """Whether a fold waits or trains."""
        return bool(self._running)

    def _work(self) -> None:
        while not self._ending.is_set():
            ended: list[ObjectRef[Any]] = []
            if self._running:
                ended, _ = self._ray.wait([*self._running.values()], timeout=_LOOK)
            else:
                self._ending.wait(_LOOK)
            for request in sorted(self._requests.glob("start-*")):
                fold = int(request.name.removeprefix("start-"))
                self._running[fold] = self._task.remote(self._job, self._attempt, fold)
                request.unlink()
            for fold, task in [*self._running.items()]:
                if task in ended:
                    self._report_end(fold, task)
                elif (self._requests / f"stop-{fold}").exists() and not self._is_training(fold):
                    self._ray.cancel(task, force=True)

    def _report_end(self, fold: int, task: ObjectRef[Any]) -> None:
        end: dict[str, int | str]
        try:
            end = {"code": int(self._ray.get(task))}
        except Exception as error:
            end = {"code": 1, "why": str(error)}
        write_json(self._requests / f"code-{fold}", end)
        del self._running[fold]

    def _is_training(self, fold: int) -> bool:
        """Whether the fold's worker has a heartbeat, and so stops by itself; looked at every two seconds."""
        if time.monotonic() - self._checked_at.get(fold, -PERIOD) < PERIOD:
            return True
        self._checked_at[fold] = time.monotonic()
        try:
            return self._run.is_running(f"heartbeat-{fold}.json")
        except RavenError:
            return True  # nothing is known: leave it


@contextmanager
def scratch_folder() -> Iterator[Path]:
    """A folder for one training; what workers that were killed have left behind is removed."""
    for old in Path(tempfile.gettempdir()).glob(f"{_SCRATCH_PREFIX}*"):
        if (old / _SCRATCH_LOCK).exists() and not is_held(old / _SCRATCH_LOCK):
            shutil.rmtree(old, ignore_errors=True)
    folder = Path(tempfile.mkdtemp(prefix=_SCRATCH_PREFIX))
    try:
        with (folder / ".new").open("w") as lock:
            # It is locked before it has its name.  A lock, and not the number of a process: containers of
            # this machine, whose processes have numbers of their own, may share the folder.
            acquire(lock.fileno())
            (folder / ".new").rename(folder / _SCRATCH_LOCK)
            yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _is_not_weights(name: str) -> bool:
    return not name.startswith(f"{layout.CHECKPOINTS}/") or name.endswith(".json")


def _send_last(mirror: Mirror, patience: float = 6 * 3600.0) -> None:
    """The last round, tried for hours while the store does not answer: only this worker has the files."""
    end, pause = time.monotonic() + patience, PERIOD
    while True:
        try:
            return mirror.round(last=True)
        except (RavenError, OSError):
            if time.monotonic() > end:
                raise
            time.sleep(pause)
            pause = min(60.0, 2 * pause)


def _reason(output: Path, job: Job, code: int) -> str:
    """Why a process that ended without sealing its run did so: the error that it named, or its last line."""
    if job.image and code == ENGINE_FAILED:
        with suppress(OSError):
            return redact_text(first_complaint(output.read_text(errors="replace")))
    said = find_error(output) or redact_text("".join(read_tail(output)[-1:]))[:1000]
    return said.removeprefix("Error: ")
