"""The container that a script asks to run in."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from ravenml.runs.secrets import HIDDEN, redact_arguments


@dataclass(frozen=True)
class Container:
    """An image, and what docker or podman is told beside it.

    Attributes:
        image: such as ``registry/custom/detectron2:v3``.
        arguments: such as ``--env GIT_SSL_NO_VERIFY=true``, word by word.
        setup: lines of shell that prepare it.
    """

    image: str
    arguments: tuple[str, ...] = ()
    setup: tuple[str, ...] = field(default=())

    def record(self) -> dict[str, Any]:
        """What may be written down: of the environment only the names."""
        return {"image": self.image, "arguments": without_values(self.arguments), "setup": list(self.setup)}


def parse_container(
    command: str | None,
    image: str | None,
    arguments: Sequence[str] | str | None,
    setup: Sequence[str] | str | None,
) -> Container | None:
    """Understand what ``Task.set_base_docker`` is given: ``IMAGE ARGUMENTS…`` in one text, or apart."""
    words = shlex.split(command) if command else []
    name = image or (words[0] if words else None)
    if name is None:
        return None
    more = words[1:] if not image else words
    more += shlex.split(arguments) if isinstance(arguments, str) else list(arguments or ())
    lines = setup.splitlines() if isinstance(setup, str) else list(setup or ())
    return Container(name, tuple(more), tuple(lines))


def without_values(arguments: Sequence[str]) -> list[str]:
    """A container's arguments in which every value of ``--env NAME=VALUE`` is hidden."""
    result: list[str] = []
    value_next = False
    for argument in redact_arguments(arguments):
        option, sign, value = argument.partition("=")
        if value_next:
            result.append(f"{option}={HIDDEN}" if sign else argument)
        elif option == "--env" and sign:
            name, inner, _ = value.partition("=")
            result.append(f"--env={name}={HIDDEN}" if inner else argument)
        elif argument.startswith("-e") and not argument.startswith("--") and len(argument) > 2:
            result.append(f"{option}={HIDDEN}" if sign else argument)  # -eNAME=VALUE
        else:
            result.append(argument)
        value_next = argument in ("-e", "--env")
    return result
