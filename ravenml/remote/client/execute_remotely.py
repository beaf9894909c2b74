"""A script that asked to be run elsewhere (``Task.execute_remotely``), sent to its queue."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from ravenml.errors import InputError
from ravenml.remote.client.submit import submit as send
from ravenml.runs.replay import PARAMETERS
from ravenml.runs.secrets import is_secret, redact, redact_arguments

_HARMLESS = re.compile(r"true|false|yes|no|on|off|[+-]?\d{1,4}(\.\d+)?", re.IGNORECASE)
WORKER = "RAVENML_WORKER"  # where it is set, ``execute_remotely`` does nothing


class Container(Protocol):
    """The image that a script asks for."""

    image: str
    arguments: tuple[str, ...]
    setup: tuple[str, ...]

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
    def overrides(self) -> Mapping[str, Any]: ...


def submit(submission: Submission) -> str:
    """Send a script to its queue; the sentences that say where to look.

    Raises:
        InputError: something of it cannot be sent.
        RavenError: the cluster or the store does not answer.
    """
    arguments = [_inside(word, submission.folder) for word in submission.command[1:]]
    container = submission.container
    setup = list(container.setup) if container is not None else []
    overrides = dict(submission.overrides)
    if redact_arguments([*arguments, *setup]) != [*arguments, *setup] or redact(overrides) != overrides:
        raise InputError(
            "The script's arguments, parameters or container hold a secret, which everybody could read in "
            "the job; set it in the environment of the workers, and name the variable under the queue's "
            "`secrets`."
        )
    named = {"project": submission.project, "name": submission.name}
    options = [word for name, value in named.items() if value for word in (f"--{name}", value)]
    command = ["run", *options, "--", "python", *arguments]
    record: dict[str, Any] = {name: value for name, value in named.items() if value}
    record["command"] = ["raven", *command]
    told, kept_here = hide_values(container.arguments if container is not None else ())
    if container is not None:
        record["container"] = container.record()
    run_id = send(
        command,
        submission.queue,
        record=record,
        cwd=submission.folder,
        env={WORKER: "1", **({PARAMETERS: json.dumps(overrides)} if overrides else {})},
        image=container.image if container is not None else None,
        image_arguments=told,
        setup=setup,
    )
    lines = [f"Sent:      {run_id} to the queue {submission.queue}"]
    if kept_here:
        lines.append(f"Note:      {', '.join(kept_here)}: the value stays here, and the worker's own counts.")
    return "\n".join([*lines, f"Follow it: raven runs logs -f {run_id}"])


def hide_values(arguments: Sequence[str]) -> tuple[list[str], list[str]]:
    """A container's arguments as a job may hold them: with the values of switches and numbers alone.

    Returns:
        The arguments, and the names of the other variables, which the container gets as the worker has them.
    """
    kept: list[str] = []
    names: list[str] = []
    words = iter(arguments)
    for word in words:
        variable = next(words, "") if word in ("-e", "--env") else _variable_in(word)
        if variable is None:
            kept.append(word)
            continue
        name, sign, value = variable.partition("=")
        hidden = bool(sign) and (is_secret(name) or not _HARMLESS.fullmatch(value))
        kept.append(f"--env={name if hidden else variable}")
        names += [name] * hidden
    return kept, names


def _variable_in(word: str) -> str | None:
    """``NAME=VALUE`` of ``--env=NAME=VALUE``, ``-e=NAME=VALUE`` and ``-eNAME=VALUE``."""
    if word.startswith("--env="):
        return word.removeprefix("--env=")
    if word.startswith("-e") and len(word) > 2:
        return word[2:].removeprefix("=")
    return None


def _inside(word: str, folder: Path) -> str:
    """A path below the folder, as it is called over there."""
    if os.path.isabs(word) and Path(word).is_relative_to(folder):
        return Path(word).relative_to(folder).as_posix()
    return word
