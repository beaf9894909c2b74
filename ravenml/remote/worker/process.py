"""A worker's training: a process of its own, or a container, that can be asked to end and be killed."""

from __future__ import annotations

import ctypes
import os
import select
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from ravenml.common.permissions import make_folder
from ravenml.config.home import home
from ravenml.remote.job import Job
from ravenml.remote.worker.container import container_command, current_user, find_engine
from ravenml.runs.launcher import PARENT_PID


class Process:
    """``raven ARGUMENTS``, with the cluster's Python or in the job's image.

    Args:
        job: what was submitted.
        arguments: behind ``raven``.
        name: what the container is called; one of this name that is left from before is removed.
        cwd: where it runs.
        mounts: what of this machine it must see.
        environment: what it gets beside this process's environment.
        output: what it prints is appended here.

    Raises:
        RavenError: the job names an image, and there is no container engine.
    """

    def __init__(
        self,
        job: Job,
        arguments: Sequence[str],
        name: str,
        cwd: Path,
        mounts: Sequence[Path],
        environment: Mapping[str, str],
        output: Path,
    ) -> None:
        self._remover: list[str] | None = None
        command = ["-P", "-m", "ravenml", *arguments]
        words = [sys.executable, *command]
        everything = {**os.environ, **environment}
        if job.image is None:
            everything[PARENT_PID] = str(os.getpid())
        else:
            engine = find_engine()
            self._remover = [engine, "rm", "--force", name]
            self._remove_container()
            everything["RAVENML_STORAGE_PATH"] = str(home())
            make_folder(home())
            words = container_command(
                engine,
                job.image,
                ["python", *command],
                cwd,
                [*mounts, home(), *_shared(job)],
                everything,
                # By their names alone: a command line can be read by everybody on the machine.
                [*job.secrets, *sorted((job.env.keys() | environment.keys()) - {"PATH"})],
                gpus=bool(job.resources.get("GPU")),
                name=name,
                user=current_user(),
                arguments=job.image_arguments,
                setup=job.setup,
            )
        with output.open("ab") as log:
            self._process = subprocess.Popen(
                words,
                cwd=cwd,
                env=everything,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=_end_with_this_thread,
            )

    def wait(self, seconds: float) -> int | None:
        """Its exit code, a signal's number below zero; None where it runs on after ``seconds``."""
        code = exit_code(self._process, seconds)
        if code is None:
            return None
        # An engine says of a container that was killed what a shell would say.
        return 128 - code if self._remover is not None and code > 128 else code

    def terminate(self) -> None:
        """Ask it to end: SIGTERM, which a container's engine passes on."""
        self._process.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """End it now, if it has not ended, and what it has started."""
        if self._process.poll() is None:
            self._remove_container()  # it would outlive its engine's command
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()

    def _remove_container(self) -> None:
        if self._remover is not None:
            with suppress(OSError, subprocess.TimeoutExpired):
                subprocess.run(
                    self._remover,
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                    timeout=60,
                )


def _shared(job: Job) -> list[Path]:
    """Folders of this machine that the job names: its dataset, and its store where that is a folder."""
    named = [job.store, str((job.config or {}).get("dataset") or "")]
    return [Path(place) for place in named if place.startswith("/") and Path(place).is_dir()]


def exit_code(process: subprocess.Popen[bytes], seconds: float) -> int | None:
    """Its exit code, None after ``seconds``.

    ``process.wait`` looks twenty times a second; this sleeps, where the kernel and this Python can wake us.
    """
    # A Python that was built where older headers were does not have it, whatever the kernel can.
    if sys.platform == "linux" and hasattr(os, "pidfd_open") and process.poll() is None:
        with suppress(OSError):
            ending = os.pidfd_open(process.pid)
            try:
                waiting = select.poll()
                waiting.register(ending, select.POLLIN)
                waiting.poll(1000 * seconds)
            finally:
                os.close(ending)
            return process.poll()
    with suppress(subprocess.TimeoutExpired):
        return process.wait(seconds)
    return None


def _end_with_this_thread() -> None:
    """In the child: be asked to stop when the worker dies, however it dies."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGTERM)
