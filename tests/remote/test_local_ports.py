"""The queue ``local`` is this machine's alone: nothing that its Ray opens is seen by another host."""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from as_user import wait_for
from on_ray import OnRay

from ravenml.remote.client import local_ray
from ravenml.remote.worker.ddp_group import Address, find_interface, variables

pytestmark = pytest.mark.timeout(300)


def sockets_of_ray(cluster: OnRay) -> dict[str, str]:
    """``address:port`` of every socket on which Ray's keeper, or what it has started, listens; and whose."""
    psutil = pytest.importorskip("psutil")
    state = json.loads((cluster.home / "remote" / "local-ray.json").read_text())
    keeper = psutil.Process(state["pid"])
    family = {keeper.pid} | {child.pid for child in keeper.children(recursive=True)}
    shown = subprocess.run(["ss", "-ltnpH"], capture_output=True, text=True, check=True).stdout
    found = {}
    for line in shown.splitlines():
        if (owner := re.search(r'\("([^"]*)",pid=(\d+)', line)) and int(owner[2]) in family:
            found[line.split()[3]] = owner[1]
    return found


@pytest.fixture
def job(cluster: OnRay) -> Iterator[str]:
    """A program that runs there now."""
    if shutil.which("ss") is None:
        pytest.skip("the command ss (iproute2) is not installed")
    run_id = cluster.send("run", "--remote", "local", "--", "python", "loop.py")
    wait_for(lambda: "\n2\n" in (cluster.record(run_id) and console(cluster, run_id)))
    yield run_id
    cluster("runs", "stop", run_id)


def console(cluster: OnRay, run_id: str) -> str:
    path = cluster.home / "runs" / run_id / "console.log"
    return path.read_text() if path.exists() else ""


def test_every_port_is_on_loopback_while_a_job_runs_and_after_it(cluster: OnRay, job: str) -> None:
    busy = sockets_of_ray(cluster)
    assert {"gcs_server", "raylet"} <= set(busy.values()) and len(busy) >= 11, busy
    assert any(owner.startswith("ray::JobSup") for owner in busy.values()), busy
    assert [place for place in busy if not on_loopback(place)] == []
    assert "is interrupted" in cluster.ok("runs", "stop", job)
    idle = sockets_of_ray(cluster)
    assert [place for place in idle if not on_loopback(place)] == []


def test_no_port_answers_another_host(cluster: OnRay, job: str) -> None:
    ports = sorted({int(place.rpartition(":")[2]) for place in sockets_of_ray(cluster)})
    with another_host() as (python, here), socket.create_server(("", 0)) as everybodys:
        open_to_all = everybodys.getsockname()[1]
        asked = [[here, port] for port in (*ports, open_to_all)]
        asked += [[address, port] for address in own_addresses() for port in ports]
        said = subprocess.run(
            [*python, "-c", REACH, json.dumps(asked)], capture_output=True, text=True, check=True
        )
    assert json.loads(said.stdout) == [[here, open_to_all]]


REACH = """
import json, socket, sys
reached = []
for host, port in json.loads(sys.argv[1]):
    try:
        socket.create_connection((host, port), timeout=2).close()
    except OSError:
        continue
    reached.append([host, port])
print(json.dumps(reached))
"""


@contextmanager
def another_host() -> Iterator[tuple[list[str], str]]:
    """A network of its own with a line to this machine: how Python is started there, and our address."""
    name = f"rv{os.getpid()}"
    ip = shutil.which("ip") or "/usr/sbin/ip"
    subnet = f"10.213.{os.getpid() % 250}"
    steps = [
        f"netns add {name}",
        f"link add {name}a type veth peer name {name}b netns {name}",
        f"addr add {subnet}.1/24 dev {name}a",
        f"link set {name}a up",
        f"-n {name} addr add {subnet}.2/24 dev {name}b",
        f"-n {name} link set {name}b up",
        f"-n {name} route add default via {subnet}.1",
    ]
    try:
        for step in steps:
            try:
                subprocess.run([ip, *step.split()], check=True, capture_output=True, text=True)
            except (OSError, subprocess.CalledProcessError) as error:
                pytest.skip(f"this machine lets no test make a network of its own: {error}")
        yield [ip, "netns", "exec", name, sys.executable], f"{subnet}.1"
    finally:
        with suppress(OSError):
            subprocess.run([ip, "netns", "del", name], capture_output=True)


def own_addresses() -> list[str]:
    """This machine's IPv4 addresses; another host would ask one of them."""
    psutil = pytest.importorskip("psutil")
    return [
        one.address
        for addresses in psutil.net_if_addrs().values()
        for one in addresses
        if one.family == socket.AF_INET and not one.address.startswith(("127.", "10.213."))
    ]


def on_loopback(place: str) -> bool:
    return place.startswith(("127.", "[::ffff:127.", "[::1]"))


@pytest.mark.parametrize(
    ("host", "shown"), [("127.0.0.1", "127.0.0.1"), ("0.0.0.0", "0.0.0.0"), ("::1", "[::1]"), ("::", "[::]")]
)
def test_a_socket_that_listens_is_found_with_its_address(host: str, shown: str) -> None:
    if not Path("/proc/net/tcp").exists():
        pytest.skip("only Linux shows its sockets in /proc")
    with socket.create_server((host, 0), family=socket.AF_INET6 if ":" in host else socket.AF_INET) as one:
        assert f"{shown}:{one.getsockname()[1]}" in local_ray.listening(os.getpid())


def test_the_first_start_names_what_other_machines_could_reach(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (home / "remote").mkdir(parents=True)
    (home / "remote" / "local-ray.json").write_text('{"open": ["0.0.0.0:8265"]}')
    local_ray._warn_of_open_ports()
    assert "also listens on 0.0.0.0:8265, which other machines may reach" in capsys.readouterr().err


def test_processes_that_train_together_find_each_other_by_the_interface_of_their_address() -> None:
    if not Path("/proc/net/dev").exists():
        pytest.skip("only Linux calls its loopback interface lo")
    here = Address("127.0.0.1", 4000, find_interface("127.0.0.1"))
    there = Address("10.0.0.2", 4001, "eth7")
    assert variables(0, [here, there], "run")["GLOO_SOCKET_IFNAME"] == "lo"
    assert variables(1, [here, there], "run")["NCCL_SOCKET_IFNAME"] == "eth7"
    assert find_interface("192.0.2.250") == ""
    assert "GLOO_SOCKET_IFNAME" not in variables(0, [Address("192.0.2.250", 4000)], "run")
