"""Several processes that train one network together, each on its part of every batch.

torchrun's variables say how many there are and which one this is (``raven train --remote QUEUE --processes
N`` sets them); PyTorch's DistributedDataParallel averages the gradients.  All processes do the same steps in
the same order, decide alike, and have the same weights after each step; the first one's files are the run.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Iterable
from contextlib import suppress

import numpy as np
import torch
from lightning_fabric import Fabric
from numpy.typing import NDArray
from torch import nn

from ravenml.errors import RavenError


def processes() -> int:
    """How many processes torchrun's variables speak of; 1 without them."""
    return int(os.environ.get("WORLD_SIZE", "1")) if "TORCHELASTIC_RUN_ID" in os.environ else 1


def meet_on_loopback() -> object:
    """Where all processes are on this machine, let them meet at a port that no other machine reaches.

    PyTorch's own listens on every interface.  The first process makes it, and must keep it until its end.

    Returns:
        What the first process keeps; None elsewhere.
    """
    host, port = os.environ.get("MASTER_ADDR", ""), int(os.environ.get("MASTER_PORT", "0"))
    if not host.startswith("127.") or torch.distributed.is_initialized():
        return None
    if os.environ.get("TORCHELASTIC_USE_AGENT_STORE") == "True":  # torchrun has made such a place itself
        return None
    os.environ["TORCHELASTIC_USE_AGENT_STORE"] = "True"  # the first process, too, only connects to it
    if os.environ.get("RANK") != "0":
        return None
    listener = socket.create_server((host, port))
    return torch.distributed.TCPStore(  # type: ignore[attr-defined]
        host, port, processes(), is_master=True, wait_for_workers=False, master_listen_fd=listener.detach()
    )


class Team:
    """The processes that train one network, seen from one of them, which may be alone."""

    def __init__(self, fabric: Fabric) -> None:
        self.fabric = fabric
        self.rank, self.count = fabric.global_rank, fabric.world_size

    @property
    def seed(self) -> tuple[int, ...]:
        """What makes random numbers this process's own; nothing for the first, which draws as if alone."""
        return (self.rank,) if self.rank else ()

    def part(self, indices: NDArray[np.int64]) -> NDArray[np.int64]:
        """This process's part of the indices; empty where there are fewer than processes."""
        return indices[self.rank :: self.count]

    def weight(self, indices: NDArray[np.int64]) -> float:
        """What this part's mean loss is multiplied by, so that the mean over all is the batch's."""
        return len(self.part(indices)) * self.count / len(indices)

    def add(self, tensors: Iterable[torch.Tensor]) -> None:
        """Make each tensor, in place, the sum over all processes."""
        if self.count > 1:
            for tensor in tensors:
                torch.distributed.all_reduce(tensor)

    def any(self, mine: bool) -> bool:
        """Whether it is so in any process; all of them learn it at the same step."""
        if self.count == 1:
            return mine
        votes = torch.tensor(float(mine), device=self.fabric.device)
        torch.distributed.all_reduce(votes)
        return bool(votes.item())

    def check(self, step: int) -> None:
        """Make sure that all begin at the same step.

        Raises:
            RavenError: they do not; they found different checkpoints.
        """
        if self.any(step != self.fabric.broadcast(step)):
            # Whoever ends first closes the connections, through which another may still be learning of it.
            with suppress(RuntimeError):
                torch.distributed.barrier()
            raise RavenError(
                "The workers found different checkpoints to resume from; they see different files, or files "
                "that are still being copied.  Resume the run again."
            )

    def agree(self, model: nn.Module) -> None:
        """Give every process the first one's buffers, such as batch norm's running means."""
        if self.count > 1:
            for buffer in model.buffers():
                torch.distributed.broadcast(buffer, 0)

    def alone(self, model: nn.Module) -> nn.Module:
        """The network for what each process computes by itself, in the precision of the training."""
        return Alone(self.fabric, model)


class Alone(nn.Module):
    """A network without DistributedDataParallel, whose forward waits for the other processes."""

    def __init__(self, fabric: Fabric, model: nn.Module) -> None:
        super().__init__()
        self._fabric, self.model = fabric, model

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        with self._fabric.autocast():
            result: torch.Tensor = self.model(x)
        return result.float()
