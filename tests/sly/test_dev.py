"""`raven agent prepare` and `raven agent dev`: a task folder, and a shell around it with the sources live."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from as_user import Raven
from sly_support import needs_bwrap

from ravenml.sly import isolation
from ravenml.sly.dev import dev_command
from ravenml.sly.task_folder import TaskFolder


def shell(raven: Raven, typed: str, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """`raven agent dev` with something typed into its shell."""
    return subprocess.run(
        [sys.executable, "-m", "ravenml", "agent", "dev", *map(str, arguments)],
        input=typed,
        capture_output=True,
        text=True,
        env=raven.env(),
        cwd=raven.cwd,
        timeout=60,
    )


@needs_bwrap
def test_a_shell_stands_where_the_program_would(
    raven: Raven, printing: Path, project: Path, tmp_path: Path
) -> None:
    task = tmp_path / "task"
    raven.ok("agent", "prepare", printing, "--mode", "train", "--data", project, "--task-dir", task)
    assert sorted(path.name for path in task.iterdir()) == ["data", "model", "results", "task_config.json"]
    (printing / "src" / "hello.py").write_text(
        "import supervisely_lib; print('hello', supervisely_lib.__name__)"
    )
    typed = (
        "pwd; ls /sly_task_data/data; python src/hello.py; python src/train.py | tail -1; touch src/x; exit 7"
    )
    done = shell(raven, typed, printing, "--mode", "train", "--task-dir", task)
    assert done.returncode == 7, done.stderr
    lines = done.stdout.splitlines()
    assert lines[:3] == ["/workdir", "project", "hello supervisely_lib"]
    assert json.loads(lines[3])["current"] == 2 and "Read-only" in done.stderr
    assert (task / "results" / "00000001" / "config.json").exists(), "the task's folder is kept"
    assert raven.runs() == [], "nothing is recorded"


@needs_bwrap
def test_a_shell_without_a_named_folder_leaves_nothing(raven: Raven, printing: Path, project: Path) -> None:
    done = shell(raven, "ls /sly_task_data", printing, "--mode", "train", "--data", project)
    assert done.stdout.split() == ["data", "model", "results", "task_config.json"]
    assert not (raven.home / "agent").exists()


@needs_bwrap
def test_a_missing_debugger_is_named(raven: Raven, printing: Path, project: Path, tmp_path: Path) -> None:
    bare = tmp_path / "bare"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", bare], check=True)
    options = ("--python", bare / "bin" / "python", "--debugpy", "5678")
    done = shell(raven, "", printing, "--mode", "train", "--data", project, *options)
    assert done.returncode == 2 and "no debugpy" in done.stderr


def test_in_docker_the_sources_are_mounted_live_and_the_debuggers_port_is_open(tmp_path: Path) -> None:
    around = isolation.Surroundings(
        plugin=Path("/plugins/mine"),
        task=TaskFolder(tmp_path),
        home=tmp_path,
        shims=tmp_path / "path",
        python=Path("python"),
        image="mine:1.0",
    )
    line = " ".join(dev_command("docker", around, ["bash"], 5678))
    assert "-v /plugins/mine/src:/workdir/src" in line and "-it" in line and "--entrypoint bash" in line
    assert "-p 127.0.0.1:5678:5678" in line
