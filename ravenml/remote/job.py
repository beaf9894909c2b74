"""What is submitted: a command, and what it needs to run elsewhere.  It holds no secret."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

from ravenml.common.defaults import DEFAULT_RETRIES
from ravenml.common.formatting import utc_timestamp
from ravenml.common.io import JsonObject
from ravenml.errors import RavenError
from ravenml.runs.record import SCHEMA as RUN_SCHEMA

SCHEMA = 1


@dataclass(frozen=True)
class Job:
    """A run that is sent to a queue.

    Attributes:
        id: the run's name.
        queue: the queue's name.
        store: the address of the store that it is mirrored to.
        arguments: what stands behind ``raven`` over there.
        folder: where in the packed checkout it runs; None where none was packed.
        code: the digest of the packed code.
        resources: what each training asks for (``CPU``, ``GPU``, ``memory``, custom ones).
        workers: how many processes train one model together.
        spread_folds: whether it is a k-fold run, whose folds are jobs of their own.
        resumable: whether ``--resume`` resumes it; otherwise it starts over.
        retries: how often a lost worker, and how often a lost cluster, is made up for.
        image: the container image that the command runs in.
        image_arguments: further options of the container engine.
        setup: lines of bash that are run in it before the command.
        config: what the worker writes into a file whose path replaces ``{config}`` among the arguments.
        env: plain variables.
        secrets: names of variables, or paths of files, that the worker must have.
        packages: requirements that Ray installs for it.
        python: the cluster's Python; None for the one that Ray runs on.
        record: what ``run.json`` says before anything has run.
    """

    id: str
    queue: str
    store: str
    arguments: list[str]
    folder: str | None
    code: str
    resources: dict[str, float] = field(default_factory=dict)
    workers: int = 1
    spread_folds: bool = False
    resumable: bool = False
    retries: int = DEFAULT_RETRIES
    image: str | None = None
    image_arguments: list[str] = field(default_factory=list)
    setup: list[str] = field(default_factory=list)
    config: JsonObject | None = None
    env: dict[str, str] = field(default_factory=dict)
    secrets: list[str] = field(default_factory=list)
    packages: list[str] = field(default_factory=list)
    python: str | None = None
    record: JsonObject = field(default_factory=dict)

    def as_json(self) -> JsonObject:
        """As ``job.json`` holds it."""
        return {"v": SCHEMA, **asdict(self)}

    @classmethod
    def from_json(cls, content: JsonObject | None, where: str) -> Job:
        """What ``job.json`` holds.

        Raises:
            RavenError: it is missing, broken, or was written by a newer ravenML.
        """
        try:
            known = dict(content or {})
            if known.pop("v") > SCHEMA:
                raise RavenError(f"{where} was submitted by a newer ravenML; upgrade this one.")
            return cls(**known)
        except (KeyError, TypeError):
            raise RavenError(f"{where} holds no submitted job.") from None

    def first_record(self) -> JsonObject:
        """``run.json`` of a run that nothing has run of yet."""
        return {
            "v": RUN_SCHEMA,
            "id": self.id,
            "created": utc_timestamp(),
            "attempts": [],
            "process": {"host": "", "pid": 0},
            "result": None,
            **self.record,
        }


def submission_id(run_id: str, attempt: int) -> str:
    """The name of an attempt among a cluster's jobs."""
    return f"raven-{run_id}-{attempt}"


def ray_options(resources: Mapping[str, float]) -> JsonObject:
    """What a Ray task asks for, as the options that it takes."""
    custom = {name: amount for name, amount in resources.items() if name not in ("CPU", "GPU", "memory")}
    options: JsonObject = {"num_cpus": resources.get("CPU", 0), "num_gpus": resources.get("GPU", 0)}
    if resources.get("memory"):
        options["memory"] = resources["memory"]
    return options | ({"resources": custom} if custom else {})


def missing_secrets(names: Iterable[str]) -> list[str]:
    """Those of a job's secrets that this machine lacks: names of variables, and paths of files."""
    return [
        name
        for name in names
        if not (Path(name).expanduser().exists() if "/" in name else name in os.environ)
    ]
