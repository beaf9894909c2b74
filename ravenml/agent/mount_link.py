"""Without isolation: ``/sly_task_data`` as a link to the task folder, for one task at a time."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from ravenml.agent.task import TASK, AgentTask, tasks_dir
from ravenml.agent.task_folder import MOUNT
from ravenml.common.locks import is_held
from ravenml.errors import RavenError

WHERE = "mount"  # in the agent's folder of a task; links on to the task folder


def link_mount(task: AgentTask, mount: Path = Path(MOUNT)) -> None:
    """Make the link.  One whose task has ended is replaced.

    Raises:
        RavenError: another task uses it, somebody else made it, or this user may not make it.
    """
    where = task.folder / WHERE
    if not where.is_symlink():
        where.symlink_to(task.task_dir, target_is_directory=True)
    if mount.is_symlink():
        target = Path(os.readlink(mount))
        holder = target.parent
        if _in_use(holder):
            raise RavenError(
                f"{mount} is in use by {holder.name}, and without isolation one task runs at a time; "
                "wait for it, or install bubblewrap (apt install bubblewrap)."
            )
        leftover = (holder / TASK).exists() or holder.parent == tasks_dir() or not holder.exists()
        if target.name == WHERE and leftover:
            with suppress(OSError):
                mount.unlink()
    try:
        mount.symlink_to(where, target_is_directory=True)
    except FileExistsError:
        raise RavenError(
            f"{mount} exists and was not made by ravenML; remove it, or choose another --isolation."
        ) from None
    except OSError:
        raise RavenError(
            f"Without isolation the plugin needs {mount}, which this user may not make; "
            "install bubblewrap (apt install bubblewrap) or Docker."
        ) from None


def unlink_mount(task: AgentTask, mount: Path = Path(MOUNT)) -> None:
    """Remove the link if it is this task's."""
    with suppress(OSError):
        if os.readlink(mount) == str(task.folder / WHERE):
            mount.unlink()


def _in_use(holder: Path) -> bool:
    """Whether a task runs, or is just being started or stored, in the agent's folder ``holder``."""
    is_running = (holder / TASK).exists() and AgentTask.read(holder).alive()
    return is_running or is_held(holder / "agent")
