"""Isolation: what a plugin's program can see and touch, as the command line that starts it.

Every function that makes a command line is pure; only ``choose_isolation`` and ``gpu_devices`` ask what this
machine has.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

from ravenml.agent.mounts import HOME, LIBRARY, SHIMS, Mount, bwrap_mounts
from ravenml.agent.plugin_folder import WORKDIR
from ravenml.agent.task_folder import DATA, MOUNT, TaskFolder
from ravenml.errors import InputError

KINDS = ("docker", "bwrap", "none")
_OWN = ("proc", "dev", "tmp", "run")  # top-level folders that a sandbox has of its own, or not at all
_PASSED = ("PATH", "LANG", "TERM", "TZ")  # of the environment; the rest, with its secrets, stays outside
_PASSED_PREFIXES = ("LC_", "CUDA_", "NVIDIA_", "OMP_", "MKL_", "OPENBLAS_")


@dataclass(frozen=True)
class Sandbox:
    """What a task's program is to find around it.

    Attributes:
        plugin: the plugin's folder.
        task: the task folder.
        home: a folder of its own, writable.
        shims: what the agent adds to Python's path: a folder of links.
        python: the interpreter, outside of docker.
        visible: further folders that must be readable under their own names.
        image: the image, ``name:tag``, for docker.
        name: the task's name, which a container gets.
        network: whether the program may use the network.
        variables: further variables of its environment, as the user gave them.
        mounts: what else it sees.
        import_folders: where its Python finds modules, relative to the plugin's folder.
        own_library: whether ``shims`` holds a ``supervisely_lib`` of the user's, which comes first.
        writable_sources: whether it may change the plugin's folder.
    """

    plugin: Path
    task: TaskFolder
    home: Path
    shims: Path
    python: Path
    visible: Sequence[Path] = ()
    image: str | None = None
    name: str = "raven-task"
    network: bool = False
    gpus: Sequence[str] = field(default_factory=tuple)
    variables: Mapping[str, str] = field(default_factory=dict)
    mounts: Sequence[Mount] = ()
    import_folders: Sequence[str] = ("", "src")
    own_library: bool = False
    writable_sources: bool = False


def sandbox_command(kind: str, sandbox: Sandbox, program: Sequence[str]) -> list[str]:
    """The command line that runs ``program`` (as seen from the plugin's folder) in isolation of a kind."""
    if kind == "docker":
        return docker_command(sandbox, program)
    if kind == "bwrap":
        return bwrap_command(sandbox, program, top_level_folders())
    return list(program)


def bwrap_command(
    sandbox: Sandbox, program: Sequence[str], top: Iterable[tuple[str, str | None]]
) -> list[str]:
    """The command line of bubblewrap.

    Args:
        sandbox: what the program is to find.
        program: the program and its arguments.
        top: the machine's top-level folders, each with the target that it links to, or None.
    """
    line = ["bwrap", "--tmpfs", "/"]
    for name, target in top:
        line += ["--symlink", target, name] if target is not None else ["--ro-bind", name, name]
    line += ["--bind", str(sandbox.task.root), MOUNT]
    if not sandbox.task.linked:
        for name, path in sandbox.task.projects.items():
            line += ["--ro-bind", str(path), f"{MOUNT}/{DATA}/{name}"]
    line += ["--dev", "/dev"]
    for device in sandbox.gpus:
        line += ["--dev-bind", device, device]
    line += ["--proc", "/proc", "--tmpfs", "/tmp"]
    projects = sandbox.task.projects.values() if sandbox.task.linked else ()
    for place in dict.fromkeys([*sandbox.visible, sandbox.shims, *projects]):
        if place.is_relative_to("/tmp") or place.is_relative_to("/run"):
            line += ["--ro-bind", str(place), str(place)]
    line += ["--bind", str(sandbox.home), HOME]
    line += bwrap_mounts(sandbox.mounts, sandbox.plugin, sandbox.writable_sources)
    if sandbox.network:  # the names' resolver may be a link into /run
        line += ["--ro-bind-try", "/run/systemd/resolve", "/run/systemd/resolve"]
    else:
        line += ["--unshare-net"]
    line += ["--unshare-pid", "--unshare-user-try", "--cap-drop", "ALL", "--new-session", "--die-with-parent"]
    return [*line, "--chdir", WORKDIR, "--", *program]


def docker_command(sandbox: Sandbox, program: Sequence[str], interactive: bool = False) -> list[str]:
    """The command line of docker: the plugin's image, its entrypoint overridden.

    Raises:
        InputError: the plugin names no image.
    """
    if sandbox.image is None:
        raise InputError(f"{sandbox.plugin} has no VERSION, which names the image; write name:tag into it.")
    line = ["docker", "run", "--rm", "--init", "--name", sandbox.name]
    line += ["--shm-size=1G", "--entrypoint", program[0]]
    line += ["-it"] if interactive else []
    if interactive or sandbox.writable_sources:
        line += ["-v", f"{sandbox.plugin}/src:{WORKDIR}/src{'' if sandbox.writable_sources else ':ro'}"]
    line += ["-v", f"{sandbox.task.root}:{MOUNT}"]
    for name, path in sandbox.task.projects.items():
        line += ["-v", f"{path}:{path if sandbox.task.linked else f'{MOUNT}/{DATA}/{name}'}:ro"]
    for shim in sorted(sandbox.shims.iterdir()) if sandbox.shims.is_dir() else ():
        access = "" if sandbox.own_library and sandbox.writable_sources and shim.name == LIBRARY else ":ro"
        line += ["-v", f"{shim.resolve()}:{SHIMS}/{shim.name}{access}"]
    for mount in sandbox.mounts:
        line += ["-v", f"{mount.host}:{mount.inside}{'' if mount.writable else ':ro'}"]
    for name, value in environment({}, sandbox, SHIMS, WORKDIR, HOME).items():
        # The user's may be secrets, and others read a command line: they come from docker's own environment.
        line += ["-e", name if name in sandbox.variables else f"{name}={value}"]
    line += ["-v", f"{sandbox.home}:{HOME}", "-w", WORKDIR]
    line += [] if sandbox.network else ["--network", "none"]
    line += ["--gpus", "all"] if sandbox.gpus else []
    return [*line, sandbox.image, *program[1:]]


def host_environment(kind: str, sandbox: Sandbox, outer: Mapping[str, str]) -> tuple[dict[str, str], Path]:
    """The environment and the working folder in which the command line is started.

    Docker's command line needs the user's own HOME; what its program gets stands among its arguments.
    """
    if kind == "docker":
        return {**outer, **sandbox.variables}, Path("/")
    # `python` in a shell, and in what a plugin starts, is the interpreter that runs the plugin.
    outer = {**outer, "PATH": f"{sandbox.python.parent}:{outer.get('PATH', os.defpath)}"}
    if kind == "none":
        folders = str(sandbox.shims), str(sandbox.plugin), str(sandbox.home)
        return environment(outer, sandbox, *folders), sandbox.plugin
    return environment(outer, sandbox, str(sandbox.shims), WORKDIR, HOME), Path("/")


def environment(
    outside: Mapping[str, str], sandbox: Sandbox, shims: str, workdir: str, home: str
) -> dict[str, str]:
    """The environment of a plugin's program: what is harmless from outside, what the contract says, and what
    the user adds.
    """
    places = [f"{workdir}/{folder}".rstrip("/") for folder in sandbox.import_folders]
    places.insert(0 if sandbox.own_library else len(places), shims)
    passed = {
        name: value for name, value in outside.items() if name in _PASSED or name.startswith(_PASSED_PREFIXES)
    }
    return passed | {
        "HOME": home,
        "PYTHONUNBUFFERED": "1",
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONPATH": ":".join(places),
        **sandbox.variables,
    }


def top_level_folders() -> list[tuple[str, str | None]]:
    """This machine's top-level folders that a sandbox shows, each with what it links to."""
    found: list[tuple[str, str | None]] = []
    for entry in sorted(Path("/").iterdir()):
        if entry.name in _OWN or entry.as_posix() == MOUNT:
            continue
        if entry.is_symlink():
            found.append((str(entry), os.readlink(entry)))
        elif entry.is_dir() and os.access(entry, os.R_OK | os.X_OK):
            found.append((str(entry), None))
    return found


def gpu_devices() -> list[str]:
    """The device files of this machine's NVIDIA GPUs; none where there is no GPU."""
    devices = [str(path) for path in sorted(Path("/dev").glob("nvidia*"))]
    return devices if any(path[len("/dev/nvidia") :].isdigit() for path in devices) else []


def choose_isolation(wanted: str | None, image: str | None) -> str:
    """The kind of isolation: what is wanted, or else the best that is there.

    Raises:
        InputError: what is wanted is not there; the sentence says what to install.
    """
    hints = {
        "docker": "no Docker engine answers; install one, or choose --isolation bwrap.",
        "bwrap": "bubblewrap is missing or may make no sandbox here; install it (apt install bubblewrap).",
    }
    if wanted is not None:
        if wanted in hints and not is_available(wanted):
            raise InputError(f"--isolation {wanted}: {hints[wanted]}")
        return wanted
    if image is not None and is_available("docker"):
        return "docker"
    return "bwrap" if is_available("bwrap") else "none"


@lru_cache
def is_available(kind: str) -> bool:
    """Whether this machine has a kind of isolation, and may use it."""
    trial = {
        "docker": ["docker", "info"],
        "bwrap": ["bwrap", "--ro-bind", "/", "/", "--unshare-pid", "--unshare-net", "--unshare-user-try"],
    }[kind]
    trial += ["--cap-drop", "ALL", "--proc", "/proc", "true"] if kind == "bwrap" else []
    if shutil.which(trial[0]) is None:
        return False
    try:
        return (
            subprocess.run(trial, stdin=subprocess.DEVNULL, capture_output=True, timeout=10).returncode == 0
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
