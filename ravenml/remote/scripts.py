"""A script that asked to be run elsewhere (``Task.execute_remotely``), sent to its queue."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from ravenml.errors import InputError
from ravenml.remote.submit import submit as send
from ravenml.runs.secrets import is_secret, redacted_arguments

WORKER = "RAVENML_WORKER"  # where it is set, ``execute_remotely`` does nothing


class Container(Protocol):
    """The image that a script asks for."""

    image: str
    arguments: tuple[str, ...]

    def record(self) -> dict[str, Any]:
        """What may be written down of it."""
        ...


class Submission(Protocol):
    """What ``ravenml.task`` hands over."""

    @property
    def command(self) -> Sequence[str]: ...
    @property
    def folder(self) -> Path: ...
    @property
    def queue(self) -> str: ...
    @property
    def project(self) -> str | None: ...
    @property
    def name(self) -> str | None: ...
    @property
    def container(self) -> Any: ...
    @property
    def parameters(self) -> Mapping[str, Any]: ...


def submit(submission: Submission) -> str:
    """Send a script to its queue; the sentences that say where to look.

    Raises:
        InputError: something of it cannot be sent.
        RavenError: the cluster or the store does not answer.
    """
    arguments = [_inside(word, submission.folder) for word in submission.command[1:]]
    if redacted_arguments(arguments) != arguments:
        raise InputError(
            "The script's arguments hold a secret, which everybody could read in the job; set it in the "
            "environment of the workers, and name the variable under the queue's `secrets`."
        )
    named = {"project": submission.project, "name": submission.name}
    options = [word for name, value in named.items() if value for word in (f"--{name}", value)]
    command = ["run", *options, "--", "python", *arguments]
    container = submission.container
    record: dict[str, Any] = {name: value for name, value in named.items() if value}
    record["command"] = ["raven", *command]
    if container is not None:
        record["container"] = container.record()
    run_id = send(
        command,
        submission.queue,
        record=record,
        cwd=submission.folder,
        env={WORKER: "1"},
        image=container.image if container is not None else None,
        image_arguments=without_secrets(container.arguments) if container is not None else (),
    )
    return f"Sent:      {run_id} to the queue {submission.queue}\nFollow it: raven runs logs -f {run_id}"


def without_secrets(arguments: Sequence[str]) -> list[str]:
    """A container's arguments in which a variable that looks like a secret is only named: its value comes
    from the worker.
    """
    result: list[str] = []
    value_next = False
    for argument in arguments:
        prefix = "--env=" if argument.startswith("--env=") else "-e" if _is_short(argument) else ""
        if value_next or prefix:
            name, _, _ = argument.removeprefix(prefix).partition("=")
            argument = f"{prefix}{name}" if is_secret(name) else argument
        result.append(argument)
        value_next = argument in ("-e", "--env")
    return result


def _is_short(argument: str) -> bool:
    return argument.startswith("-e") and len(argument) > 2 and not argument.startswith("--")


def _inside(word: str, folder: Path) -> str:
    """A path below the folder, as it is called over there."""
    if os.path.isabs(word) and Path(word).is_relative_to(folder):
        return Path(word).relative_to(folder).as_posix()
    return word
