"""A script that asked to be run elsewhere (``Task.execute_remotely``), sent to its queue."""

from __future__ import annotations

import json
import os
import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ravenml.common.io import JsonObject
from ravenml.common.secret_patterns import is_secret
from ravenml.common.secrets import HIDDEN, redact, redact_arguments
from ravenml.errors import InputError
from ravenml.remote import WORKER
from ravenml.remote.client.submit import submit as send
from ravenml.runs.replay import PARAMETERS

_HARMLESS = re.compile(r"true|false|yes|no|on|off|[+-]?\d{1,4}(\.\d+)?", re.IGNORECASE)


@dataclass(frozen=True)
class Container:
    """The image that a script asks to run in, and further options of docker or podman.

    Attributes:
        image: such as ``registry/custom/detectron2:v3``.
        arguments: such as ``--env GIT_SSL_NO_VERIFY=true``, word by word.
        setup: lines of shell that prepare it.
    """

    image: str
    arguments: tuple[str, ...] = ()
    setup: tuple[str, ...] = ()

    def record(self) -> JsonObject:
        """What may be written down: of the environment only the names."""
        arguments = _hide_all_values(self.arguments)
        return {"image": self.image, "arguments": arguments, "setup": list(self.setup)}


def parse_container(
    command: str | None,
    image: str | None,
    arguments: Sequence[str] | str | None,
    setup: Sequence[str] | str | None,
) -> Container | None:
    """Understand what ``Task.set_base_docker`` is given: ``IMAGE ARGUMENTS…`` in one text, or apart."""
    words = shlex.split(command) if command else []
    name = image or (words[0] if words else None)
    if name is None:
        return None
    more = words[1:] if not image else words
    more += shlex.split(arguments) if isinstance(arguments, str) else list(arguments or ())
    lines = setup.splitlines() if isinstance(setup, str) else list(setup or ())
    return Container(name, tuple(more), tuple(lines))


@dataclass(frozen=True)
class Submission:
    """A script on its way to a queue.

    Attributes:
        command: Python and its arguments as they were here; the worker uses a Python of its own.
        folder: where it runs, and what is packed.
        queue: the queue's name.
        project, name: what the run belongs to and is called.
        container: the image that the worker runs it in, with its arguments; values of ``--env`` are whole
            here, and must not be written down.
        outputs: folders whose files come back, whatever their size; relative to ``folder``.
        overrides: parameters that override the script's own (``raven runs clone --set``).
    """

    command: Sequence[str]
    folder: Path
    queue: str
    project: str | None = None
    name: str | None = None
    container: Container | None = None
    outputs: Sequence[str] = ()
    overrides: Mapping[str, object] = field(default_factory=dict)


def submit(submission: Submission) -> str:
    """Send a script to its queue; the sentences that say where to look.

    Raises:
        InputError: something of it cannot be sent.
        RavenError: the cluster or the store does not answer.
    """
    arguments = [_relative_path(word, submission.folder) for word in submission.command[1:]]
    container = submission.container
    setup = list(container.setup) if container is not None else []
    overrides = dict(submission.overrides)
    if redact_arguments([*arguments, *setup]) != [*arguments, *setup] or redact(overrides) != overrides:
        raise InputError(
            "The script's arguments, parameters or container hold a secret, which everybody could read in "
            "the job; set it in the environment of the workers, and name the variable under the queue's "
            "`secrets`."
        )
    record: JsonObject = {
        name: value
        for name, value in {"project": submission.project, "name": submission.name}.items()
        if value
    }
    options = [word for name, value in record.items() for word in (f"--{name}", value)]
    options += [word for folder in submission.outputs for word in ("--output", folder)]
    command = ["run", *options, "--", "python", *arguments]
    record["command"] = ["raven", *command]
    image_arguments, hidden = hide_values(container.arguments if container is not None else ())
    if container is not None:
        record["container"] = container.record()
    run_id = send(
        command,
        submission.queue,
        record=record,
        cwd=submission.folder,
        env={WORKER: "1", **({PARAMETERS: json.dumps(overrides)} if overrides else {})},
        image=container.image if container is not None else None,
        image_arguments=image_arguments,
        setup=setup,
    )
    lines = [f"Sent:      {run_id} to the queue {submission.queue}"]
    if hidden:
        lines.append(f"Note:      {', '.join(hidden)}: not sent; the worker uses its own value.")
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


def _hide_all_values(arguments: Sequence[str]) -> list[str]:
    """A container's arguments in which every value of ``--env NAME=VALUE`` is hidden."""
    result: list[str] = []
    value_next = False
    for argument in redact_arguments(arguments):
        option, sign, value = argument.partition("=")
        if value_next:
            result.append(f"{option}={HIDDEN}" if sign else argument)
        elif option == "--env" and sign:
            name, inner, _ = value.partition("=")
            result.append(f"--env={name}={HIDDEN}" if inner else argument)
        elif argument.startswith("-e") and not argument.startswith("--") and len(argument) > 2:
            result.append(f"{option}={HIDDEN}" if sign else argument)  # -eNAME=VALUE
        else:
            result.append(argument)
        value_next = argument in ("-e", "--env")
    return result


def _relative_path(word: str, folder: Path) -> str:
    """A path below the folder, as it is called on the worker."""
    if os.path.isabs(word) and Path(word).is_relative_to(folder):
        return Path(word).relative_to(folder).as_posix()
    return word
