"""What a plugin's program can see and touch: in a real sandbox, and by the command lines that make one."""

from __future__ import annotations

import json
import os
import socket
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from as_user import Raven
from sly_support import needs_bwrap, only_run, record, tasks

from ravenml.agent import isolation
from ravenml.agent.mount_link import link_mount, unlink_mount
from ravenml.agent.output_reader import find_checkpoint
from ravenml.agent.plugin_folder import PluginFolder
from ravenml.agent.safe_copy import copy_folder, remove_tree
from ravenml.agent.task import AgentTask
from ravenml.agent.task_folder import TaskFolder
from ravenml.errors import RavenError

READ_ONLY = "Read-only file system"


@pytest.fixture
def sandbox(tmp_path: Path) -> isolation.Sandbox:
    """Sandbox with one project."""
    task = TaskFolder(tmp_path / "task", {"streets": Path("/data/streets")})
    return isolation.Sandbox(
        plugin=Path("/plugins/mine"),
        task=task,
        home=tmp_path / "home",
        shims=tmp_path / "path",
        python=Path("/usr/bin/python3"),
        image="mine:1.0",
        name="raven-x",
    )


def probed(
    raven: Raven, printing: Path, project: Path, config: Path, *options: str, **env: str
) -> dict[str, Any]:
    """What the printing plugin found that it can see and do."""
    raven.ok(
        "agent", "run", printing, "--mode", "train", "--data", project, "--config", config, *options, **env
    )
    log = (only_run(raven) / "console.log").read_text()
    return json.loads(next(line for line in log.splitlines() if line.startswith("PROBE "))[6:])


@needs_bwrap
def test_a_sandboxed_program_writes_only_where_it_may(
    raven: Raven, printing: Path, project: Path, config: Callable[..., Path]
) -> None:
    before = {path: path.read_bytes() for path in project.rglob("*") if path.is_file()}
    secret = {"AWS_SECRET_ACCESS_KEY": "hidden", "CUDA_VISIBLE_DEVICES": "0"}
    found = probed(raven, printing, project, config(probe=True), **secret)
    assert {name: found[name] for name in ("data", "sources", "etc")} == dict.fromkeys(
        ("data", "sources", "etc"), READ_ONLY
    )
    assert {found[name] for name in ("tmp", "home", "results")} == {""}
    assert found["interfaces"] == ["lo"] and found["network"]
    assert int(found["capabilities"], 16) == 0
    assert found["processes"] < 5, "it sees its own processes alone"
    assert "AWS_SECRET_ACCESS_KEY" not in found["environment"]
    assert {"CUDA_VISIBLE_DEVICES", "PYTHONUNBUFFERED"} <= set(found["environment"])
    assert {path: path.read_bytes() for path in project.rglob("*") if path.is_file()} == before
    assert not Path("/tmp/raven").exists()


@needs_bwrap
def test_the_network_is_there_where_it_is_asked_for(
    raven: Raven, printing: Path, project: Path, config: Callable[..., Path]
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = str(server.getsockname()[1])
        script = printing / "src" / "train.py"
        script.write_text(script.read_text().replace('"PORT", "9"', f'"PORT", "{port}"'))
        assert probed(raven, printing, project, config(probe=True), "--network")["network"] == ""


@needs_bwrap
@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to become nobody")
def test_an_ordinary_user_gets_the_same_sandbox(tmp_path: Path, sandbox: isolation.Sandbox) -> None:
    for folder in (sandbox.task.root, sandbox.home, sandbox.shims, tmp_path / "plugin", tmp_path / "data"):
        folder.mkdir(parents=True)
        folder.chmod(0o777)
    for parent in tmp_path.parents:
        if parent.is_relative_to("/tmp") and parent != Path("/tmp"):
            parent.chmod(0o755)
    tmp_path.chmod(0o755)
    (sandbox.task.root / "data" / "streets").mkdir(parents=True)
    mine = isolation.Sandbox(
        plugin=tmp_path / "plugin",
        task=TaskFolder(sandbox.task.root, {"streets": tmp_path / "data"}),
        home=sandbox.home,
        shims=sandbox.shims,
        python=sandbox.python,
    )
    script = "touch /sly_task_data/x && ! touch /sly_task_data/data/streets/x && id -u"
    script += " && grep CapEff /proc/self/status"
    line = isolation.sandbox_command("bwrap", mine, ["sh", "-c", script])
    done = subprocess.run(
        ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups", *line],
        capture_output=True,
        text=True,
        env={"PATH": os.environ["PATH"]},
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["65534", "CapEff:", "0000000000000000"]
    assert (sandbox.task.root / "x").exists() and not (tmp_path / "data" / "x").exists()


def test_the_command_line_of_docker(sandbox: isolation.Sandbox, tmp_path: Path) -> None:
    line = isolation.docker_command(sandbox, ["python", "-u", "/workdir/src/train.py"])
    text = " ".join(line)
    assert line[:3] == ["docker", "run", "--rm"] and line[-3:] == ["mine:1.0", "-u", "/workdir/src/train.py"]
    assert "--entrypoint python" in text and "--shm-size=1G" in text and "--network none" in text
    assert f"-v {sandbox.task.root}:/sly_task_data" in text
    assert "-v /data/streets:/sly_task_data/data/streets:ro" in text
    assert "-e PYTHONUNBUFFERED=1" in text and "--gpus" not in text
    from dataclasses import replace

    with_gpu = replace(sandbox, gpus=["/dev/nvidia0"], network=True)
    text = " ".join(isolation.docker_command(with_gpu, ["python"]))
    assert "--gpus all" in text and "--network" not in text


def test_the_command_line_of_bubblewrap(sandbox: isolation.Sandbox) -> None:
    from dataclasses import replace

    top = [("/bin", "usr/bin"), ("/usr", None)]
    line = isolation.bwrap_command(replace(sandbox, gpus=["/dev/nvidia0"]), ["python"], top)
    text = " ".join(line)
    assert text.startswith("bwrap --tmpfs / --symlink usr/bin /bin --ro-bind /usr /usr")
    for part in (
        f"--bind {sandbox.task.root} /sly_task_data",
        "--ro-bind /data/streets /sly_task_data/data/streets",
        "--dev /dev --dev-bind /dev/nvidia0 /dev/nvidia0 --proc /proc --tmpfs /tmp",
        "--unshare-net --unshare-pid --unshare-user-try --cap-drop ALL --new-session",
    ):
        assert part in text
    assert "--unshare-net" not in isolation.bwrap_command(replace(sandbox, network=True), ["python"], top)


def test_without_isolation_one_task_runs_at_a_time(tmp_path: Path) -> None:
    mount = tmp_path / "sly_task_data"

    def task(name: str) -> AgentTask:
        folder = tmp_path / name
        folder.mkdir()
        made = AgentTask(folder, name, tmp_path, "train", folder / "task", False, "none", ["sleep", "30"])
        made.task_dir.mkdir()
        made.write()
        return made

    first, second = task("first"), task("second")
    link_mount(first, mount)
    first.start(dict(os.environ), tmp_path)
    assert mount.resolve() == first.task_dir
    with pytest.raises(RavenError, match=r"in use by first.*bubblewrap"):
        link_mount(second, mount)
    first.kill()
    while first.alive():
        pass
    link_mount(second, mount)
    assert mount.resolve() == second.task_dir
    unlink_mount(first, mount)
    assert mount.is_symlink(), "only its own link is removed"
    unlink_mount(second, mount)
    assert not mount.is_symlink()
    mount.mkdir()
    with pytest.raises(RavenError, match="was not made by ravenML"):
        link_mount(second, mount)


@pytest.mark.skipif(
    os.geteuid() != 0 or Path("/sly_task_data").exists(), reason="needs to make /sly_task_data"
)
def test_a_task_without_isolation_finds_its_data_behind_a_link(
    raven: Raven, printing: Path, project: Path
) -> None:
    raven.ok("agent", "run", printing, "--mode", "train", "--data", project, "--isolation", "none")
    assert record(only_run(raven))["result"]["status"] == "completed"
    assert not Path("/sly_task_data").is_symlink() and tasks(raven) == []
    assert (project / "meta.json").exists(), "the link to the data was removed, not the data"


# Keeping and removing.


def test_removing_follows_no_link(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    (outside / "deep").mkdir(parents=True)
    (outside / "deep" / "file").write_text("kept")
    inside = tmp_path / "inside"
    inside.mkdir()
    (inside / "folder").symlink_to(outside, target_is_directory=True)
    (inside / "file").symlink_to(outside / "deep" / "file")
    remove_tree(inside)
    assert not inside.exists() and (outside / "deep" / "file").read_text() == "kept"
    link = tmp_path / "link"
    link.symlink_to(outside, target_is_directory=True)
    remove_tree(link)
    assert not link.is_symlink() and (outside / "deep").exists()


def test_copying_leaves_links_and_pipes_out(tmp_path: Path) -> None:
    source = tmp_path / "source"
    (source / "weights").mkdir(parents=True)
    (source / "weights" / "a.bin").write_bytes(b"a")
    (source / "secret").symlink_to("/etc/passwd")
    (source / "all").symlink_to("/etc", target_is_directory=True)
    os.mkfifo(source / "pipe")
    assert copy_folder(source, tmp_path / "target") == ["weights/a.bin"]
    assert sorted(path.name for path in (tmp_path / "target").rglob("*")) == ["a.bin", "weights"]


@pytest.mark.parametrize("subdir", ["000003", "/sly_task_data/results/000003", "./000003", "000003/"])
def test_a_checkpoint_is_named_relative_or_absolute(tmp_path: Path, subdir: str) -> None:
    (tmp_path / "results" / "000003").mkdir(parents=True)
    assert find_checkpoint(tmp_path / "results", subdir) == tmp_path / "results" / "000003"


@pytest.mark.parametrize(
    "subdir",
    ["..", "../results", "/etc", "/sly_task_data", "/sly_task_data/results/../../etc", "a/../../x", "", ".",
     "/", "link", "file", "nothing", None, 3, ["x"], "x\0y"],
)  # fmt: skip
def test_a_checkpoint_outside_of_results_is_refused(tmp_path: Path, subdir: object) -> None:
    results = tmp_path / "results"
    results.mkdir()
    (results / "link").symlink_to(tmp_path, target_is_directory=True)
    (results / "file").write_text("x")
    with pytest.raises(RavenError):
        find_checkpoint(results, subdir)


@pytest.mark.parametrize("kind", ["bwrap", "docker", "none"])
def test_a_program_imports_from_folders_that_its_dockerfile_names(printing: Path, kind: str) -> None:
    (printing / "src" / "nets").mkdir()
    (printing / "elsewhere").symlink_to("/etc")
    (printing / "Dockerfile").write_text(
        "ENV PYTHONPATH /workdir:/workdir/src:/workdir/src/nets:/workdir/gone:/workdir/elsewhere\n"
    )
    folders = PluginFolder.open(printing).import_folders()
    assert folders == ["", "src", "src/nets"]
    task = TaskFolder(printing.parent / "task", {})
    sandbox = isolation.Sandbox(
        plugin=printing, task=task, home=Path("/home"), shims=Path("/shims"), python=Path("/usr/bin/python3"),
        image="mine:1.0", import_folders=folders,
    )  # fmt: skip
    root = printing if kind == "none" else "/workdir"
    expected = f"{root}:{root}/src:{root}/src/nets:"
    if kind == "docker":
        command = isolation.docker_command(sandbox, ["python"])
        assert any(part.startswith(f"PYTHONPATH={expected}") for part in command)
    else:
        assert isolation.host_environment(kind, sandbox, {})[0]["PYTHONPATH"].startswith(expected)
