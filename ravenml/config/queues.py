"""What a queue is: a name for a Ray cluster and for what a job may use of it."""

from __future__ import annotations

import re

from pydantic import BaseModel, ConfigDict, Field, field_validator

from ravenml.common.secret_patterns import is_secret
from ravenml.common.secrets import redact_text

_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


class Queue(BaseModel):
    """Where jobs go, as ``queues:`` in the configuration says it."""

    model_config = ConfigDict(extra="forbid")

    address: str = Field(
        ..., description="URL of the cluster's dashboard, which accepts jobs: http://host:8265."
    )
    resources: dict[str, float] = Field(
        default_factory=lambda: {"CPU": 1.0},
        description="Resources of each training, fold and worker: CPU, GPU, memory, custom ones.",
    )
    image: str | None = Field(None, description="Container image that the command runs in.")
    env: dict[str, str] = Field(default_factory=dict, description="Environment variables of the job.")
    secrets: list[str] = Field(
        default_factory=list,
        description="Names of variables, or paths of files, that must be there on the worker.",
    )
    store: str | None = Field(
        None,
        description="Where runs are mirrored: s3://bucket/prefix, or a folder that all machines share; "
        "without it, the bucket of models.",
    )
    requirements: str = Field(
        "plugin",
        description="What is installed for a job: the `plugin`'s compiled requirements, `none`, or a file.",
    )
    python: str | None = Field(None, description="The cluster's Python; without it, the one Ray runs on.")

    @field_validator("address")
    @classmethod
    def _is_url(cls, value: str) -> str:
        if not re.fullmatch(r"https?://[^\s/]+/?", value):
            raise ValueError(
                "should be the URL of the cluster's dashboard, such as http://host:8265; "
                "`ray start` prints it"
            )
        return value.rstrip("/")

    @field_validator("resources")
    @classmethod
    def _are_amounts(cls, value: dict[str, float]) -> dict[str, float]:
        wrong = next((name for name, amount in value.items() if amount < 0), None)
        if wrong is not None:
            raise ValueError(f"has a negative amount of {wrong}")
        return value

    @field_validator("env")
    @classmethod
    def _tell_nothing(cls, value: dict[str, str]) -> dict[str, str]:
        for name, content in value.items():
            if not _VARIABLE.fullmatch(name):
                raise ValueError(f"is not the name of a variable: {name!r}")
            if is_secret(name) or redact_text(content) != content:
                raise ValueError(
                    f"would put {name} into the job's metadata, which everybody can read; set it on the "
                    "workers, and name it under `secrets`"
                )
        return value
