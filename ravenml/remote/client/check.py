"""Is a queue usable?  A small job on its cluster finds out what this machine cannot see."""

from __future__ import annotations

import json
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

from ravenml.common.io import JsonObject
from ravenml.common.parsing import parse_json
from ravenml.errors import RavenError
from ravenml.remote.client.pack import pack
from ravenml.remote.client.queues import NamedQueue, queue_named
from ravenml.remote.client.ray_api import RayJobs
from ravenml.remote.client.submit import entrypoint, requirements, runtime_environment
from ravenml.remote.layout import ROOT, open_store
from ravenml.remote.worker.probe import MARK

NODES = 20.0  # seconds until a cluster must know of its nodes
PATIENCE = 300.0  # seconds; the first job of a queue with requirements installs them


def check_queue(name: str) -> Iterator[str]:
    """A line for each thing that holds.

    Raises:
        RavenError: the first that does not; the sentence says what to do.
    """
    target = queue_named(name)
    address = target.store_address()
    key = f"{ROOT}/check-{uuid.uuid4().hex}"
    store = open_store(address)
    store.put_content(key, b"here")
    try:
        yield f"store:      {store.name} can be read and written from here"
        with target.cluster() as jobs:
            yield f"cluster:    Ray {jobs.version()} at {jobs.address}"
            yield f"resources:  {_resources(target, jobs)}"
            found = _probe(target, jobs, address, key)
    finally:
        store.delete(key)
    remote_python, own_python = tuple(found["python"][:2]), sys.version_info[:2]
    if remote_python < (3, 11):
        raise RavenError(
            f"The cluster's Python is {'.'.join(map(str, remote_python))}; ravenML needs 3.11 or later."
        )
    differs = "" if remote_python == own_python else f" (here {own_python[0]}.{own_python[1]})"
    yield f"python:     {'.'.join(map(str, found['python']))}{differs}, {found['executable']}"
    if found["missing"]:
        raise RavenError(
            f"The worker {found['host']} has no {', '.join(found['missing'])}, which the queue requires; set "
            "it there."
        )
    if found["store"] != "here":
        raise RavenError(
            f"The worker {found['host']} cannot reach {address}: {found['store']} Name a store that all "
            f"machines reach under `queues.{name}.store`."
        )
    yield f"store:      {address} can be reached from {found['host']}"
    if target.settings.image is not None:
        if found["engine"] is None:
            raise RavenError(
                f"The queue names a container image, and the worker {found['host']} has no container engine "
                "(docker or podman)."
            )
        yield f"image:      {target.settings.image}, run by {found['engine']}"


def _resources(target: NamedQueue, jobs: RayJobs) -> str:
    end = time.monotonic() + NODES
    while not (total := jobs.resources()) and time.monotonic() < end:
        time.sleep(0.5)  # a head that has just started knows of no node yet
    missing = [
        f"{amount:g} {what} (it has {total.get(what, 0):g})"
        for what, amount in target.settings.resources.items()
        if amount > total.get(what, 0)
    ]
    if missing:
        raise RavenError(f"The cluster of the queue {target.name!r} lacks {', '.join(missing)}.")
    shown = {what: amount for what, amount in total.items() if "memory" not in what.lower()}
    return ", ".join(f"{amount:g} {what}" for what, amount in sorted(shown.items()))


def _probe(target: NamedQueue, jobs: RayJobs, address: str, key: str) -> JsonObject:
    """What a job on the cluster tells."""
    question = {"store": address, "key": key, "secrets": target.settings.secrets}
    with tempfile.TemporaryDirectory(prefix="ravenml-") as scratch:
        package = pack(Path(scratch), Path(scratch), needs_code=False)
        environment = runtime_environment(
            jobs,
            target,
            package.path,
            package.digest,
            requirements(target),
            {"RAVENML_PROBE": json.dumps(question)},
        )
        name = f"raven-check-{uuid.uuid4().hex[:12]}"
        jobs.submit(name, entrypoint(target.settings.python, "ravenml.remote.worker.probe"), environment, {})
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        found = jobs.job(name) or {}
        if found.get("status") in ("SUCCEEDED", "FAILED", "STOPPED"):
            answers = [line for line in jobs.logs(name).splitlines() if line.startswith(MARK)]
            if answers:
                answer: JsonObject = parse_json(answers[-1].removeprefix(MARK), "The cluster's answer")
                return answer
            raise RavenError(f"A job on the cluster failed: {str(found.get('message')).strip()[-600:]}")
        time.sleep(0.2)
    raise RavenError(f"A job on the cluster did not end within {PATIENCE:g} s; its name is {name}.")
