"""Is a queue usable?  A small job on its cluster looks at every node, which this machine cannot see."""

from __future__ import annotations

import json
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator, Mapping
from importlib.metadata import distribution
from pathlib import Path

from ravenml.common.formatting import format_size
from ravenml.common.io import JsonObject
from ravenml.common.parsing import parse_json
from ravenml.errors import RavenError
from ravenml.plugin.environment import Requirement
from ravenml.remote.client.pack import pack
from ravenml.remote.client.queues import NamedQueue, queue_named
from ravenml.remote.client.ray_api import NODES, RayJobs
from ravenml.remote.client.submit import entrypoint, requirements, runtime_environment
from ravenml.remote.client.sync import summarise
from ravenml.remote.layout import ROOT, open_store
from ravenml.remote.worker.probe import MARK

_SOON = 3.0  # seconds after which whoever waits is told what for
PATIENCE = 300.0  # seconds; the first job of a queue with requirements installs them


def check_queue(name: str) -> Iterator[str]:
    """A line for each thing that holds, of every node, as soon as it is known.

    Raises:
        RavenError: the first that does not; the sentence says what to do.
    """
    target = queue_named(name)
    address = target.store_address()
    key = f"{ROOT}/check-{uuid.uuid4().hex}"
    store = open_store(address)
    store.put_content(key, b"here")
    faults: list[str] = []
    try:
        yield f"store:      {store.name} can be read and written from here"
        with target.cluster() as jobs:
            yield f"cluster:    Ray {jobs.version()} at {jobs.address}"
            yield f"resources:  {_resources(target, jobs)}"
            for found in _probe(target, jobs, address, key):
                if isinstance(found, str):
                    yield f"waiting:    {found}"
                elif fault := _fault(target, address, found):
                    faults.append(fault)
                else:
                    yield f"node:       {_describe_node(found)}"
    finally:
        store.delete(key)
    if faults:
        raise RavenError("\n".join(faults))
    yield f"store:      {address} can be reached from every node"
    if target.settings.image is not None:
        yield f"image:      {target.settings.image}, which every node has an engine for"


def _describe_node(found: JsonObject) -> str:
    python = ".".join(map(str, found["python"]))
    differs = tuple(found["python"][:2]) != sys.version_info[:2]
    here = f" (here {sys.version_info[0]}.{sys.version_info[1]})" if differs else ""
    parts = [f"Python {python}{here}", _amounts(found["resources"])]
    parts += [f"{format_size(found['free_bytes'])} free", *filter(None, [found["engine"]])]
    return f"{found['host']} ({found['address']}): {', '.join(part for part in parts if part)}"


def _fault(target: NamedQueue, address: str, found: JsonObject) -> str:
    """What keeps a node from running a job, as a sentence; empty where nothing does."""
    node = f"The node {found['host']} ({found['address']})"
    if "error" in found:
        return f"{node} cannot run ravenML's code: {found['error']}"
    if tuple(found["python"][:2]) < (3, 11):
        return f"{node} has Python {'.'.join(map(str, found['python']))}; ravenML needs 3.11 or later."
    if found["missing"]:
        return f"{node} has no {', '.join(found['missing'])}, which the queue requires; set it there."
    if found["store"] != "here":
        return (
            f"{node} cannot reach {address}: {found['store']} Name a store that all machines reach under "
            f"`queues.{target.name}.store`."
        )
    if found["packages"] and target.settings.image is None:
        return (
            f"{node} has no {', '.join(found['packages'])}; install it there, or set "
            f"`queues.{target.name}.requirements`."
        )
    if target.settings.image is not None and found["engine"] is None:
        return f"{node} has no container engine (docker or podman), and the queue names an image."
    return ""


def _amounts(resources: Mapping[str, float]) -> str:
    shown = {what: amount for what, amount in resources.items() if "memory" not in what.lower()}
    return ", ".join(f"{amount:g} {what}" for what, amount in sorted(shown.items()))


def _resources(target: NamedQueue, jobs: RayJobs) -> str:
    total = jobs.resources(patience=NODES)
    missing = [
        f"{amount:g} {what} (it has {total.get(what, 0):g})"
        for what, amount in target.settings.resources.items()
        if amount > total.get(what, 0)
    ]
    if missing:
        raise RavenError(f"The cluster of the queue {target.name!r} lacks {', '.join(missing)}.")
    return _amounts(total)


def _probe(target: NamedQueue, jobs: RayJobs, address: str, key: str) -> Iterator[JsonObject | str]:
    """What each node of the cluster tells, and meanwhile what is being waited for."""
    packages = requirements(target)
    core = map(Requirement, distribution("ravenml").requires or [])
    needed = [one.name for one in core if one.marker is None or one.marker.evaluate({"extra": ""})]
    question = {"store": address, "key": key, "secrets": target.settings.secrets, "packages": needed}
    with tempfile.TemporaryDirectory(prefix="ravenml-") as scratch:
        package = pack(Path(scratch), Path(scratch), needs_code=False)
        environment = runtime_environment(
            jobs, target, package.path, package.digest, packages, {"RAVENML_PROBE": json.dumps(question)}
        )
        name = f"raven-check-{uuid.uuid4().hex[:12]}"
        jobs.submit(name, entrypoint(target.settings.python, "ravenml.remote.worker.probe"), environment, {})
    begun, told, seen = time.monotonic(), False, 0
    while time.monotonic() < begun + PATIENCE:
        found = jobs.job(name) or {}
        lines = [line for line in jobs.logs(name).splitlines() if line.startswith(MARK)]
        for line in lines[seen:]:
            answer = parse_json(line.removeprefix(MARK), "The cluster's answer")
            if answer is None:
                return
            yield answer
        seen = len(lines)
        if found.get("status") in ("SUCCEEDED", "FAILED", "STOPPED"):
            reason = summarise(str(found.get("message") or ""), jobs.logs(name))
            raise RavenError(f"A job on the cluster failed. {reason}")
        if not told and time.monotonic() > begun + _SOON:
            told = True
            yield (
                "the cluster installs the requirements of the queue, once on every node; this takes minutes"
                if packages
                else "the cluster starts a job"
            )
        time.sleep(0.2)
    raise RavenError(f"A job on the cluster did not end within {PATIENCE:g} s; its name is {name}.")
