"""Tab in real shells, set up with the commands that docs/installation.md gives."""

from __future__ import annotations

import os
import pty
import re
import select
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from as_user import PATIENCE, ROOT, Raven

DOCS = (ROOT / "docs" / "installation.md").read_text()


@pytest.fixture
def shell_home(raven: Raven, tmp_path: Path) -> dict[str, str]:
    """The environment of a new user who has ``raven``, a dataset and a model in the home folder."""
    program = tmp_path / "bin" / "raven"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -m ravenml "$@"\n')
    program.chmod(0o755)
    (tmp_path / "user" / "meadows").mkdir(parents=True)
    (tmp_path / "user" / "model-state.tar").touch()
    return {
        **raven.env(),
        "HOME": str(tmp_path / "user"),
        "PATH": f"{program.parent}:/usr/bin:/bin",
        "TERM": "dumb",
    }


def set_up(shell: str, env: dict[str, str]) -> None:
    """Run the lines that the documentation gives for ``shell``, in that shell."""
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} is missing (apt install {shell})")
    (lines,) = re.findall(rf"^# {shell}\n((?:.+\n)+?)(?:\n|```)", DOCS, re.MULTILINE)
    subprocess.run([shell, "-c", lines], env=env, check=True, stdin=subprocess.DEVNULL)


def press_tab(command: list[str], typed: str, wanted: str, env: dict[str, str]) -> None:
    """Type at an interactive shell's first prompt, press Tab, and wait for ``wanted``."""
    child, terminal = pty.fork()
    if child == 0:
        os.chdir(env["HOME"])
        os.execvpe(command[0], command, env)
    shown = ""

    def wait_for(text: str) -> None:
        nonlocal shown
        deadline = time.monotonic() + PATIENCE
        while text not in shown:
            assert time.monotonic() < deadline, shown
            if select.select([terminal], [], [], 1)[0]:
                shown += os.read(terminal, 4096).decode(errors="replace")
                shown = re.sub(r"\x1b\[[\d;?]*[A-Za-z]", "", shown)

    try:
        wait_for("READY> ")
        os.write(terminal, f"{typed}\t".encode())
        wait_for(wanted)
    finally:
        os.kill(child, signal.SIGKILL)
        os.close(terminal)
        os.waitpid(child, 0)


LINES = [
    ("raven tra", "raven train"),
    ("raven runs list --sta", "raven runs list --status"),
    ("raven train lear", "raven train learner"),
    ("raven train --dataset mead", "raven train --dataset meadows/"),  # a path or a name
    ("raven infer mod", "raven infer model-state.tar"),  # the same, as an argument
]


@pytest.mark.parametrize(("typed", "wanted"), LINES)
@pytest.mark.parametrize("shell", ["bash", "zsh"])
def test_tab_completes_commands_options_plugins_and_paths(
    shell: str, typed: str, wanted: str, shell_home: dict[str, str], learner: object
) -> None:
    set_up(shell, shell_home)
    with (Path(shell_home["HOME"]) / f".{shell}rc").open("a") as settings:
        settings.write("PS1='READY> '\n")
    press_tab([shell, "-i"], typed, wanted, shell_home)


@pytest.mark.parametrize(("typed", "wanted"), LINES)
def test_fish_completes_the_same(
    typed: str, wanted: str, shell_home: dict[str, str], learner: object
) -> None:
    set_up("fish", shell_home)
    command = ["fish", "-c", 'complete -C "$TYPED"']  # what Tab asks, and fish's own way of asking it
    done = subprocess.run(
        command,
        env={**shell_home, "TYPED": typed},
        cwd=shell_home["HOME"],
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
    )
    assert wanted.split()[-1] in [line.split("\t")[0] for line in done.stdout.splitlines()], done.stderr
