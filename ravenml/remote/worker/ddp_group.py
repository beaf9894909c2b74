"""Several processes that train one model together: a placement group, and torchrun's variables."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Callable, Sequence
from types import ModuleType
from typing import TYPE_CHECKING, Any, NamedTuple

from ravenml.remote.job import Job, ray_options
from ravenml.remote.worker.worker import train_together

if TYPE_CHECKING:
    from ray import ObjectRef
    from ray.remote_function import RemoteFunction


# Gloo and NCCL would choose an interface themselves: gloo the one that the machine's own name leads to, which
# /etc/hosts often sets to loopback, where no other machine reaches it.
_INTERFACE_VARIABLES = ("GLOO_SOCKET_IFNAME", "NCCL_SOCKET_IFNAME")


# Seconds that the others have to end once one has failed: they notice, and the first sends its last lines.
_GRACE = 30.0


class Address(NamedTuple):
    """Where a process of the group is reached: an IP address, a free port, and the interface that has it."""

    host: str
    port: int
    interface: str = ""


class ProcessGroup:
    """As many Ray tasks as the job has workers; if one is lost, all begin again from the last checkpoint.

    Attributes:
        error: why all were given up, or which process failed first, and why.
    """

    def __init__(self, ray: ModuleType, job: Job, attempt: int) -> None:
        self.error = ""
        self._failed_at: float | None = None
        self._ray, self._job, self._attempt = ray, job, attempt
        self._tries = 0
        self._tasks: list[ObjectRef[Any]] = []
        self._reserve()

    def wait(self, patience: float) -> int | None:
        """Wait for a moment; the exit code once there is one."""
        if not self._tasks:
            if not self._group.wait(patience):
                return None
            self._start()
        ready, rest = self._ray.wait(self._tasks, num_returns=len(self._tasks), timeout=patience)
        try:
            ended = dict(zip(map(self._tasks.index, ready), self._ray.get(ready), strict=True))
        except Exception as error:
            self.cancel()
            self._tries += 1
            if self._tries > self._job.retries:
                self.error = f"A worker was lost, and {self._job.retries} retries did not help: {error}"
                return 1
            self._reserve()
            return None
        failed = {rank: reason for rank, (code, reason) in ended.items() if code}
        if failed and self._failed_at is None:
            self._failed_at = time.monotonic()
            rank, reason = max(failed.items())  # the first one names it itself
            self.error = f"Process {rank} of {self._job.workers} failed on {reason}"
        if rest and (self._failed_at is None or time.monotonic() < self._failed_at + _GRACE):
            return None  # the others are about to end, or still train
        self.cancel()
        return max(code for code, _ in ended.values())

    def cancel(self) -> None:
        """Stop all, whatever they do, and give back what they had."""
        from ray.util.placement_group import remove_placement_group

        for task in self._tasks:
            self._ray.cancel(task, force=True)
        remove_placement_group(self._group)

    def _reserve(self) -> None:
        from ray.util.placement_group import placement_group

        bundle = {name: amount for name, amount in self._job.resources.items() if amount}
        self._group = placement_group([bundle] * self._job.workers, strategy="PACK")
        self._tasks = []
        self._failed_at, self.error = None, ""

    def _start(self) -> None:
        ranks = range(self._job.workers)
        addresses = self._ray.get([self._task(_find_address, rank).remote() for rank in ranks])
        chosen = {name: self._job.env[name] for name in _INTERFACE_VARIABLES if name in self._job.env}
        self._tasks = [
            self._task(train_together, rank).remote(
                self._job, self._attempt, rank, variables(rank, addresses, self._job.id) | chosen
            )
            for rank in ranks
        ]

    def _task(self, function: Callable[..., object], rank: int) -> RemoteFunction:
        from ray.util.scheduling_strategies import PlacementGroupSchedulingStrategy

        where = PlacementGroupSchedulingStrategy(self._group, placement_group_bundle_index=rank)
        options = ray_options(self._job.resources)
        return self._ray.remote(function).options(**options, scheduling_strategy=where, max_retries=0)


def variables(rank: int, addresses: Sequence[Address], name: str) -> dict[str, str]:
    """What torchrun, and TensorFlow's strategies, find in the environment of one process.

    Each process sees the GPUs of its own bundle alone, and so is the only one of its node.

    Args:
        rank: which process.
        addresses: of all of them, by rank.
        name: of the whole.
    """
    host, port, _ = addresses[0]
    cluster = {"worker": [f"{one.host}:{one.port}" for one in addresses]}
    interface = addresses[rank].interface
    return {
        **(dict.fromkeys(_INTERFACE_VARIABLES, interface) if interface else {}),
        "RANK": str(rank),
        "WORLD_SIZE": str(len(addresses)),
        "LOCAL_RANK": "0",
        "LOCAL_WORLD_SIZE": "1",
        "GROUP_RANK": str(rank),
        "NODE_RANK": str(rank),
        "GROUP_WORLD_SIZE": str(len(addresses)),
        "MASTER_ADDR": host,
        "MASTER_PORT": str(port),
        "TORCHELASTIC_RUN_ID": name,
        "TORCHELASTIC_RESTART_COUNT": "0",
        "TORCHELASTIC_MAX_RESTARTS": "0",
        "TF_CONFIG": json.dumps({"cluster": cluster, "task": {"type": "worker", "index": rank}}),
    }


def _find_address() -> Address:
    """Where this task runs, and a port that is free there."""
    import ray

    host = ray.util.get_node_ip_address()
    with socket.socket() as one:
        one.bind(("", 0))
        return Address(host, int(one.getsockname()[1]), find_interface(host))


def find_interface(host: str) -> str:
    """The network interface of this machine that has an IP address; empty where none has it."""
    import psutil  # Ray brings it along

    for name, addresses in psutil.net_if_addrs().items():
        if any(address.address == host for address in addresses):
            return name
    return ""
