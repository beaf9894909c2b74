"""``raven agent``: run plugins that follow Supervisely's contract."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from ravenml.agent.deployment import Deployment


MODE = click.option(
    "--mode",
    type=click.Choice(["train", "inference", "deploy"]),
    required=True,
    help="What to start: src/train.py, src/inference.py or src/deploy.py.",
)
DATA = click.option("--data", metavar="PROJECT", help="A Supervisely project: a folder or a dataset name.")
MODEL = click.option(
    "--model", metavar="MODEL", help="Model to start from: a model-state.tar, a run or a stored model."
)
CONFIG = click.option(
    "--config",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="JSON or YAML file with the content of task_config.json.",
)
PRESET = click.option("--preset", metavar="TITLE", help="Use this predefined run config of the plugin.")
ISOLATION = click.option(
    "--isolation",
    type=click.Choice(["docker", "bwrap", "none"]),
    help="Sandbox.  Default: the strongest available.",
)
PYTHON = click.option(
    "--python",
    type=click.Path(path_type=Path),
    help="Python interpreter outside Docker.  Default: the plugin's .venv, else raven's own.",
)
NETWORK = click.option("--network", is_flag=True, help="Allow network access.")
PORT = click.option(
    "--port",
    type=click.IntRange(0, 65535),
    help="With --mode deploy: port on 127.0.0.1.  Default: 8000, or the next free one.",
)
FORCE = click.option(
    "--force", is_flag=True, help="Allow a model that was exported for transfer learning only."
)
PLUGIN = click.argument("plugin", metavar="PLUGIN_DIR", type=click.Path(path_type=Path))


def shared(*options: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Add options to a command, in this order."""

    def add(function: Any) -> Any:
        for option in reversed(options):
            function = option(function)
        return function

    return add


@click.group()
def agent() -> None:
    """Run plugins written for Supervisely's contract."""


@agent.command()
@shared(PLUGIN, MODE, DATA, MODEL, FORCE, CONFIG, PRESET)
@click.option(
    "--task-dir",
    type=click.Path(path_type=Path, file_okay=False),
    help="Create the task folder here, or use a prepared one; it is never removed.",
)
@shared(ISOLATION, PYTHON, NETWORK, PORT)
@click.option(
    "--max-tasks", type=click.IntRange(1), help="Wait until fewer than N tasks run on this machine."
)
@click.option(
    "--grace",
    type=click.FloatRange(0),
    default=10.0,
    show_default=True,
    help="Seconds between SIGTERM and SIGKILL.",
)
@click.option("--detach", is_flag=True, help="Run in the background; follow it with `raven runs show`.")
@click.pass_context
def run(
    context: click.Context,
    plugin: Path,
    mode: str,
    data: str | None,
    model: str | None,
    force: bool,
    config: Path | None,
    preset: str | None,
    task_dir: Path | None,
    isolation: str | None,
    python: Path | None,
    network: bool,
    port: int | None,
    max_tasks: int | None,
    grace: float,
    detach: bool,
) -> None:
    """Run a plugin's program as a task, and store its results.

    Without --config and --preset, the plugin's first predefined config for the mode is used.  Tasks whose
    agent was killed are taken over in the background.
    """
    import os

    from ravenml.agent.agent import follow_task
    from ravenml.agent.background import follow_in_background, take_over_in_background
    from ravenml.agent.concurrency import take_slot
    from ravenml.agent.launch import TaskRequest, start
    from ravenml.agent.plugin_folder import PluginFolder
    from ravenml.agent.task_folder import TASK_CONFIG, read_task_config
    from ravenml.cli import ARGV

    for other in take_over_in_background():
        click.echo(f"Took over {other.run}, whose agent is gone.", err=True)
    folder = PluginFolder.open(plugin)
    prepared = task_dir is not None and (task_dir / TASK_CONFIG).exists() and not (config or preset)
    folder.script(mode)  # before a port is taken
    deployment = _deployment(mode, port)
    request = TaskRequest(
        folder,
        mode,
        data,
        model,
        None if prepared else read_task_config(folder, mode, config, preset),
        task_dir,
        isolation,
        python,
        network,
        grace,
        tuple(context.find_root().meta.get(ARGV, ())),
        deployment,
        force,
    )
    slot = None
    if max_tasks is not None:
        slot = take_slot(
            max_tasks, lambda: click.echo(f"Waiting: {max_tasks} tasks run here already.", err=True)
        )
    begun, task = start(request, slot)
    if slot is not None:
        os.close(slot)  # the supervisor holds it now
    click.echo(f"Run:       {begun.path}")
    click.echo(f"Isolation: {task.isolation}")
    if deployment is not None:
        click.echo(f"Open:      {deployment.access.address}")
    if detach:
        begun.detach()
        task.release()
        follow_in_background(task)
        return
    _report(begun.path, follow_task(begun, task, click.echo))


@agent.command()
@click.argument("task", metavar="[ID]", required=False)
def attach(task: str | None) -> None:
    """Take over the task ID, or all tasks whose agent was killed, and wait until they end."""
    from ravenml.agent.agent import orphaned_tasks, take_over
    from ravenml.config.home import runs_dir
    from ravenml.errors import InputError, RavenError

    found = [one for one in orphaned_tasks() if task is None or one.run.startswith(task)]
    if not found and task is not None:
        raise InputError(
            f"No task that begins with {task!r} has lost its agent; `raven runs list` shows the runs."
        )
    failed: list[RavenError] = []
    for one in found:
        click.echo(f"Took over {one.run}.")
        try:
            _report(runs_dir() / one.run, take_over(one, click.echo))
        except RavenError as error:
            if len(found) == 1:
                raise
            click.echo(f"Error: {error}", err=True)
            failed.append(error)
    if failed:
        raise RavenError(f"{len(failed)} of {len(found)} tasks did not end well.")


@agent.command()
@shared(PLUGIN, MODE, DATA, MODEL, FORCE, CONFIG, PRESET)
@click.option(
    "--task-dir",
    type=click.Path(path_type=Path, file_okay=False),
    required=True,
    help="Create the task folder here.",
)
def prepare(
    plugin: Path,
    mode: str,
    data: str | None,
    model: str | None,
    force: bool,
    config: Path | None,
    preset: str | None,
    task_dir: Path,
) -> None:
    """Create a task folder to develop a plugin against, and run nothing."""
    from ravenml.agent.plugin_folder import PluginFolder
    from ravenml.agent.task_folder import make_task_folder, read_task_config

    folder = PluginFolder.open(plugin)
    folder.script(mode)
    made = make_task_folder(
        task_dir.expanduser().absolute(),
        mode,
        data,
        model,
        read_task_config(folder, mode, config, preset),
        True,
        force,
    )
    click.echo(f"Task: {made.root}")


@agent.command()
@shared(PLUGIN, MODE, DATA, MODEL, FORCE, CONFIG, PRESET)
@click.option(
    "--task-dir", type=click.Path(path_type=Path, file_okay=False), help="Task folder, new or prepared."
)
@shared(ISOLATION, PYTHON, NETWORK, PORT)
@click.option(
    "--debugpy",
    type=click.IntRange(1, 65535),
    metavar="PORT",
    help="Run the program and wait for a debugger on this port.",
)
def dev(
    plugin: Path,
    mode: str,
    data: str | None,
    model: str | None,
    force: bool,
    config: Path | None,
    preset: str | None,
    task_dir: Path | None,
    isolation: str | None,
    python: Path | None,
    network: bool,
    port: int | None,
    debugpy: int | None,
) -> None:
    """Open a shell in a task's environment: the plugin's live sources, its data under /sly_task_data.

    Nothing is recorded, and --task-dir is kept.
    """
    from ravenml.agent.devshell import develop
    from ravenml.agent.launch import TaskRequest
    from ravenml.agent.plugin_folder import PluginFolder
    from ravenml.agent.task_folder import TASK_CONFIG, read_task_config

    folder = PluginFolder.open(plugin)
    folder.script(mode)  # before a port is taken
    prepared = task_dir is not None and (task_dir / TASK_CONFIG).exists()
    request = TaskRequest(
        folder,
        mode,
        data,
        model,
        None if prepared else read_task_config(folder, mode, config, preset),
        task_dir,
        isolation,
        python,
        network,
        deployment=_deployment(mode, port),
        force=force,
    )
    raise SystemExit(develop(request, debugpy))


def _deployment(mode: str, port: int | None) -> Deployment | None:
    """The port of a model that is deployed; other modes have none."""
    from ravenml.agent.deployment import Deployment

    if mode == "deploy":
        return Deployment.open(port)
    if port is not None:
        raise click.UsageError("--port is for --mode deploy; leave it out.")
    return None


def _report(run: Path, stored: str | None) -> None:
    from ravenml.runs import layout
    from ravenml.runs.record import read_record
    from ravenml.runs.tables import score_table

    result = read_record(run).get("result") or {}
    for line in score_table(result.get("metrics") or {}):
        click.echo(line)
    for name in (result.get("models") or {}).values():
        click.echo(f"Model:     {run / name}")
    if (run / layout.ARTIFACTS).is_dir():
        click.echo(f"Results:   {run / layout.ARTIFACTS}")
    click.echo(f"Run:       {run}")
    if stored:
        click.echo(f"Stored:    {stored}")
