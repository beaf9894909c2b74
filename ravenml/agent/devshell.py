"""Developing a plugin: a shell, or the program under a debugger, in the surroundings that a task has."""

from __future__ import annotations

import os
import subprocess
import tempfile
from pathlib import Path

from ravenml.agent import isolation
from ravenml.agent.launch import TaskRequest, find_python, make_sandbox
from ravenml.agent.mount_link import link_mount, unlink_mount
from ravenml.agent.task import Task
from ravenml.agent.task_folder import make_task_folder, open_task_folder
from ravenml.errors import InputError


def develop(request: TaskRequest, debugpy: int | None = None) -> int:
    """Run a shell, or with ``debugpy`` the program once an IDE has connected to that port; its exit code.

    Raises:
        InputError: something that was asked for cannot be.
    """
    script = request.plugin.script(request.mode)
    kind = isolation.choose_isolation(request.isolation, request.plugin.version)
    python = None if kind == "docker" else find_python(request.plugin.root, request.python)
    with tempfile.TemporaryDirectory(prefix="raven-dev-") as temporary:
        folder = Path(temporary)
        root = request.task_dir.expanduser().absolute() if request.task_dir else folder / "task"
        task_folder = (
            open_task_folder(root)
            if request.config is None
            else make_task_folder(
                root,
                request.mode,
                request.data,
                request.model,
                request.config,
                linked=kind == "none" or request.task_dir is not None,
                force=request.force,
            )
        )
        deployment = request.deployment
        # An IDE connects to it; and a container's port is published through a network of its own.
        network = request.network or debugpy is not None or (deployment is not None and kind == "docker")
        sandbox = make_sandbox(
            request.plugin, task_folder, folder, python, network, f"raven-dev-{os.getpid()}"
        )
        program = ["bash"] if debugpy is None else _debug_command(kind, python, script, debugpy)
        command = dev_command(kind, sandbox, program, debugpy)
        environment, working_folder = isolation.host_environment(kind, sandbox, os.environ)
        files: list[int] = []
        if deployment is not None:
            command = deployment.command(kind, command)
            environment |= deployment.environment(kind, network)
            if deployment.handed(kind, network):
                files.append(deployment.opened.fileno())
            else:
                deployment.opened.close()  # the program opens it
            print(f"Open: {deployment.access.address} (once src/deploy.py runs)", flush=True)
        task = Task(folder, folder.name, request.plugin.root, request.mode, root, True, kind, command)
        if kind == "none":
            link_mount(task)
        try:
            return subprocess.run(command, env=environment, cwd=working_folder, pass_fds=files).returncode
        finally:
            unlink_mount(task)


def _debug_command(kind: str, python: Path | None, script: Path, port: int) -> list[str]:
    """The program that waits for an IDE.

    Raises:
        InputError: the interpreter has no debugpy.
    """
    trial = [str(python), "-c", "import debugpy"]
    if python is not None and subprocess.run(trial, capture_output=True).returncode:
        raise InputError(f"{python} has no debugpy; install it there (pip install debugpy).")
    where = f"{'0.0.0.0' if kind == 'docker' else '127.0.0.1'}:{port}"
    source = script if kind == "none" else Path(isolation.WORKDIR) / script
    print(f"Waiting for an IDE on port {port}.", flush=True)
    waiting = ["-m", "debugpy", "--listen", where, "--wait-for-client", str(source)]
    return [str(python or "python"), *waiting]


def dev_command(
    kind: str, sandbox: isolation.Sandbox, program: list[str], port: int | None = None
) -> list[str]:
    """The command line of ``raven agent dev``: as a task's, but a terminal stays connected."""
    if kind == "docker":
        command = isolation.docker_command(sandbox, program, interactive=True)
        return command[:2] + (["-p", f"127.0.0.1:{port}:{port}"] if port else []) + command[2:]
    # A new session would take the shell's job control away.
    return [word for word in isolation.sandbox_command(kind, sandbox, program) if word != "--new-session"]
