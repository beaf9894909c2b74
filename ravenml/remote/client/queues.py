"""Queues by name: those of the configuration, and ``local``, which needs none."""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from ravenml.config.config import config_path, load_config
from ravenml.config.home import home
from ravenml.config.queues import Queue
from ravenml.errors import InputError
from ravenml.remote.client.ray_api import RayJobs
from ravenml.store.factory import bucket

LOCAL = "local"


@dataclass(frozen=True)
class NamedQueue:
    """A queue and the name that it goes by."""

    name: str
    settings: Queue

    @property
    def is_local(self) -> bool:
        """Whether it is the Ray that ravenML starts on this machine."""
        return self.name == LOCAL and LOCAL not in load_config().queues

    @contextmanager
    def cluster(self) -> Iterator[RayJobs]:
        """The cluster's jobs; the local Ray is started if need be, and stays up while the block lasts.

        Raises:
            RavenError: the cluster does not answer.
        """
        if self.is_local:
            from ravenml.remote.client import local_ray

            with local_ray.in_use() as jobs:
                yield jobs
        else:
            jobs = RayJobs(self.settings.address)
            jobs.version()
            yield jobs

    def cluster_if_up(self) -> RayJobs | None:
        """The cluster's jobs, without starting anything."""
        if self.is_local:
            from ravenml.remote.client import local_ray

            return local_ray.running()
        return RayJobs(self.settings.address)

    def store_address(self) -> str:
        """Where its runs are mirrored: a folder, or an ``s3://`` address.

        Raises:
            InputError: the queue names none, and no bucket is configured.
        """
        if self.settings.store is not None:
            folder = self.settings.store
            return folder if "://" in folder else str(Path(folder).expanduser().absolute())
        found = None if self.is_local else bucket("models")
        if found is not None:
            return found.name
        if self.is_local:
            return str(home() / "remote" / "mirror")
        raise InputError(
            f"{config_path()}: `queues.{self.name}.store` is missing, and no bucket of models is "
            "configured; name an s3:// address, or a folder that all machines share."
        )


def queue_named(name: str) -> NamedQueue:
    """The queue of that name.

    Raises:
        InputError: there is none; the sentence suggests the nearest.
    """
    known = queues()
    if name in known:
        return known[name]
    close = difflib.get_close_matches(name, known, n=1)
    hint = f"did you mean {close[0]!r}?" if close else f"there are: {', '.join(known)}."
    raise InputError(f"No queue is called {name!r}; {hint} `queues:` in {config_path()} names them.")


def queues() -> dict[str, NamedQueue]:
    """Every queue by name, ``local`` among them."""
    configured = load_config().queues
    local = Queue.model_validate({"address": "http://127.0.0.1:0", "requirements": "none"})
    return {name: NamedQueue(name, queue) for name, queue in ({LOCAL: local} | configured).items()}
