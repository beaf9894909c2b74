"""A disk that becomes full at a random byte, under a training, a recorded program, an upload or an import.

What was there before stays whole, the full disk is said in a sentence that names a file, and the same command
succeeds once there is space again.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from simple_project import write_simple_project
from small_disk import NotAllowed, mounted
from throwaway import GROUP, write_plugin

from ravenml.config.home import runs_dir
from ravenml.runs.index import list_rows
from ravenml.runs.layout import RUN_JSON
from torture.runner import Missing

TRIALS = 200
SECONDS_PER_TRIAL = 120
DISK = 4 << 20  # bytes

# It writes checkpoints through a library that hides the system's error, as torch.save does.
LEARNS = (
    GROUP
    + """
@my_plugin.command()
@pass_train
def train(train: TrainInput):
    from ravenml.common.io import atomic_open
    run = train.run
    state = run.path / "checkpoints" / "state.bin"
    begun = state.stat().st_size // 100_000 if state.exists() else 0
    for epoch in range(begun + 1, 6):
        if run.should_stop():
            return None
        with atomic_open(state) as file:
            try:
                file.write(bytes(100_000 * epoch))
            except OSError:
                raise RuntimeError("[enforce fail at inline_container.cc:626]") from None
        run.checkpoint(epoch, [state], epoch=epoch)
        run.metrics("val", epoch, {"miou": epoch / 10}, step=epoch)
    (run.path / "model-state.tar").write_bytes(bytes(200_000))
    return TrainOutput(model_path=run.path / "model-state.tar")
"""
)
PRINTS = (
    "import json\nfor i in range(300):\n    print('x' * 2000)\nopen('weights.bin', 'wb').write(bytes(10))\n"
)


@contextmanager
def campaign(folder: Path) -> Iterator[Callable[[random.Random], str]]:
    """A small disk that holds raven's home, and a plugin, a dataset and a program beside it."""
    write_plugin(folder / "site", "learner", LEARNS)
    project = write_simple_project(folder / "project", images=4, val=1)
    (folder / "train.py").write_text(PRINTS)
    os.environ["PYTHONPATH"] = os.pathsep.join([str(folder / "site"), os.environ["PYTHONPATH"]])
    os.environ["RAVENML_TRACK"] = "none"
    os.environ["RAVENML_STORAGE_PATH"] = str(folder / "disk" / "home")
    commands = {
        "train": ["train", "--dataset", str(project), "learner", "train"],
        "run": ["run", "--", sys.executable, str(folder / "train.py")],
        "upload": ["runs", "upload", "--local", str(folder / "disk" / "stored")],
        "import": ["runs", "import", str(folder / "run.tar")],
    }

    def trial(rng: random.Random) -> str:
        name = rng.choice(sorted(commands))
        (folder / "run.tar").unlink(missing_ok=True)
        try:
            with mounted(folder / "disk", DISK) as disk:
                prepare(name, folder, commands)
                return fill_and_try(rng, name, disk, commands[name])
        except NotAllowed:
            raise Missing("only root may mount a small disk") from None

    yield trial


def prepare(name: str, folder: Path, commands: dict[str, list[str]]) -> None:
    """What has to be there before the command."""
    if name in ("upload", "import"):
        raven(commands["train"])
    if name == "import":
        (run,) = runs_dir().iterdir()
        raven(["runs", "export", run.name, str(folder / "run.tar")])
        shutil.rmtree(run)


def fill_and_try(rng: random.Random, name: str, disk: Path, command: list[str]) -> str:
    """Leave some bytes of the disk, run the command, then give it space and finish what it began."""
    before = {path: path.read_bytes() for path in runs_dir().rglob(RUN_JSON)}
    filler = disk / "filler"
    left = rng.choice([rng.randrange(20_000), rng.randrange(300_000), rng.randrange(3_000_000)])
    filler.write_bytes(bytes(max(0, shutil.disk_usage(disk).free - left)))
    done = raven(command, may_fail=True)
    said = done.stdout + done.stderr
    assert "Traceback" not in said and "bug in ravenML" not in said and "enforce fail" not in said, said[
        -2000:
    ]
    for row in list_rows():
        assert row["status"] in ("completed", "failed", "lost"), row
    for path, content in before.items():
        assert json.loads(path.read_bytes())["attempts"] == json.loads(content)["attempts"], path
    if done.returncode:
        assert "disk is full" in said or "No space left" in said, said[-2000:]
    filler.unlink()
    if done.returncode == 0:
        word = "fitted"
    elif name == "train" and list_rows():
        raven(["train", "learner", "train", "--resume", list_rows()[0]["id"]])
        word = "resumed"
    else:
        raven(command)
        word = "repeated"
    if name != "run":
        assert list_rows()[0]["status"] == "completed"
    left_over = [path for path in disk.rglob(".*.tmp") if not path.is_dir()]
    assert not left_over, f"left behind: {left_over}"
    return f"{name} {word}"


def raven(arguments: list[str], may_fail: bool = False) -> subprocess.CompletedProcess[str]:
    """Run a command in a process of its own."""
    command = [sys.executable, "-m", "ravenml", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, errors="replace", timeout=100)
    assert may_fail or done.returncode == 0, f"{arguments}: {done.stdout}{done.stderr}"[-2000:]
    return done
