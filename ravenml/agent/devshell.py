"""Developing a plugin: a shell, or the program under a debugger, in the sandbox that a task has."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from ravenml.agent import isolation
from ravenml.agent.launch import Launch, TaskRequest
from ravenml.agent.mount_link import link_mount, unlink_mount
from ravenml.agent.task import AgentTask
from ravenml.errors import InputError


def develop(request: TaskRequest, debugpy: int | None = None) -> int:
    """Run a shell, or with ``debugpy`` the program once an IDE has connected to that port; its exit code.

    Raises:
        InputError: something that was requested cannot be.
    """
    with tempfile.TemporaryDirectory(prefix="raven-dev-") as temporary:
        folder = Path(temporary)
        # An IDE connects through the network.
        launch = Launch(request, folder, f"raven-dev-{os.getpid()}", network=debugpy is not None)
        program = ["bash"] if debugpy is None else _debug_command(launch, debugpy)
        command = launch.publish(dev_command(launch.kind, launch.sandbox, program, debugpy))
        environment, working_folder, files = launch.environment()
        if request.deployment is not None:
            lines = request.deployment.access.announce("Open:", sys.stdout.isatty())
            print(*lines, "Nobody answers there until src/deploy.py runs.", sep="\n", flush=True)
        root = launch.task_folder.root
        task = AgentTask(
            folder, folder.name, request.plugin.root, request.mode, root, True, launch.kind, command
        )
        if launch.kind == "none":
            link_mount(task)
        try:
            return subprocess.run(command, env=environment, cwd=working_folder, pass_fds=files).returncode
        finally:
            unlink_mount(task)
            if request.deployment is not None:
                request.deployment.access.forget_token()


def _debug_command(launch: Launch, port: int) -> list[str]:
    """The program that waits for an IDE.

    Raises:
        InputError: the interpreter has no debugpy.
    """
    python = launch.python
    trial = [str(python), "-c", "import debugpy"]
    if python is not None and subprocess.run(trial, capture_output=True).returncode:
        raise InputError(f"{python} has no debugpy; install it there (pip install debugpy).")
    where = f"{'0.0.0.0' if launch.kind == 'docker' else '127.0.0.1'}:{port}"
    print(f"Waiting for an IDE on port {port}.", flush=True)
    waiting = ["-m", "debugpy", "--listen", where, "--wait-for-client", launch.script_inside]
    return [str(launch.sandbox.python), *waiting]


def dev_command(
    kind: str, sandbox: isolation.Sandbox, program: list[str], port: int | None = None
) -> list[str]:
    """The command line of ``raven agent dev``: as a task's, but a terminal stays connected."""
    if kind == "docker":
        command = isolation.docker_command(sandbox, program, interactive=True)
        return command[:2] + (["-p", f"127.0.0.1:{port}:{port}"] if port else []) + command[2:]
    # A new session would take the shell's job control away.
    return [word for word in isolation.sandbox_command(kind, sandbox, program) if word != "--new-session"]
