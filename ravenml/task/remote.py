"""The door to other machines: what a script hands over when it is to run elsewhere."""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ravenml.errors import RavenError
from ravenml.task.container import Container

WORKER = "RAVENML_WORKER"  # set where a script runs because it was sent there
ROOM = "ravenml.remote.client.execute_remotely"  # has ``submit(submission) -> str``


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
        overrides: parameters that stand above the script's own (``raven runs clone --set``).
    """

    command: Sequence[str]
    folder: Path
    queue: str
    project: str | None = None
    name: str | None = None
    container: Container | None = None
    overrides: Mapping[str, Any] = field(default_factory=dict)


def submit(submission: Submission) -> str:
    """Send a script to its queue.

    Returns:
        A sentence or two that say where to look.

    Raises:
        RavenError: it cannot be sent.
    """
    try:
        room = importlib.import_module(ROOM)
    except ModuleNotFoundError as error:
        if error.name not in (ROOM, ROOM.rpartition(".")[0]):
            raise
        raise RavenError(
            f"The script cannot be sent to the queue {submission.queue!r}: this ravenML runs nothing on "
            "other machines yet; leave execute_remotely out to run it here."
        ) from None
    return str(room.submit(submission))
