"""Starting a task: its folder, its run, its surroundings, and the program in them."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ravenml.agent import isolation
from ravenml.agent.deployment import Deployment
from ravenml.agent.mount_link import link_mount
from ravenml.agent.plugin_folder import PluginFolder
from ravenml.agent.safe_copy import remove_tree
from ravenml.agent.shims import make_shims
from ravenml.agent.task import Task, tasks_dir
from ravenml.agent.task_folder import TASK_CONFIG, TaskFolder, make_task_folder, open_task_folder
from ravenml.common.io import read_json, write_json
from ravenml.config.home import runs_dir
from ravenml.data.project import Project
from ravenml.errors import InputError, RavenError
from ravenml.runs import layout
from ravenml.runs.provenance import provenance
from ravenml.runs.run import Run
from ravenml.runs.secrets import redact, redact_arguments

KEEP = "DELETE_TASK_DIR_ON_FINISH"


@dataclass(frozen=True)
class TaskRequest:
    """What ``raven agent run`` was asked for."""

    plugin: PluginFolder
    mode: str
    data: str | None = None
    model: str | None = None
    config: dict[str, Any] | None = None
    task_dir: Path | None = None
    isolation: str | None = None
    python: Path | None = None
    network: bool = False
    grace: float = 10.0
    arguments: tuple[str, ...] = ()
    deployment: Deployment | None = None
    force: bool = False


def start(request: TaskRequest, slot: int | None = None) -> tuple[Run, Task]:
    """Make the task folder and the run, and start the program.

    Args:
        request: what to start.
        slot: a file that the supervisor holds open (see ``take_slot``).

    Returns:
        The run, whose lock is held, and the task.

    Raises:
        InputError: something that was asked for cannot be; nothing is left behind.
    """
    script = request.plugin.script(request.mode)
    kind = isolation.choose_isolation(request.isolation, request.plugin.version)
    python = None if kind == "docker" else find_python(request.plugin.root, request.python)
    run_id = layout.new_id()
    folder = tasks_dir() / run_id
    root = request.task_dir.expanduser().absolute() if request.task_dir else folder / "task"
    fresh = not (root / TASK_CONFIG).exists()
    try:
        folder.mkdir(parents=True)
        if not fresh and (request.data or request.model or request.config is not None):
            raise InputError(
                f"{root} holds a task already; leave --data, --model and --config out to run it."
            )
        task_folder = (
            make_task_folder(
                root,
                request.mode,
                request.data,
                request.model,
                request.config or {},
                linked=kind == "none" or request.task_dir is not None,
                force=request.force,
            )
            if fresh
            else open_task_folder(root)
        )
        # A container's port is published through a network of its own; it has no other way in.
        network = request.network or (request.deployment is not None and kind == "docker")
        sandbox = make_sandbox(request.plugin, task_folder, folder, python, network, f"raven-{run_id}")
        program = [
            str(sandbox.python),
            "-u",
            str(script if kind == "none" else Path(isolation.WORKDIR) / script),
        ]
        command = isolation.sandbox_command(kind, sandbox, program)
        if request.deployment is not None:
            command = request.deployment.command(kind, command)
        task = Task(
            folder,
            run_id,
            request.plugin.root,
            request.mode,
            root,
            named=request.task_dir is not None,
            isolation=kind,
            command=command,
            grace=request.grace,
            keep=not _delete_on_finish(),
        )
        task.acquire()
        if kind == "none":
            link_mount(task)
    except BaseException:
        with suppress(RavenError):
            remove_tree(folder)
        raise
    try:
        run = _begin_run(request, task, task_folder)
    except BaseException:
        with suppress(RavenError):
            remove_tree(folder)
        raise
    task.write()  # from here on another agent may take it over
    try:
        environment, working_folder = isolation.host_environment(kind, sandbox, os.environ)
        files = [slot] if slot is not None else []
        deployment = request.deployment
        if deployment is not None:
            environment |= deployment.environment(kind, request.network)
            if deployment.handed(kind, request.network):
                files.append(deployment.opened.fileno())
            else:
                deployment.opened.close()  # the program opens it
        task.start(environment, working_folder, files)
        if deployment is not None:
            deployment.opened.close()
    except (RavenError, OSError) as error:
        told = error
        if isinstance(error, OSError):
            told = RavenError(f"The program of {run_id} could not be started: {error.strerror or error}.")
        run.finish("failed", error=str(told))
        task.write(done=True)
        raise told from error
    return run, task


def _begin_run(request: TaskRequest, task: Task, folder: TaskFolder) -> Run:
    path = runs_dir() / task.run
    config = redact(read_json(folder.root / TASK_CONFIG))
    run = Run.begin(
        path,
        task.run,
        {
            "plugin": request.plugin.name,
            "plugin_version": request.plugin.version,
            "mode": task.mode,
            "command": ["raven", *redact_arguments(request.arguments)],
            "config": config,
            "agent": {
                "task": str(task.folder),
                "task_dir": str(task.task_dir),
                "isolation": task.isolation,
                **({"port": request.deployment.access.port} if request.deployment is not None else {}),
            },
        },
    )
    try:
        write_json(path / layout.INFO / "ui_state.json", config)
        known: dict[str, Any] = {}
        for name, root in folder.projects.items():
            with suppress(InputError):
                known["dataset"] = {"name": name, "path": str(root), "images": len(Project.open(root).items)}
        places = {"core": Path(__file__).parent, "plugin": task.plugin, "working folder": Path.cwd()}
        run.update(**known, provenance=provenance(places, path / "provenance"))
    except BaseException as error:
        run.finish("failed", error=str(error) or type(error).__name__)
        raise
    return run


def make_sandbox(
    plugin: PluginFolder, task: TaskFolder, folder: Path, python: Path | None, network: bool, name: str
) -> isolation.Sandbox:
    """What a program of ``plugin`` finds around it; ``home`` and ``path`` are made in ``folder``.

    Args:
        python: the interpreter; None in docker, whose image has its own.
    """
    (folder / "home").mkdir(parents=True, exist_ok=True)
    return isolation.Sandbox(
        plugin=plugin.root,
        task=task,
        home=folder / "home",
        shims=make_shims(folder / "path"),
        python=python or Path("python"),
        visible=[*python_folders(python)] if python else [],
        image=plugin.version,
        name=name,
        network=network,
        gpus=isolation.gpu_devices(),
    )


def find_python(plugin: Path, named: Path | None) -> Path:
    """The interpreter that runs a plugin: the named one, the plugin's ``.venv``, or raven's own.

    Raises:
        InputError: the named one is not a program.
    """
    if named is not None:
        found = shutil.which(str(named))
        if found is None:
            raise InputError(f"--python {named} is not a program that can be run; name an interpreter.")
        return Path(found).absolute()
    own = plugin / ".venv" / "bin" / "python"
    return own if own.exists() else Path(sys.executable)


def python_folders(python: Path) -> Iterator[Path]:
    """The folders that an interpreter reads its modules from, and raven's own."""
    question = "import sys; print(*{sys.prefix, sys.base_prefix, *filter(None, sys.path)}, sep='\\n')"
    said = subprocess.run(
        [str(python), "-P", "-c", question], stdin=subprocess.DEVNULL, capture_output=True, text=True
    )
    yield Path(__file__).parents[2]
    for line in sorted(said.stdout.splitlines()):
        if Path(line).is_dir() and Path(line) not in (Path("/tmp"), Path("/run")):
            yield Path(line)


def _delete_on_finish() -> bool:
    return os.environ.get(KEEP, "true").strip().lower() not in ("false", "no", "0")
