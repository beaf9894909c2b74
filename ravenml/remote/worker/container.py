"""A command in a container: no Ray in the image, code and run mounted, output read back as events."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

from ravenml.errors import RavenError

ENGINES = ("docker", "podman")
ENGINE_FAILED = 125  # the exit code of both where the container could not even be made
# Variables of the worker that tell which part of the machine a training may use.
_PASSED = ("CUDA_VISIBLE_DEVICES", "OMP_NUM_THREADS")


def find_engine() -> str:
    """The container engine of this machine.

    Raises:
        RavenError: there is none; a job that names an image is never run without it.
    """
    for engine in ENGINES:
        if shutil.which(engine):
            return engine
    raise RavenError(
        "The job names a container image, and this worker has no container engine (docker or podman); "
        "install one, or take `image` out of the queue."
    )


def container_command(
    engine: str,
    image: str,
    command: Sequence[str],
    cwd: Path,
    mounts: Sequence[Path],
    environment: Mapping[str, str],
    secrets: Sequence[str] = (),
    gpus: bool = False,
    name: str | None = None,
    user: str | None = None,
    arguments: Sequence[str] = (),
    setup: Sequence[str] = (),
) -> list[str]:
    """The command line that runs ``command`` in a container and removes the container afterwards.

    Args:
        engine: ``docker`` or ``podman``.
        image: the image's name.
        command: what is run inside; its first word is found on the image's own path.
        cwd: where, a folder below one of ``mounts``.
        mounts: folders that are there inside under the same paths, writable.
        environment: variables; only those of Ray's that tell what may be used, and ravenML's, go along.
        secrets: names of variables whose values come from this process, and so stand in no command line, and
            paths of files.
        gpus: whether it sees the GPUs.
        name: the container's name, by which it can be killed: it outlives the command that has started it.
        user: ``uid:gid`` that files are written as.
        arguments: further options of the engine, such as ``--env NAME=VALUE``.
        setup: lines of bash that are run inside before ``command``; the first that fails ends it all.
    """
    words = [engine, "run", "--rm", "--init", "--ipc=host", "--network=host"]
    words += [f"--name={name}"] if name else []
    if gpus:
        words += ["--gpus=all"] if engine == "docker" else ["--device=nvidia.com/gpu=all"]
    if user and engine == "docker":  # podman maps the user by itself
        words += [f"--user={user}"]
    for mount in dict.fromkeys(mounts):
        words += [f"--volume={mount}:{mount}"]
    for variable, value in sorted(environment.items()):
        passed = variable.startswith("RAVENML_") or variable in _PASSED or variable == "PYTHONPATH"
        if passed and variable not in secrets:
            words += [f"--env={variable}={value}"]
    for secret in secrets:
        words += [f"--env={secret}"] if "/" not in secret else [f"--volume={secret}:{secret}:ro"]
    if setup:
        command = ["bash", "-e", "-c", "\n".join([*setup, 'exec "$@"']), "bash", *command]
    return [*words, *arguments, f"--workdir={cwd}", image, *command]


def first_complaint(output: str) -> str:
    """What an engine that could not make a container said first: advice about its options follows that."""
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    marks = (*(f"{engine}: " for engine in ENGINES), "Error: ", "ERROR: ")
    said = next((line for line in lines if line.startswith(marks)), lines[0] if lines else "")
    for mark in marks:
        said = said.removeprefix(mark)
    return said[:1000]


def current_user() -> str:
    """``uid:gid`` of this process."""
    return f"{os.getuid()}:{os.getgid()}"
