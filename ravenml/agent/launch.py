"""Starting a task: its folder, its run, its sandbox, and the program in it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import ravenml
from ravenml.agent import isolation
from ravenml.agent.deployment import Deployment
from ravenml.agent.mount_link import link_mount
from ravenml.agent.mounts import LIBRARY, Mount
from ravenml.agent.plugin_folder import WORKDIR, PluginFolder
from ravenml.agent.safe_copy import remove_tree
from ravenml.agent.task import AgentTask, tasks_dir
from ravenml.agent.task_folder import (
    TASK_CONFIG,
    TaskFolder,
    make_task_folder,
    open_task_folder,
    set_results_aside,
)
from ravenml.common.io import JsonObject, read_json, write_json
from ravenml.common.locks import LockHeld, open_locked
from ravenml.common.permissions import make_folder
from ravenml.common.secrets import redact, redact_arguments
from ravenml.config.home import runs_dir
from ravenml.data.project import Project
from ravenml.errors import InputError, RavenError
from ravenml.runs import layout
from ravenml.runs.provenance import provenance
from ravenml.runs.run import Run

KEEP = "DELETE_TASK_DIR_ON_FINISH"


@dataclass(frozen=True)
class TaskRequest:
    """What is to run, and how.

    Attributes:
        plugin: the plugin.
        mode: one of the plugin's.
        data: projects' folders or names; for ``main`` also a folder to import.
        model: the model to start from.
        force: whether a model that was stored for transfer learning only may predict.
        config: what ``task_config.json`` will hold; None takes ``task_dir`` as it was prepared.
        task_dir: the task folder, which is then never removed; without it, one of the agent's own.
        isolation: the sandbox; without it, the strongest available.
        python: the interpreter outside of docker.
        network: whether the program may use the network.
        deployment: the port of a model that is deployed.
        variables: further variables of the program's environment.
        mounts: what else of this machine it sees.
        library: a ``supervisely_lib`` of the user's, which the program imports instead of ravenML's.
        writable_sources: whether the program may change the plugin's folder, and that library.
    """

    plugin: PluginFolder
    mode: str
    data: Sequence[str] = ()
    model: str | None = None
    force: bool = False
    config: JsonObject | None = field(default_factory=dict)
    task_dir: Path | None = None
    isolation: str | None = None
    python: Path | None = None
    network: bool = False
    deployment: Deployment | None = None
    variables: Mapping[str, str] = field(default_factory=dict)
    mounts: Sequence[Mount] = ()
    library: Path | None = None
    writable_sources: bool = False


class Launch:
    """A task's program in its sandbox, about to be started.

    Args:
        request: what to start.
        folder: the agent's folder of the task; the program's home and the task folder are made there.
        name: what a container is called.
        network: whether the network is needed, whatever was requested.

    Raises:
        InputError: something that was requested cannot be.
    """

    def __init__(self, request: TaskRequest, folder: Path, name: str, network: bool = False) -> None:
        plugin, self._deployment = request.plugin, request.deployment
        self.script = plugin.script(request.mode)
        self.kind = isolation.choose_isolation(request.isolation, plugin.version)
        if self.kind == "none" and request.mounts:
            raise InputError(
                "--mount needs a sandbox; install bubblewrap (apt install bubblewrap) or Docker."
            )
        self.python = None if self.kind == "docker" else find_python(plugin.root, request.python)
        root = request.task_dir.expanduser().absolute() if request.task_dir else folder / "task"
        self.task_folder = (
            open_task_folder(root)
            if request.config is None
            else make_task_folder(
                root,
                plugin,
                request.mode,
                request.data,
                request.model,
                request.config,
                linked=self.kind == "none" or request.task_dir is not None,
                force=request.force,
            )
        )
        # A container's port is published through a network of its own; it has no other way in.
        published = self._deployment is not None and self.kind == "docker"
        make_folder(folder / "home")
        self.sandbox = isolation.Sandbox(
            plugin=plugin.root,
            task=self.task_folder,
            home=folder / "home",
            shims=_make_shims(folder / "path", request.library),
            python=self.python or Path("python"),
            visible=[*_python_folders(self.python)] if self.python else [],
            variables=request.variables,
            mounts=[*request.mounts, *self._library_mount(request)],
            import_folders=plugin.import_folders(),
            own_library=request.library is not None,
            writable_sources=request.writable_sources,
            image=plugin.version,
            name=name,
            network=request.network or network or published,
            gpus=isolation.gpu_devices(),
        )

    def _library_mount(self, request: TaskRequest) -> list[Mount]:
        """In bubblewrap a library is seen under its own name, which the link to it leads to."""
        if request.library is None or self.kind != "bwrap":
            return []
        return [Mount(request.library, str(request.library), request.writable_sources)]

    @property
    def script_inside(self) -> str:
        """The program's path as it is seen in the sandbox."""
        return str(self.script if self.kind == "none" else Path(WORKDIR) / self.script)

    def publish(self, command: list[str]) -> list[str]:
        """The command line with the port of a deployed model."""
        return command if self._deployment is None else self._deployment.command(self.kind, command)

    def environment(self) -> tuple[dict[str, str], Path, list[int]]:
        """The environment and the working folder of the command line, and the files that it inherits."""
        environment, working_folder = isolation.host_environment(self.kind, self.sandbox, os.environ)
        files = []
        if self._deployment is not None:
            environment |= self._deployment.environment(self.kind, self.sandbox.network)
            if self._deployment.passes_socket(self.kind, self.sandbox.network):
                files.append(self._deployment.opened.fileno())
            else:
                self._deployment.opened.close()  # the program opens it
        return environment, working_folder, files


def start(
    request: TaskRequest,
    slot: int | None = None,
    grace: float = 10.0,
    arguments: Sequence[str] = (),
    say: Callable[[str], None] = lambda _: None,
) -> tuple[Run, AgentTask]:
    """Make the task folder and the run, and start the program.

    Args:
        request: what to start.
        slot: a file that the supervisor holds open (see :func:`take_slot`).
        grace: seconds between SIGTERM and SIGKILL.
        arguments: the command line behind ``raven``, to be recorded.
        say: is given what people should know of the task folder.

    Returns:
        The run, whose lock is held, and the task.

    Raises:
        InputError: something that was requested cannot be; nothing is left behind.
    """
    run_id = layout.new_id()
    folder = tasks_dir() / run_id
    task = AgentTask(folder, run_id, request.plugin.root, request.mode, folder / "task", grace=grace)
    try:
        make_folder(folder)
        task.acquire()
        task.write()  # from here on another agent may take it over
        launch = Launch(request, folder, f"raven-{run_id}")
        aside = set_results_aside(launch.task_folder)
        if aside is not None:
            say(f"Earlier results: {aside}")
        program = [str(launch.sandbox.python), "-u", launch.script_inside]
        task.task_dir, task.named = launch.task_folder.root, request.task_dir is not None
        task.isolation = launch.kind
        task.command = launch.publish(isolation.sandbox_command(launch.kind, launch.sandbox, program))
        task.data = launch.task_folder.mounted()
        task.keep = os.environ.get(KEEP, "true").strip().lower() in ("false", "no", "0")
        task.write()
        if launch.kind == "none":
            link_mount(task)
        run = _begin_run(request, task, launch.task_folder, arguments)
    except BaseException:
        with suppress(RavenError):
            remove_tree(folder)
        raise
    try:
        environment, working_folder, files = launch.environment()
        task.start(environment, working_folder, [*files, *([slot] if slot is not None else [])])
        if request.deployment is not None:
            request.deployment.opened.close()
    except (RavenError, OSError) as error:
        failure = error
        if isinstance(error, OSError):
            failure = RavenError(f"The program of {run_id} could not be started: {error.strerror or error}.")
        run.finish("failed", error=str(failure))
        task.write(done=True)
        raise failure from error
    return run, task


def _begin_run(request: TaskRequest, task: AgentTask, folder: TaskFolder, arguments: Sequence[str]) -> Run:
    path = runs_dir() / task.run
    config = redact(read_json(folder.root / TASK_CONFIG))
    run = Run.begin(
        path,
        task.run,
        {
            "plugin": request.plugin.name,
            "plugin_version": request.plugin.version,
            "mode": task.mode,
            "command": ["raven", *redact_arguments(arguments)],
            "config": config,
            "agent": {
                "task": str(task.folder),
                "task_dir": str(task.task_dir),
                "isolation": task.isolation,
                **({"library": str(request.library)} if request.library is not None else {}),
                **({"port": request.deployment.access.port} if request.deployment is not None else {}),
            },
        },
    )
    try:
        write_json(path / layout.INFO / "ui_state.json", config)
        fields: JsonObject = {}
        for name, root in folder.projects.items():
            with suppress(InputError):
                fields["dataset"] = {"name": name, "path": str(root), "images": len(Project.open(root).items)}
        places = {"core": Path(__file__).parent, "plugin": task.plugin, "working folder": Path.cwd()}
        run.update(**fields, provenance=provenance(places, path / "provenance"))
    except BaseException as error:
        run.finish("failed", error=str(error) or type(error).__name__)
        raise
    return run


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


def _python_folders(python: Path) -> Iterator[Path]:
    """The folders that an interpreter reads its modules from, and raven's own."""
    question = "import sys; print(*{sys.prefix, sys.base_prefix, *filter(None, sys.path)}, sep='\\n')"
    answer = subprocess.run(
        [str(python), "-P", "-c", question], stdin=subprocess.DEVNULL, capture_output=True, text=True
    )
    yield Path(__file__).parents[2]
    for line in sorted(answer.stdout.splitlines()):
        if Path(line).is_dir() and Path(line) not in (Path("/tmp"), Path("/run")):
            yield Path(line)


def _make_shims(folder: Path, library: Path | None) -> Path:
    """Make ``folder``, which is added to Python's path: a link per package, so that no more comes along."""
    make_folder(folder)
    package = Path(ravenml.__file__).resolve().parent
    (folder / "ravenml").symlink_to(package, target_is_directory=True)
    (folder / LIBRARY).symlink_to(library or package / "sly" / "alias" / LIBRARY, target_is_directory=True)
    return folder


def take_slot(limit: int, wait: Callable[[], None]) -> int:
    """Take one of ``limit`` slots, so that no more tasks run at once on this machine; waits for it.

    Args:
        limit: how many tasks may run at once.
        wait: is called once, when there is none at first.

    Returns:
        A file that holds it for as long as anybody has it open: the supervisor has, and so the slot is taken
        while the program runs, whatever becomes of the agent.
    """
    folder = tasks_dir() / ".slots"
    make_folder(folder)
    waiting = False
    while True:
        for number in range(limit):
            with suppress(LockHeld):
                return open_locked(folder / str(number), patience=0)
        if not waiting:
            wait()
        waiting = True
        time.sleep(0.5)
