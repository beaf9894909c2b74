"""`raven agent prepare` and `raven agent dev`: a task folder, and a shell around it with the sources live."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from as_user import Raven, wait_for
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


class Ide:
    """What an editor says to a debugger: requests of the Debug Adapter Protocol, and what is answered."""

    def __init__(self, port: int) -> None:
        self._socket = wait_for(lambda: socket.create_connection(("127.0.0.1", port), 1), 40)
        self._file = self._socket.makefile("rwb")
        self._number = 0

    def ask(self, command: str, **arguments: object) -> None:
        self._number += 1
        asked = {"seq": self._number, "type": "request", "command": command, "arguments": arguments}
        body = json.dumps(asked).encode()
        self._file.write(b"Content-Length: %d\r\n\r\n" % len(body) + body)
        self._file.flush()

    def until(self, name: str) -> dict[str, Any]:
        """The next event or answer of this name."""
        while True:
            length = 0
            while line := self._file.readline().strip():
                if line.lower().startswith(b"content-length"):
                    length = int(line.split(b":")[1])
            said: dict[str, Any] = json.loads(self._file.read(length))
            if name in (said.get("event"), said.get("command")):
                return said


@needs_bwrap
def test_an_ide_stops_the_program_at_a_breakpoint_in_the_task_s_surroundings(
    raven: Raven, printing: Path, project: Path
) -> None:
    pytest.importorskip("debugpy")
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port = one.getsockname()[1]
    (printing / "src" / "train.py").write_text(
        "import os\nhere = os.getcwd()\nprint('on', here, flush=True)\n"
    )
    process = raven.start("agent", "dev", printing, "--mode", "train", "--data", project, "--debugpy", port)
    try:
        ide = Ide(port)
        ide.ask("initialize", adapterID="tests", pathFormat="path")
        ide.ask("attach")
        ide.until("initialized")
        source = {"path": "/workdir/src/train.py"}
        ide.ask("setBreakpoints", source=source, breakpoints=[{"line": 3}])
        ide.ask("configurationDone")
        stopped = ide.until("stopped")["body"]
        ide.ask("stackTrace", threadId=stopped["threadId"])
        (frame, *_) = ide.until("stackTrace")["body"]["stackFrames"]
        assert (frame["line"], frame["source"]["path"]) == (3, "/workdir/src/train.py")
        ide.ask("evaluate", expression="os.listdir('/sly_task_data/data'), here", frameId=frame["id"])
        assert ide.until("evaluate")["body"]["result"] == "(['project'], '/workdir')"
        ide.ask("continue", threadId=stopped["threadId"])
        ide.until("terminated")
        said, _ = process.communicate(timeout=30)
    finally:
        process.kill()
    assert process.returncode == 0 and f"Waiting for an IDE on port {port}." in said
    assert "on /workdir" in said
