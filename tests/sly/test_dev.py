"""`raven agent prepare` and `raven agent dev`: a task folder, and a shell around it with the sources live."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import urllib.request
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from as_user import PATIENCE, Raven, run_raven, wait_for
from sly_support import needs_bwrap

from ravenml.agent import isolation
from ravenml.agent.devshell import dev_command
from ravenml.agent.task_folder import TaskFolder


def shell(raven: Raven, typed: str, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """`raven agent dev` with something typed into its shell."""
    return run_raven("agent", "dev", *arguments, input=typed, env=raven.env(), cwd=raven.cwd, timeout=60)


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
    typed = "pwd; ls /sly_task_data/data; python src/hello.py; python src/train.py | tail -1; "
    typed += "touch src/x /etc/x; exit 7"
    done = shell(raven, typed, printing, "--mode", "train", "--task-dir", task)
    assert done.returncode == 7, done.stderr
    lines = done.stdout.splitlines()
    assert lines[:3] == ["/workdir", "project", "hello supervisely_lib"]
    assert json.loads(lines[3])["current"] == 2 and "Read-only" in done.stderr
    assert (printing / "src" / "x").exists(), "the sources are changed from inside"
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


DEPLOY = """
import http.server, os, socket
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(f"{os.getcwd()} {socket.if_nameindex()} {os.environ['RAVENML_PORT']}".encode())
class Server(http.server.HTTPServer):
    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler, bind_and_activate=False)
        self.socket = socket.socket(fileno=os.dup(int(os.environ["RAVENML_SERVE_SOCKET"])))
for _ in range(2):
    Server().handle_request()
"""


@needs_bwrap
def test_a_deploying_program_is_reached_from_here_though_its_shell_has_no_network(
    raven: Raven, printing: Path, tmp_path: Path
) -> None:
    (printing / "src" / "deploy.py").write_text(DEPLOY)
    model = tmp_path / "model"
    model.mkdir()
    (model / "config.json").write_text('{"settings": {}, "classes": [], "class_title_to_idx": {}}')
    command = ["dev", printing, "--mode", "deploy", "--model", model, "--isolation", "bwrap", "--port", "0"]
    shell = subprocess.Popen(
        [sys.executable, "-m", "ravenml", "agent", *map(str, command)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=raven.env(),
        cwd=raven.cwd,
    )
    assert shell.stdin is not None and shell.stdout is not None
    try:
        shell.stdin.write("python src/deploy.py\npython src/deploy.py\n")
        shell.stdin.close()
        address = shell.stdout.readline().split()[1]
        for _ in range(4):  # the program is started a second time on the same port
            said = urllib.request.urlopen(address, timeout=PATIENCE).read().decode()
            assert said == f"/workdir [(1, 'lo')] {urlsplit(address).port}"
        assert shell.wait(PATIENCE) == 0
    finally:
        shell.kill()


def test_a_port_belongs_to_a_program_that_deploys(raven: Raven, printing: Path, project: Path) -> None:
    done = raven("agent", "dev", printing, "--mode", "train", "--data", project, "--port", "9999")
    assert done.returncode == 2 and "--port is for --mode deploy" in done.stderr


def test_in_docker_the_sources_are_mounted_live_and_the_debuggers_port_is_open(tmp_path: Path) -> None:
    sandbox = isolation.Sandbox(
        plugin=Path("/plugins/mine"),
        task=TaskFolder(tmp_path),
        home=tmp_path,
        shims=tmp_path / "path",
        python=Path("python"),
        image="mine:1.0",
    )
    line = " ".join(dev_command("docker", sandbox, ["bash"], 5678))
    assert "-v /plugins/mine/src:/workdir/src:ro" in line and "-it" in line and "--entrypoint bash" in line
    assert "-p 127.0.0.1:5678:5678" in line


class Ide:
    """What an editor says to a debugger: requests of the Debug Adapter Protocol, and what is answered."""

    def __init__(self, port: int) -> None:
        self._socket = wait_for(lambda: socket.create_connection(("127.0.0.1", port), 1))
        self._socket.settimeout(40)
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
        ide.ask("attach", connect={"host": "127.0.0.1", "port": port})
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
        said, _ = process.communicate(timeout=PATIENCE)
    finally:
        process.kill()
    assert process.returncode == 0 and f"Waiting for an IDE on port {port}." in said
    assert "on /workdir" in said
