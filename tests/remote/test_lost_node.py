"""Three nodes of a Ray cluster on this machine, of which the one that trains is lost."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from as_user import CLEAN, wait_for
from checkouts import checkout
from on_ray import OnRay, parent_of
from simple_project import write_simple_project
from test_on_ray import told
from throwaway import LEARNS, SETTINGS, write_plugin

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def start_cluster(port: int, workers: int) -> Any:
    """A head that trains nothing, whose dashboard is at this port, and workers of one core each."""
    from ray.cluster_utils import Cluster

    small = {"object_store_memory": 80 << 20}
    dashboard = {"include_dashboard": True, "dashboard_host": "127.0.0.1", "dashboard_port": port}
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, **dashboard, **small})
    for _ in range(workers):
        cluster.add_node(num_cpus=1, **small)
    cluster.wait_for_nodes()
    return cluster


@pytest.fixture
def nodes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[OnRay, Any]]:
    """A head that trains nothing and two workers of one core, behind a queue; and the cluster itself."""
    pytest.importorskip("ray")
    site = tmp_path / "site"
    site.mkdir()
    write_plugin(site, "learner", LEARNS, settings=SETTINGS)
    write_simple_project(tmp_path / "project", images=12, val=3)
    raven = OnRay(tmp_path / "home", site, checkout(tmp_path / "code", {"train.py": ""}))
    raven.home.mkdir()
    for name, value in {**raven.env(), "RAY_AUTH_MODE": "disabled"}.items():
        if CLEAN.get(name) != value:
            monkeypatch.setenv(name, value)
    port = free_port()
    cluster = start_cluster(port, workers=2)
    try:
        queue = {"address": f"http://127.0.0.1:{port}", "store": str(tmp_path / "store")}
        queues = {"queues": {"three": {**queue, "requirements": "none"}}}
        (raven.home / "config.yaml").write_text(json.dumps(queues))
        yield raven, cluster
    finally:
        cluster.shutdown()


def test_every_node_is_checked_and_the_one_that_lacks_something_is_named(nodes: tuple[OnRay, Any]) -> None:
    raven, _ = nodes
    said = raven.ok("remote", "check", "three")
    lines = [line for line in said.splitlines() if line.startswith("node:")]
    assert len(lines) == 3 and all("Python 3." in line and " free" in line for line in lines), said
    assert sum("1 CPU" in line for line in lines) == 2
    queues = json.loads((raven.home / "config.yaml").read_text())
    queues["queues"]["three"]["secrets"] = ["/nowhere/key"]
    (raven.home / "config.yaml").write_text(json.dumps(queues))
    refused = raven("remote", "check", "three")
    assert refused.returncode == 1
    assert refused.stderr.count("has no /nowhere/key, which the queue requires; set it there.") == 3


def test_a_node_lost_in_mid_training_changes_nothing_of_the_result(nodes: tuple[OnRay, Any]) -> None:
    raven, cluster = nodes
    train = ("train", "--remote", "three", "--dataset", "../project", "learner", "train", "--epochs", "6")
    whole = raven.send(*train)
    raven.until(whole, "completed")
    lost = raven.send(*train, "--seconds", "1.5")
    wait_for(lambda: raven.record(lost) and len(told(raven, lost)) >= 4)
    raylet = parent_of(parent_of(raven.training(lost)))
    (node,) = (
        one
        for one in cluster.worker_nodes
        if any(each.process.pid == raylet for each in one.all_processes["raylet"])
    )
    cluster.remove_node(node, allow_graceful=False)
    record = raven.until(lost, "completed", "failed", seconds=150)
    assert record["status"] == "completed" and len(record["attempts"]) == 2  # type: ignore[arg-type]
    assert told(raven, lost) == told(raven, whole)
    assert any(e["event_type"] == "EventType.RESUMED" for e in raven.events(lost))
    claims = os.listdir(Path(raven.home.parent / "store" / "remote" / lost / "attempts"))
    assert claims == ["0001.json"]  # Ray's own retries were enough


def test_a_head_lost_alone_in_mid_training_is_made_up_for_by_a_new_one(nodes: tuple[OnRay, Any]) -> None:
    raven, cluster = nodes
    train = ("train", "--remote", "three", "--dataset", "../project", "learner", "train", "--epochs", "6")
    whole = raven.send(*train)
    raven.until(whole, "completed")
    lost = raven.send(*train, "--seconds", "10")
    wait_for(lambda: raven.record(lost) and len(told(raven, lost)) >= 4)
    queue = json.loads((raven.home / "config.yaml").read_text())["queues"]["three"]
    port = int(queue["address"].rpartition(":")[2])
    cluster.remove_node(cluster.head_node, allow_graceful=False)
    new = start_cluster(port, workers=1)  # while the former workers still train
    watching = raven.start("remote", "watch")
    try:
        record = raven.until(lost, "completed", "failed", seconds=300)
    finally:
        watching.kill()
        watching.wait()
        new.shutdown()
    assert record["status"] == "completed"
    # Each step once, whoever did it: a worker that needs no head often ends its training by itself.
    assert told(raven, lost) == told(raven, whole)
