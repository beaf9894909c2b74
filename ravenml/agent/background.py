"""Agents in the background: for tasks that were started detached, and for those whose agent was killed."""

from __future__ import annotations

from ravenml.agent.agent import orphaned_tasks
from ravenml.agent.task import Task, tasks_dir
from ravenml.runs.launcher import launch


def follow_in_background(task: Task) -> None:
    """Have a process of its own attend to a task; what it says goes to ``<home>/agent/console.log``."""
    launch(["agent", "attach", task.run], tasks_dir(), {})


def take_over_in_background() -> list[Task]:
    """Start an agent for each task that lost its own; the tasks."""
    found = orphaned_tasks()
    for task in found:
        follow_in_background(task)
    return found
