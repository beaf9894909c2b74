"""On the worker: a training as a process of its own, restored from the mirror, mirrored while it runs."""

from __future__ import annotations

import json
import os
import shutil
import socket
import sys
import time
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path

from ravenml.common.io import SCRATCH, write_json
from ravenml.errors import RavenError
from ravenml.remote.client.pack import CODE, PROVENANCE
from ravenml.remote.job import Job
from ravenml.remote.layout import RemoteRun, open_store
from ravenml.remote.mirror import PERIOD, Mirror
from ravenml.remote.restore import fetch
from ravenml.remote.sealing import is_sealed, seal_folder
from ravenml.remote.worker.fold_tasks import FoldTasks
from ravenml.remote.worker.folds import JOB_FILE, REQUESTS
from ravenml.remote.worker.heartbeat import Heartbeat, Superseded
from ravenml.remote.worker.process import Process
from ravenml.remote.worker.ray_tasks import TrainingLost, work_fold
from ravenml.remote.worker.scratch import scratch_folder
from ravenml.runs import layout
from ravenml.runs.launcher import FOLD, PARENT
from ravenml.runs.run import FIELDS

# Seconds after which a training that was asked to stop is sent SIGTERM, since it may not look at
# `control.json` (one that does takes it for the same request; `raven run` always does), and SIGKILL
# (`raven run` gives its program a minute).
_TERMINATE_AFTER, _KILL_AFTER = 10.0, 120.0


@dataclass
class Worker:
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
            TrainingLost: the process was killed.
        """
        for name in self.job.secrets:
            if not (Path(name).expanduser().exists() if "/" in name else name in os.environ):
                return self._refuse(
                    f"The worker {socket.gethostname()} has no {name}, which the queue requires."
                )
        try:
            with scratch_folder() as scratch:
                return self._run(scratch)
        except Superseded:
            return 0
        except RavenError as error:
            return self._refuse(str(error))

    def _run(self, scratch: Path) -> int:
        job = self.job
        run = RemoteRun(open_store(job.store), job.id)
        run_folder = scratch / "runs" / job.id
        folder = run_folder / self.inside if self.inside else run_folder
        without = ("folds/",) if job.spread_folds and not self.inside else ()
        name = self.control.replace("control", "heartbeat")
        with ExitStack() as stack:
            heartbeat = stack.enter_context(Heartbeat(run, name, self.attempt, silent=not self.mirrored))
            mirror = Mirror(run, folder, self.inside, without, heartbeat.check)
            if self.inside:
                fetch(run, run_folder, {}, without=("folds/", "previews/"), keep=_is_not_weights)
            fetch(run, folder, {}, self.inside, without)
            mirror.adopt()
            if is_sealed(folder) and _result(folder) == "completed":
                return 0
            folder.mkdir(parents=True, exist_ok=True)
            output = folder / layout.CONSOLE if self.inside else scratch / "output.log"
            folds = None
            if job.spread_folds and not self.inside:
                folds = FoldTasks(job, self.attempt, run, scratch / REQUESTS, work_fold, TrainingLost)
                stack.enter_context(folds)
            process = self._start(scratch, run_folder, folder, output)
            stack.callback(process.kill)
            code, stopped = self._follow(process, run, mirror, folds)
            if code < 0 and not is_sealed(folder) and not stopped:
                raise TrainingLost(f"the training was killed by signal {-code}")
            if not is_sealed(folder) and not self.inside:
                status = "completed" if code == 0 else "interrupted" if stopped else "failed"
                why = "a request to stop" if stopped else _last_line(output)
                seal_folder(folder, job, status, why or f"it ended with exit code {code}")
            if not (folder / layout.CONSOLE).exists():  # it ended before it had a run
                shutil.copyfile(output, folder / layout.CONSOLE)
            if self.mirrored:
                _send_last(mirror)
                heartbeat.end()
            return code

    def _start(self, scratch: Path, run_folder: Path, folder: Path, output: Path) -> Process:
        job, library = self.job, Path(__file__).parents[3]
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
            SCRATCH: str(scratch),
            "PYTHONPATH": os.pathsep.join(filter(None, [str(library), os.environ.get("PYTHONPATH")])),
            "PYTHONUNBUFFERED": "1",
            "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")]),
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
            mine[JOB_FILE] = str(scratch / "job.json")
            (scratch / "job.json").write_text(json.dumps(job.as_json()))
        part = "".join(f"-{number}" for number in (mine.get(FOLD), mine.get("RANK")) if number)
        cwd = code / (job.folder or ".")
        return Process(job, arguments, f"raven-{job.id}{part}", cwd, [scratch, library], mine, output)

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
            asked_for = time.monotonic() - asked_at if asked_at is not None else 0.0
            if asked_for > _TERMINATE_AFTER and not terminated and self.job.arguments[0] != "run":
                process.terminate()
                terminated = True
            if asked_for > _KILL_AFTER and not (folds is not None and folds.any_running):
                process.kill()
        return code, asked_at is not None

    def _refuse(self, sentence: str) -> int:
        """End the run because it cannot be run here at all."""
        from ravenml.remote.sealing import seal_mirror

        print(sentence, flush=True)
        with suppress(RavenError):
            seal_mirror(RemoteRun(open_store(self.job.store), self.job.id), self.job, "failed", sentence)
        return 1


def _is_not_weights(name: str) -> bool:
    return not name.startswith(f"{layout.CHECKPOINTS}/") or name.endswith(".json")


def _send_last(mirror: Mirror, patience: float = 6 * 3600.0) -> None:
    """The last round, tried again for hours while the store does not answer: what is here is nowhere else."""
    end, pause = time.monotonic() + patience, PERIOD
    while True:
        try:
            return mirror.round(last=True)
        except (RavenError, OSError):
            if time.monotonic() > end:
                raise
            time.sleep(pause)
            pause = min(60.0, 2 * pause)


def _result(folder: Path) -> str:
    return str(json.loads((folder / layout.RUN_JSON).read_bytes())["result"]["status"])


def _last_line(path: Path) -> str:
    with suppress(OSError), path.open("rb") as file:
        file.seek(0, os.SEEK_END)
        file.seek(max(0, file.tell() - 8192))
        lines = [line for line in file.read().decode(errors="replace").splitlines() if line.strip()]
        return lines[-1].removeprefix("Error: ")[:1000] if lines else ""
    return ""
