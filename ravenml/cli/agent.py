"""``raven agent``: run plugins that follow Supervisely's contract."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ravenml.cli.options import report_problems
from ravenml.common.defaults import DEFAULT_PORT

if TYPE_CHECKING:
    from ravenml.agent.launch import TaskRequest
    from ravenml.agent.plugin_folder import PluginFolder
    from ravenml.common.io import JsonObject

Command = Callable[..., None]


@dataclass
class TaskOptions:
    """What `run`, `prepare` and `dev` have in common: which task, and in which sandbox."""

    plugin: Path
    mode: str
    data: tuple[str, ...]
    model: str | None
    force: bool
    config: Path | None
    preset: str | None
    task_dir: Path | None
    isolation: str | None = None
    python: Path | None = None
    network: bool = False
    port: int | None = None
    env: tuple[str, ...] = ()
    mount: tuple[str, ...] = ()
    lib: str | None = None
    rw_sources: bool = False

    def read_request(self) -> TaskRequest:
        """The task that is requested; a task folder that was prepared is taken as it is.

        Raises:
            InputError: the plugin has no such mode, or its settings or the port cannot be used.
        """
        from ravenml.agent.deployment import Deployment
        from ravenml.agent.launch import TaskRequest
        from ravenml.agent.mounts import Mount, find_library, read_variables
        from ravenml.agent.plugin_folder import SERVING, PluginFolder

        plugin = PluginFolder.open(self.plugin)
        plugin.script(self.mode)  # before a port is taken
        if self.port is not None and self.mode not in SERVING:
            raise click.UsageError("--port is for --mode deploy; leave it out.")
        config = self.read_config(plugin)
        return TaskRequest(
            plugin=plugin,
            mode=self.mode,
            data=self.data,
            model=self.model,
            force=self.force,
            config=None if self.is_prepared() else config,
            task_dir=self.task_dir,
            isolation=self.isolation,
            python=self.python,
            network=self.network,
            variables=read_variables(self.env),
            mounts=[Mount.parse(one) for one in self.mount],
            library=self._announce_library(plugin.root, find_library(plugin.root, self.lib)),
            writable_sources=self.rw_sources,
            deployment=Deployment.open(self.port) if self.mode in SERVING else None,
        )

    def read_config(self, plugin: PluginFolder) -> JsonObject:
        """What ``task_config.json`` will hold, or holds where the task folder is prepared.

        Raises:
            InputError: it cannot be read, or the plugin's schemas do not allow it.
        """
        from ravenml.agent.config_schema import check_config
        from ravenml.agent.task_folder import TASK_CONFIG, read_task_config
        from ravenml.common.io import read_json
        from ravenml.errors import InputError

        if self.task_dir is not None and self.is_prepared():
            source = str(self.task_dir.expanduser() / TASK_CONFIG)
            config = read_json(Path(source))
        else:
            source = str(self.config or f"The predefined config {self.preset or 'that comes first'}")
            config = read_task_config(plugin, self.mode, self.config, self.preset, self.data)
        if not isinstance(config, dict):
            raise InputError(f"{source} must hold an object: the settings of the task.")
        check_config(plugin, self.mode, config, source)
        return config

    def is_prepared(self) -> bool:
        """Whether the task folder that was named holds a task already."""
        from ravenml.agent.task_folder import TASK_CONFIG

        return self.task_dir is not None and (self.task_dir.expanduser() / TASK_CONFIG).exists()

    def _announce_library(self, plugin: Path, library: Path | None) -> Path | None:
        """Say which ``supervisely_lib`` is imported where it may be another one than is expected."""
        from ravenml.agent.mounts import find_unused_library

        if library is not None:
            click.echo(f"Library:   {library}")
        elif self.lib is None and (other := find_unused_library(plugin)) is not None:
            click.echo(f"Library:   ravenML's; use {other} with --lib {other}")
        return library


TASK = (
    click.argument("plugin", metavar="PLUGIN_DIR", type=click.Path(path_type=Path)),
    click.option(
        "--mode",
        type=click.Choice(["train", "inference", "deploy", "main", "deploy_smart"]),
        required=True,
        help="What to start: src/train.py and so on; main runs imports and other plugins.",
    ),
    click.option(
        "--data",
        metavar="PROJECT",
        multiple=True,
        help="A Supervisely project: a folder or a dataset name.  With --mode main: what to import, or "
        "several projects.",
    ),
    click.option(
        "--model", metavar="MODEL", help="Model to start from: a model-state.tar, a run or a stored model."
    ),
    click.option("--force", is_flag=True, help="Allow a model that was exported for transfer learning only."),
    click.option(
        "--config",
        type=click.Path(path_type=Path, exists=True, dir_okay=False),
        help="JSON or YAML file with the content of task_config.json.",
    ),
    click.option("--preset", metavar="TITLE", help="Use this predefined run config of the plugin."),
)
SANDBOX = (
    click.option(
        "--isolation",
        type=click.Choice(["docker", "bwrap", "none"]),
        help="Sandbox.  Default: the strongest available.",
    ),
    click.option(
        "--python",
        type=click.Path(path_type=Path),
        help="Python interpreter outside Docker.  Default: the plugin's .venv, else raven's own.",
    ),
    click.option("--network", is_flag=True, help="Allow network access."),
    click.option(
        "--env",
        metavar="NAME[=VALUE]",
        multiple=True,
        help="Set an environment variable, or pass one on.  Repeatable.",
    ),
    click.option(
        "--mount",
        metavar="HOST:INSIDE[:rw]",
        multiple=True,
        help="Show a file or folder of this machine, read-only without :rw.  Repeatable.",
    ),
    click.option(
        "--lib",
        metavar="DIR",
        help="Use this supervisely_lib.  Default: one beside the plugin's folder, else ravenML's "
        "(--lib ravenml).",
    ),
    click.option(
        "--port",
        type=click.IntRange(0, 65535),
        help=f"With --mode deploy: port on 127.0.0.1.  Default: {DEFAULT_PORT}, or the next free one.",
    ),
)


def task_options(task_dir: str, required: bool = False, sandbox: bool = True) -> Callable[[Command], Command]:
    """Add the options of :class:`TaskOptions`; the command gets them as its first argument.

    Args:
        task_dir: the help of ``--task-dir``.
        required: whether ``--task-dir`` must be given.
        sandbox: whether the program is started.
    """
    folder = click.option(
        "--task-dir", type=click.Path(path_type=Path, file_okay=False), required=required, help=task_dir
    )

    def decorate(function: Command) -> Command:
        @wraps(function)
        def command(**values: Any) -> None:
            shared = {one.name: values.pop(one.name) for one in fields(TaskOptions) if one.name in values}
            function(TaskOptions(**shared), **values)

        for option in reversed((*TASK, folder, *(SANDBOX if sandbox else ()))):
            command = option(command)
        return command

    return decorate


@click.group()
def agent() -> None:
    """Run plugins written for Supervisely's contract."""


@agent.command()
@task_options("Create the task folder here, or use a prepared one; it is never removed.")
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
@click.option("--rw-sources", is_flag=True, help="Let the program change the plugin's folder.")
@click.option("--detach", is_flag=True, help="Run in the background; follow it with `raven runs show`.")
def run(options: TaskOptions, max_tasks: int | None, grace: float, detach: bool) -> None:
    """Run a plugin's program as a task, and store its results.

    Without --config and --preset, the plugin's first predefined config for the mode is used.  Tasks whose
    agent was killed are taken over in the background.
    """
    import os

    from ravenml.agent.agent import follow_in_background, follow_task, take_over_in_background
    from ravenml.agent.launch import start, take_slot
    from ravenml.cli import ARGV
    from ravenml.errors import InputError

    for other in take_over_in_background():
        click.echo(f"Took over {other.run}, whose agent is gone.", err=True)
    request = options.read_request()
    if request.config is None and (options.data or options.model or options.config or options.preset):
        raise InputError(
            f"{options.task_dir} already holds a task; leave --data, --model and --config out to run it."
        )
    slot = None
    if max_tasks is not None:
        slot = take_slot(
            max_tasks, lambda: click.echo(f"Waiting: {max_tasks} tasks run here already.", err=True)
        )
    arguments = click.get_current_context().find_root().meta.get(ARGV, ())
    begun, task = start(request, slot, grace, arguments, click.echo)
    if slot is not None:
        os.close(slot)  # the supervisor holds it now
    click.echo(f"Run:       {begun.path}")
    click.echo(f"Isolation: {task.isolation}")
    if request.deployment is not None:
        import sys

        for line in request.deployment.access.announce("Open:     ", sys.stdout.isatty()):
            click.echo(line)
    if detach:
        begun.detach()
        task.release()
        follow_in_background(task)
        return
    try:
        _report(begun.path, follow_task(begun, task, click.echo))
    finally:
        if request.deployment is not None:
            request.deployment.access.forget_token()


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
        raise RavenError(f"{len(failed)} of {len(found)} tasks failed.")


@agent.command()
@task_options("Create the task folder here.", required=True, sandbox=False)
def prepare(options: TaskOptions) -> None:
    """Create a task folder to develop a plugin against, and run nothing."""
    from ravenml.agent.plugin_folder import PluginFolder
    from ravenml.agent.task_folder import make_task_folder

    assert options.task_dir is not None
    plugin = PluginFolder.open(options.plugin)
    plugin.script(options.mode)
    config = options.read_config(plugin)
    root = options.task_dir.expanduser().absolute()
    made = make_task_folder(
        root, plugin, options.mode, options.data, options.model, config, True, options.force
    )
    click.echo(f"Task: {made.root}")


@agent.command()
@task_options("Task folder, new or prepared.")
@click.option(
    "--debugpy",
    type=click.IntRange(1, 65535),
    metavar="PORT",
    help="Run the program and wait for a debugger on this port.",
)
@click.option(
    "--rw-sources/--ro-sources",
    default=True,
    show_default=True,
    help="Whether the plugin's folder can be changed from inside.",
)
def dev(options: TaskOptions, debugpy: int | None) -> None:
    """Open a shell in a task's environment: the plugin's live sources, its data under /sly_task_data.

    Nothing is recorded, and --task-dir is kept.
    """
    from ravenml.agent.devshell import develop

    raise SystemExit(develop(options.read_request(), debugpy))


@agent.command()
@click.argument("plugin", metavar="PLUGIN_DIR", type=click.Path(path_type=Path))
@click.option(
    "--python",
    type=click.Path(path_type=Path),
    help="Python interpreter that will run it.  Default: the plugin's .venv, else raven's own.",
)
def check(plugin: Path, python: Path | None) -> None:
    """List what a plugin lacks to run here; nothing of it is run.

    Its files, predefined configs and sources are looked at, the packages that it imports, and the names of
    supervisely_lib that it uses.
    """
    from ravenml.agent.check import check_plugin

    faults, notes = check_plugin(plugin, python)
    for note in notes:
        click.echo(f"Note: {note}")
    report_problems(faults, plugin)


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
    for meta in sorted((run / layout.ARTIFACTS).glob("*/meta.json")):
        click.echo(f"Project:   {meta.parent}")
    click.echo(f"Run:       {run}")
    if stored:
        click.echo(f"Stored:    {stored}")
