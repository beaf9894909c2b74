"""A disk that is full does not end a program that is only being recorded."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from as_user import Raven

PRINTS = """
import os, sys
from ravenml import Task
task = Task.init("p", "n", output_uri=os.environ["OUT"])
logger = task.get_logger()
for step in range(300):
    print("x" * 1000)
    logger.report_scalar("loss", "train", 1 / (step + 1), step)
    logger.report_text("y" * 1000, print_console=False)
kept = task.upload_artifact("large", "z" * 400_000)
open("weights.bin", "wb").write(bytes(400_000))
task._uploader.send("weights.bin", __import__("pathlib").Path("weights.bin"))
task.add_tags("late")
print("kept", kept)
open("done", "w").write("to the end")
sys.exit(7)
"""


@pytest.mark.parametrize("around", [True, False])
def test_the_program_goes_on_to_its_end(raven: Raven, tmp_path: Path, around: bool) -> None:
    inner = ["unshare", "-rm", "sh", "-c"]
    small = tmp_path / "small"
    small.mkdir()
    mount = f"mount -t tmpfs -o size=300k none {small}"
    if not shutil.which("unshare") or subprocess.run([*inner, mount], capture_output=True).returncode:
        pytest.skip("this machine lets no test make a file system of its own")
    (raven.cwd / "train.py").write_text(PRINTS)
    program = f"{sys.executable} train.py"
    if around:
        program = f"{sys.executable} -m ravenml run -- {program}"
    env = raven.env(RAVENML_STORAGE_PATH=str(small / "home"), OUT=str(tmp_path / "out"))
    done = subprocess.run(
        [*inner, f"{mount} && exec {program}"], env=env, cwd=raven.cwd, capture_output=True, text=True
    )
    assert done.returncode == 7, done.stderr[-2000:]
    assert (raven.cwd / "done").read_text() == "to the end"
    assert done.stdout.count("x" * 1000) == 300 and "kept False" in done.stdout
    assert "not everything is recorded" in done.stderr and "the disk is full" in done.stderr
    assert "Traceback" not in done.stderr
