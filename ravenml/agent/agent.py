"""The agent: reads a task to its end, keeps and stores what came of it, and takes over what another left.

The program runs under a supervisor (``supervisor.py``) and outlives the agent; ``follow_task`` works the same
for a task that this process started and for one that it took over.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from pathlib import Path

from ravenml.agent.crash import find_crash
from ravenml.agent.mount_link import unlink_mount
from ravenml.agent.output_reader import OutputReader
from ravenml.agent.plugin_folder import SERVING
from ravenml.agent.result import keep_result
from ravenml.agent.safe_copy import remove_tree
from ravenml.agent.task import TASK, AgentTask, tasks_dir
from ravenml.common.io import to_user_error
from ravenml.config.home import runs_dir
from ravenml.errors import Interrupted, RavenError
from ravenml.runs import layout
from ravenml.runs.display import Display
from ravenml.runs.launcher import launch
from ravenml.runs.progress import RunProgress
from ravenml.runs.run import Run
from ravenml.runs.upload import store_run

POLL = 0.05  # seconds


def follow_task(run: Run, task: AgentTask, echo: Callable[[str], None] | None = None) -> str | None:
    """Read the task to its end, show its progress, keep and store the result, remove what is not needed.

    Args:
        run: the run, whose lock is held.
        task: its task.
        echo: is given what the agent has to say; without it nothing is shown.

    Returns:
        Where the result was stored.

    Raises:
        Interrupted: the task was asked to stop, and did; a model that is served has then done its work.
        RavenError: the program failed; its task folder is kept.
    """
    with ExitStack() as stack:
        stack.enter_context(run.stop.listening())
        if echo is not None:
            display = stack.enter_context(Display(sys.stdout, (), run.stop))
            display.watch(RunProgress("", run.path, from_start=True))
        code, stopped = _read_to_end(run, task)
        unlink_mount(task)
        run.stop.finishing = True
        try:
            if stopped and task.mode not in SERVING:
                raise _describe_stop(run, task)
            if code != 0 and not stopped:
                raise _describe_failure(run, task, code)
            if stopped:  # there is nothing to store of what was only asked
                reason = f"stopped by {run.stop.reason or 'Ctrl-C'}"
                run.finish("completed", metrics=run.last_metrics(), reason=reason)
            else:
                run.finish("completed", **keep_result(run, task).as_result())
        except (RavenError, OSError) as error:
            cause = (
                to_user_error(error, Path(error.filename or run.path))
                if isinstance(error, OSError)
                else error
            )
            if not run.finished:
                run.finish("failed", error=str(cause), metrics=run.last_metrics())
            task.leave()
            raise cause from error
    return store_and_clear(task, echo)


def store_and_clear(task: AgentTask, echo: Callable[[str], None] | None = None) -> str | None:
    """Store the result of a completed run, then remove its task unless it is to be kept.

    Raises:
        RavenError: it cannot be stored, or not be removed; nothing is lost.
    """
    folder = runs_dir() / task.run
    try:
        stored = store_run(folder).where if (folder / layout.METADATA).exists() else None
    except RavenError as error:
        raise RavenError(
            f"The task is done and kept in {folder}, but could not be stored: {error}\n"
            f"Store it later with: raven runs upload {task.run}"
        ) from error
    task.leave()
    if not task.keep:
        remove_tree(task.folder)
    elif echo is not None:
        echo(f"Task:      {task.folder}")
    return stored


def _read_to_end(run: Run, task: AgentTask) -> tuple[int | None, bool]:
    """The program's exit code, None where it is gone without one, and whether it was asked to stop."""
    reader = OutputReader(run, task)
    stopping: float | None = None
    while True:
        code, alive = task.exit_code(), task.alive()  # before reading, so that the last words are read
        try:
            moved = reader.take()
            if run.should_stop() and alive:
                if stopping is None:
                    stopping = time.monotonic()
                    task.ask_to_stop()
                elif time.monotonic() - stopping > task.grace:
                    task.kill()
        except KeyboardInterrupt:  # a second Ctrl-C
            stopping = stopping or time.monotonic()
            task.kill()
            moved = True
        if not moved:
            if code is not None or not alive:
                break
            time.sleep(POLL)
    reader.finish()
    return task.exit_code(), stopping is not None


def _describe_failure(run: Run, task: AgentTask, code: int | None) -> RavenError:
    how = (
        "is gone without an exit code (was the machine restarted?)"
        if code is None
        else f"was ended by signal {-code}"
        if code < 0
        else f"ended with exit code {code}"
    )
    program = f"src/{task.mode}.py of {run.record['plugin']}"
    crash = find_crash(run.path, code)
    why = f"failed: {crash.exception.rstrip('.')}" if crash is not None else how
    error = f"{program} {why}; its task is kept in {task.task_dir}."
    stack = crash.stack if crash is not None else []
    run.finish("failed", error=error, metrics=run.last_metrics(), **({"stack": stack} if stack else {}))
    log = run.path / layout.CONSOLE
    if stack:
        indented = "\n".join(f"  {line}" for line in stack)
        return RavenError(f"{error}\n{indented}\nIts whole log: {log}")
    last = _last_lines(log)
    return RavenError(f"{error}\nIts log, {log}, ends with:\n{last}" if last else error)


def _describe_stop(run: Run, task: AgentTask) -> Interrupted:
    reason = run.stop.reason or "Ctrl-C"
    run.finish("interrupted", reason=reason, metrics=run.last_metrics())
    stopped = Interrupted(f"Stopped by {reason}; the run is kept in {run.path}, its task in {task.task_dir}.")
    stopped.exit_code = 143 if reason == "SIGTERM" else 130
    return stopped


def _last_lines(log: Path, count: int = 12) -> str:
    with suppress(OSError), log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - (8 << 10)))
        return "\n".join(
            f"  {line[:300]}" for line in file.read().decode(errors="replace").splitlines()[-count:]
        )
    return ""


# Tasks whose agent died.


def orphaned_tasks() -> list[AgentTask]:
    """The tasks that nobody attends to and that are not done, oldest first."""
    found: list[AgentTask] = []
    for folder in sorted(tasks_dir().iterdir()) if tasks_dir().is_dir() else ():
        if (folder / TASK).exists():
            with suppress(RavenError):
                task = AgentTask.read(folder)
                if not task.done and not task.is_attended():
                    found.append(task)
    return found


def take_over(task: AgentTask, echo: Callable[[str], None] | None = None) -> str | None:
    """Go on with a task whose agent died, whatever the agent was doing.

    Raises:
        RavenError: as ``follow_task``; or another agent was faster.
    """
    if not task.acquire():
        raise RavenError(f"Another agent is already following {task.run}.")
    if not task.was_started():
        raise _give_up(task)
    run = Run.reattach(runs_dir() / task.run)
    result = run.record.get("result") or {}
    if result:
        run.detach()
        if result.get("status") == "completed":
            return store_and_clear(task, echo)
        task.leave()
        return None
    return follow_task(run, task, echo)


def _give_up(task: AgentTask) -> RavenError:
    """End a task whose program was never started; nothing of it stays but the run, if there is one."""
    unlink_mount(task)
    reason = "its agent was killed before the program was started"
    if (runs_dir() / task.run / layout.RUN_JSON).exists():
        run = Run.reattach(runs_dir() / task.run)
        if run.record.get("result"):
            run.detach()
        else:
            run.finish("interrupted", reason=reason)
    task.write(done=True)
    remove_tree(task.folder)
    return RavenError(f"{task.run} never ran: {reason}. Start it again.")


def follow_in_background(task: AgentTask) -> None:
    """Have a process of its own attend to a task; what it says goes to ``<home>/agent/console.log``."""
    launch(["agent", "attach", task.run], tasks_dir(), {})


def take_over_in_background() -> list[AgentTask]:
    """Start an agent for each task that lost its own; the tasks."""
    found = orphaned_tasks()
    for task in found:
        follow_in_background(task)
    return found
