"""How a captured process reports: lines of JSON in the file that `raven run` reads."""

from __future__ import annotations

import enum
import functools
import json
import math
import os
import sys
from collections.abc import Callable, Mapping
from typing import Any

from . import SWITCH, is_left

_EVENTS = "RAVENML_EVENTS"
# Programs and libraries whose own flags are not the user's settings.
_NOT_THE_PROGRAM = {
    *("torch", "accelerate", "deepspeed", "horovod", "ray", "pytest", "pip", "IPython", "ipykernel"),
    *("joblib", "loky", "multiprocessing", "lightning", "lightning_fabric", "tensorboard"),
    *("hydra", "fire", "absl", "jsonargparse"),
}


def report(event_type: str, **fields: object) -> None:
    """Append an event, in one write, so that processes may share the file."""
    event = {"message": event_type.lower(), "event_type": f"EventType.{event_type}", **fields}
    line = json.dumps(event, default=str).encode() + b"\n"
    file = os.open(os.environ[_EVENTS], os.O_WRONLY | os.O_APPEND)
    try:
        os.write(file, line)
    finally:
        os.close(file)


_listeners: list[Callable[[dict[str, object], str], None]] = []


def listen(listener: Callable[[dict[str, object], str], None]) -> None:
    """Have settings and the library's name told to a `Task` of this process, and no file."""
    _listeners[:] = [listener]


def report_settings(values: Mapping[str, object], by: str) -> None:
    """Tell what the program was told; processes that it starts from now on do not tell theirs.

    Args:
        by: the library that parsed it.
    """
    if _listeners:
        _listeners[0](dict(values), by)
        return
    if settings_are_known() or is_left():
        return
    plain = {str(name): to_plain(value) for name, value in values.items()}
    if plain:
        report("DESCRIBED", fields={"parameters": plain, "captured": by})
        os.environ[SWITCH] = str(os.getpid())


def report_parameters(name: str, values: Mapping[str, object]) -> None:
    """Tell with which parameters a library trains, apart from what the program was told.

    Args:
        name: what has the parameters, such as ``RandomForestClassifier``.
    """
    report("DESCRIBED", fields={"parameters": {name: to_plain(values)}})


def settings_are_known() -> bool:
    """Whether a process above this one has told its settings, so that this one is its helper."""
    owner = os.environ.get(SWITCH, "")
    return owner.isdigit() and int(owner) != os.getpid()


def to_plain(value: object) -> object:
    """A value as JSON has it: numbers, texts, lists and mappings stay, of an enumeration the member's name
    does, and all else becomes text.
    """
    if isinstance(value, enum.Enum):
        return value.name or str(value)  # flags that are combined have no name before Python 3.11
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if getattr(value, "shape", None) == () and hasattr(value, "item"):
        return to_plain(value.item())  # a number of NumPy's
    if isinstance(value, Mapping):
        return {str(key): to_plain(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple, set)):
        return [to_plain(inner) for inner in value]
    return str(value)


def arguments(namespace: object) -> dict[str, object]:
    """What argparse has parsed, by name; members of enumerations with their class, as ClearML has them."""
    return {
        name: str(value) if isinstance(value, enum.Enum) else value
        for name, value in vars(namespace).items()
        if not callable(value)
    }


def is_of_the_program(module: Mapping[str, object]) -> bool:
    """Whether a module, given by its names, is the program's, and not a library's with flags of its own."""
    name = str(module.get("__name__", "")).partition(".")[0]
    if name == "__main__":
        spec = module.get("__spec__")  # of `python -m torch.distributed.run`
        name = str(getattr(spec, "name", None) or "__main__").partition(".")[0]
    return name not in _NOT_THE_PROGRAM


def guarded(work: Callable[..., Any]) -> Callable[..., Any]:
    """``work``, whose exceptions are a line in the log: they never reach the program."""

    @functools.wraps(work)
    def careful(*args: Any, **kwargs: Any) -> Any:
        try:
            return work(*args, **kwargs)
        except Exception as error:
            print(f"raven: {work.__module__.partition('.')[2]}: {error!r}", file=sys.stderr)
            return None

    return careful
