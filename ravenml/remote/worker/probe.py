"""What ``raven remote check`` runs on the cluster: a look at every node."""

from __future__ import annotations

import json
import logging
import os
import shutil
import socket
import sys
import tempfile
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version

from ravenml.common.io import JsonObject
from ravenml.errors import RavenError
from ravenml.remote.job import missing_secrets
from ravenml.remote.layout import open_store
from ravenml.remote.worker.container import ENGINES

MARK = "ravenml-probe: "
PATIENCE = 120.0  # seconds that a node has to answer; its environment may have to be made first


def main() -> None:
    """Print a line of JSON for each node, as its answer comes."""
    request = json.loads(os.environ["RAVENML_PROBE"])
    for found in probe_nodes(request):
        print(MARK + json.dumps(found), flush=True)
    print(MARK + json.dumps(None), flush=True)  # that was all


def probe_nodes(request: JsonObject) -> Iterator[JsonObject]:
    """What every living node of this cluster finds, or the ``error`` that kept it from looking."""
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    ray.init(log_to_driver=False, logging_level=logging.ERROR)
    asked = {}
    for node in ray.nodes():
        if node["Alive"]:
            there = NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)
            task = ray.remote(look).options(num_cpus=0, max_retries=0, scheduling_strategy=there)
            asked[task.remote(request)] = {
                "host": node["NodeManagerHostname"],
                "address": node["NodeManagerAddress"],
                "resources": {name: amount for name, amount in node["Resources"].items() if ":" not in name},
            }
    left = [*asked]
    while left:
        ended, left = ray.wait(left, num_returns=1, timeout=PATIENCE)
        if not ended:
            yield from ({**asked[one], "error": f"no answer within {PATIENCE:g} s"} for one in left)
            return
        for one in ended:
            try:
                yield {**asked[one], **ray.get(one)}
            except Exception as error:
                lines = [line.strip() for line in str(error).splitlines() if line.strip()]
                yield {**asked[one], "error": lines[-1] if lines else type(error).__name__}


def look(request: JsonObject) -> JsonObject:
    """What this machine has of what a job needs."""
    try:
        store = open_store(request["store"]).read(request["key"]).decode()
    except RavenError as error:
        store = str(error)
    return {
        "host": socket.gethostname(),
        "python": list(sys.version_info[:3]),
        "executable": sys.executable,
        "store": store,
        "missing": missing_secrets(request["secrets"]),
        "packages": [name for name in request["packages"] if not _is_installed(name)],
        "engine": next((engine for engine in ENGINES if shutil.which(engine)), None),
        "free_bytes": shutil.disk_usage(tempfile.gettempdir()).free,
    }


def _is_installed(name: str) -> bool:
    try:
        version(name)
    except PackageNotFoundError:
        return False
    return True


if __name__ == "__main__":
    main()
