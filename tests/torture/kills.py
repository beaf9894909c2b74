"""Trainings killed by SIGKILL at random moments and resumed as `runs show` advises end with the same bits."""

from __future__ import annotations

import hashlib
import importlib
import json
import os
import random
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from as_user import CORE, ROOT, start_raven
from forkserver import ForkServer

from ravenml.runs.events import MetricsEvent, effective, read_events
from torture.runner import Missing

TRIALS = 160  # about 300 kills
SECONDS_PER_TRIAL = 300
# A network with dropout and running means; and a process that dies in the middle of writing a file.
TINY = """
import os
import signal

from torch import nn

left = int(os.environ.get("DIES_AT", "0"))


def counted(function):
    def call(*arguments, **options):
        global left
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return function(*arguments, **options)

    return call


if left:
    os.fsync, os.replace, os.unlink = counted(os.fsync), counted(os.replace), counted(os.unlink)


class Tiny(nn.Module):
    def __init__(self, num_classes):
        super().__init__()
        first = [nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(), nn.Dropout2d(0.3)]
        self.all = nn.Sequential(*first, nn.Conv2d(8, num_classes, 3, padding=1))

    def forward(self, x):
        return self.all(x)
"""
SMALL = shlex.split(
    "--batch-size 2 --val-batch-size 2 --device cpu --previews 1 --checkpoint-every 1 --val-every 0.5"
    " --max-keep-checkpoints 1 --lr-schedule cosine"
)
UNET = shlex.split(
    "unet train --model tiny:Tiny --input-width 32 --input-height 32 --precision 32 --optimizer Adam"
    " --augmentations colour+rotate+crop+fliplr+flipud"
)
BBOX = shlex.split(
    "tf_bbox train --input-width 64 --input-height 64 --aspect-ratios 1.0 --mosaic 0.5"
    " --augmentations from_above"
)
KINDS = {
    "unet": [*UNET, *SMALL, "--epochs", "6"],
    "unet k-fold": [*UNET, *SMALL, "--epochs", "3", "--kfold", "--folds", "2", "--jobs", "2"],
    "tf-bbox": [*BBOX, *SMALL, "--epochs", "3"],
}
SHARES = {"unet": 10, "unet k-fold": 1, "tf-bbox": 1}
FRAMEWORKS = {
    "unet": ["torch", "torch._dynamo", "lightning_fabric", "kornia.*", "torchmetrics", "ravenml_unet.*"],
    "tf_bbox": ["tensorflow", "keras", "ravenml_tf_bbox.*"],
}


class Trainings:
    """Starts ``raven``, as forks of an interpreter that has imported the plugin's framework."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.environment = {
            **os.environ,
            "PYTHONPATH": os.pathsep.join([str(folder), str(ROOT)]),
            "OMP_NUM_THREADS": "1",
            "RAVENML_TRACK": "none",
        }
        self.servers = {
            plugin: ForkServer([*CORE, *modules], self.environment) for plugin, modules in FRAMEWORKS.items()
        }

    def start(self, home: Path, *arguments: str | Path, **more: str) -> subprocess.Popen[str]:
        """Start ``raven`` with this home, its output in a pipe."""
        server = self.servers["tf_bbox" if {"tf_bbox", "tf-bbox"} & set(arguments) else "unet"]
        return start_raven(
            *arguments, server=server, cwd=self.folder, start_new_session=True,
            env=self.environment | {"RAVENML_STORAGE_PATH": str(home), **more},
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip

    def finish(self, home: Path, *arguments: str | Path) -> str:
        """Run ``raven`` to its end, which must be good; what it printed."""
        process = self.start(home, *arguments)
        out, _ = process.communicate()
        assert process.returncode == 0, f"raven {shlex.join(map(str, arguments))} failed:\n{out[-2000:]}"
        return out

    def kill(
        self, kind: str, rng: random.Random, home: Path, arguments: Sequence[str | Path], seconds: float
    ) -> bool:
        """Start ``raven`` and kill it at a random moment, and what it started; False if it ended before."""
        if kind.startswith("unet") and rng.random() < 0.5:  # in the middle of writing a file
            process = self.start(home, *arguments, DIES_AT=str(rng.randint(1, 200)))
            out, _ = process.communicate()
            killed = process.returncode != 0
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
        else:
            process = self.start(home, *arguments)
            try:
                out, _ = process.communicate(timeout=rng.uniform(0, seconds))
                killed = False
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.communicate()
                return True
        assert process.returncode in (0, -signal.SIGKILL) or "was ended by signal 9" in out, (
            f"raven {shlex.join(map(str, arguments))} failed:\n{out[-2000:]}"
        )
        return killed


def run_folders(home: Path) -> list[Path]:
    """The runs; a hidden folder is one that was killed before it was one."""
    return [path for path in (home / "runs").glob("*") if not path.name.startswith(".")]


def results(run: Path, store: Path) -> dict[str, object]:
    """What must be the same whatever happened: weights, scores, curves, and which files there are."""
    found: dict[str, object] = {}
    for root in (run, store):
        for path in sorted(root.rglob("*")):
            name = f"{root.name if root is store else 'run'}/{path.relative_to(root)}"
            if {"readers", "tensorboard", "provenance"} & set(path.parts) or path.name == "console.log":
                continue  # in pieces after a kill, or about this checkout
            if path.match("previews/*/*/epoch_*.png"):
                continue  # painted beside the training: a kill may take the newest with it
            if path.suffix == ".npz":
                found[name] = arrays(path)
            elif path.suffix == ".pth" or path.name in ("evaluation.json", "summary.json"):
                found[name] = hashlib.sha256(path.read_bytes()).hexdigest()
            elif path.name == "events.jsonl":
                found[name] = curves(path)
            else:
                found[name] = "here"
    return found


def arrays(path: Path) -> dict[str, object]:
    """The arrays of a file by name; a header of JSON as what it means, in which 0 is 0.0."""
    with np.load(path, allow_pickle=False) as file:
        return {
            name: json.loads(array.tobytes()) if name == "header" else (array.shape, array.tobytes())
            for name, array in file.items()
        }


def curves(path: Path) -> list[Any]:
    """Every metric that counts."""
    events = [event for event in effective(read_events(path)) if isinstance(event, MetricsEvent)]
    return sorted(((e.kind, e.step, e.epoch, json.dumps(e.values)) for e in events), key=str)


@contextmanager
def campaign(folder: Path) -> Iterator[Callable[[random.Random], str]]:
    kinds = [kind for kind in KINDS if find_spec(f"ravenml_{KINDS[kind][0]}")]
    if not kinds:
        raise Missing("install a plugin: plugins/ravenml_unet/install.sh")
    projects = {}
    for plugin, support in (("unet", "unet_support"), ("tf_bbox", "bbox_support")):
        sys.path.append(str(ROOT / "plugins" / f"ravenml_{plugin}" / "tests"))
        if find_spec(f"ravenml_{plugin}"):
            projects[plugin] = importlib.import_module(support).write_project(folder / plugin)
    (folder / "tiny.py").write_text(TINY)
    trainings = Trainings(folder)
    undisturbed: dict[str, tuple[float, dict[str, object]]] = {}

    def start_command(kind: str, store: Path) -> list[str | Path]:
        return ["train", "--dataset", projects[KINDS[kind][0]], *KINDS[kind], "--local", store]

    def trial(rng: random.Random) -> str:
        kind = rng.choices(kinds, [SHARES[kind] for kind in kinds])[0]
        if kind not in undisturbed:
            for number in range(2):  # the second is as quick as those to come: its imports are cached
                home = folder / f"undisturbed {kind} {number}"
                begun = time.monotonic()
                trainings.finish(home, *start_command(kind, home / "store"))
                (run,) = run_folders(home)
                undisturbed[kind] = (time.monotonic() - begun, results(run, home / "store"))
        seconds, expected = undisturbed[kind]
        home = folder / "home"
        shutil.rmtree(home, ignore_errors=True)
        command = start_command(kind, home / "store")
        kills, completed = 0, False
        for _ in range(rng.choice([2, 2, 3, 4])):
            kills += trainings.kill(kind, rng, home, command, seconds)
            runs = run_folders(home)
            if runs:
                shown = trainings.finish(home, "runs", "show", runs[0].name)
                advised = re.search(r"^(?:Resume|Store) with: +raven (.*)", shown, re.MULTILINE)
                if advised is None:
                    completed = True
                    break
                command = list(shlex.split(advised[1]))
        if not completed:
            trainings.finish(home, *command)
        (run,) = run_folders(home)
        (row,) = json.loads(trainings.finish(home, "runs", "list", "--json"))
        assert row["status"] == "completed", row
        found = results(run, home / "store")
        names = sorted(
            name for name in found.keys() | expected.keys() if found.get(name) != expected.get(name)
        )
        assert not names, (
            f"after {kills} kills, {kind}: {', '.join(names)} are not those of an undisturbed training"
        )
        return f"{kind} killed {kills}×"

    yield trial
