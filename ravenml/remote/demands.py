"""What a person asks of a queue for one run: how many processes, and which resources each of them has."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields

from ravenml.common.defaults import DEFAULT_RETRIES
from ravenml.errors import InputError


@dataclass(frozen=True)
class Demands:
    """What was said; None where nothing was, and the queue's own value holds.

    Attributes:
        processes: how many train one model.
        retries: how often a lost worker or cluster is replaced.
        cpus, gpus: for each process, or each fold.
        memory: likewise, in bytes.
    """

    processes: int | None = None
    retries: int | None = None
    cpus: float | None = None
    gpus: float | None = None
    memory: int | None = None

    @classmethod
    def from_options(cls, options: Mapping[str, object]) -> Demands:
        """Those among the options of a command, by name."""
        names = {field.name for field in fields(cls)}
        return cls(**{name: value for name, value in options.items() if name in names})  # type: ignore[arg-type]

    @property
    def resources(self) -> dict[str, float]:
        """As Ray names them; what was not said is left out."""
        said = {"CPU": self.cpus, "GPU": self.gpus, "memory": self.memory}
        return {name: amount for name, amount in said.items() if amount is not None}

    @property
    def retries_or_default(self) -> int:
        """``retries``, or the default."""
        return DEFAULT_RETRIES if self.retries is None else self.retries

    def refuse_without_queue(self) -> None:
        """Refuse what only a queue can do.

        Raises:
            InputError: something was said; the sentence names the option.
        """
        for field in fields(self):
            if getattr(self, field.name) is not None:
                raise InputError(f"--{field.name} belongs to --remote; name a queue, or leave it out.")
