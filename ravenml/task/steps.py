"""A function of a script in a process of its own, which is a run of its own."""

from __future__ import annotations

import multiprocessing
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any

from ravenml.capture import SWITCH
from ravenml.errors import InputError, RavenError
from ravenml.runs import layout
from ravenml.runs.process.inbox import EVENTS

_STEP = "RAVENML_STEP"  # in the environment of such a process
_PARENTS = (EVENTS, layout.RUN_VARIABLE, SWITCH)  # what is the script's own run's, and not the step's


@dataclass(frozen=True)
class _Reference:
    """A function of the script that was started, by the name that it has there: pickle may know another."""

    name: str


def is_step() -> bool:
    """Whether this process is one that calls a step."""
    return bool(os.environ.get(_STEP))


def run_function(
    function: Callable[..., Any],
    args: Sequence[Any],
    kwargs: Mapping[str, Any],
    returns: Sequence[str],
    project: str | None,
    name: str,
    task_type: str,
    tag: str,
) -> tuple[str, Mapping[str, Any]]:
    """Call a function in a new process.

    Args:
        returns: names of what it returns; under these, its run keeps it.
        project, name, task_type, tag: of its run.

    Returns:
        The run's ID, and what it returned by name.

    Raises:
        InputError: the function, an argument or a result is such that pickle cannot take it.
        RavenError: it raised an exception; the sentence has it.
    """
    context = multiprocessing.get_context("spawn")
    near, far = context.Pipe(duplex=False)
    job = (_find(function), tuple(args), dict(kwargs), tuple(returns), (project, name, task_type, tag))
    process = context.Process(target=_call, args=(far, *job), name=name)
    held = {variable: os.environ.pop(variable, None) for variable in _PARENTS}
    os.environ[_STEP] = "1"
    try:
        process.start()
    except (AttributeError, TypeError, ImportError) as error:  # what pickle raises; PicklingError is one too
        raise InputError(f"the function or an argument cannot be sent to a process: {error}") from error
    except Exception as error:
        if type(error).__name__ != "PicklingError":
            raise
        raise InputError(f"the function or an argument cannot be sent to a process: {error}") from error
    finally:
        del os.environ[_STEP]
        os.environ.update({variable: value for variable, value in held.items() if value is not None})
    far.close()
    try:
        answer = near.recv()
    except EOFError:
        process.join()
        raise RavenError(f"its process ended with {process.exitcode} before it returned anything") from None
    finally:
        near.close()
    process.join()
    run_id, results, error_text = answer
    if error_text is not None:
        shown = f"; `raven runs logs {run_id}` shows more" if run_id else ""
        raise RavenError(f"{error_text}{shown}")
    return run_id, results


def _find(function: Callable[..., Any]) -> Callable[..., Any] | _Reference:
    main = sys.modules["__main__"]
    names = [name for name, value in vars(main).items() if value is function]
    return _Reference(names[0]) if names else function


def _call(
    answer: Connection,
    function: Callable[..., Any] | _Reference,
    args: Sequence[Any],
    kwargs: Mapping[str, Any],
    returns: Sequence[str],
    run: tuple[str | None, str, str, str],
) -> None:
    """The work of the new process; it has imported the script that was started."""
    from ravenml.task.task import Task

    project, name, task_type, tag = run
    task = Task.init(project, name, task_type, tags=[tag])
    try:
        called = (
            getattr(sys.modules["__main__"], function.name) if isinstance(function, _Reference) else function
        )
        value = called(*args, **kwargs)
        values = value if len(returns) > 1 else (value,)
        results = dict(zip(returns, values, strict=True)) if returns else {}
        for key, one in results.items():
            task.upload_artifact(key, one)
        answer.send((task.id, results, None))
    except BaseException as error:
        task.mark_failed(status_reason=f"{type(error).__name__}: {error}")
        answer.send((task.id, {}, f"{type(error).__name__}: {error}"))
    task.close()
