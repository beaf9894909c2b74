"""Plugins written for ravenML 1, unchanged beside this core: do they install, load, and train?

    python benchmarks/old_plugins.py CHECKOUT [--history] [--only NAME ...] [--limit SECONDS]

CHECKOUT is a folder of plugins, each with a `setup.py`; with `--history` it is a git repository, of which
every plugin's last state on any branch is taken.  Each plugin gets an environment of its own, with this
Python's packages but no framework: whatever its code imports that is not there is a stub
(`framework_stubs.py`), which takes every call and writes the files it is told to save.  What runs for real is
the plugin's own code and ravenML.

The dataset has the files of ravenML 1's datasets; settings come from the plugin's own sample config.  A
question is answered with its first choice, and a setting that the plugin refuses is left out: it says so,
or it fails with it and without it does not.  Nothing is downloaded.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import yaml

GROUP = "ravenml.plugins.train"
# Never linked into a plugin's environment: frameworks, and today's plugins, one of which has an old name.
FRAMEWORKS = "torch|tensorflow|keras|tensorboard|ml_dtypes|jax|onnx|lightning|comet|google|protobuf|ray"
LEFT_OUT = re.compile(rf"(__editable__\w*\W)?(ravenml_|{FRAMEWORKS})", re.I)
EXPECTED = {"log_train_every": 10, "log_eval_every": 10}  # settings that a sample leaves out, and code needs
QUESTION = re.compile(r"The plugin asks '(.+?)', which has to be one of ([^,.]+)")
REFUSED = re.compile(r"Invalid value for .*: (\S+)$", re.MULTILINE)


STEPS = {"installs": 10, "lists": 8, "help": 8, "input": 8, "trains": 8}


@dataclass
class Trial:
    """One plugin, in ``folder`` below ``work``; which steps it passed, and ``why`` it stopped."""

    work: Path
    folder: Path
    limit: float
    passed: list[str] = field(default_factory=list)
    why: str = ""

    @property
    def name(self) -> str:
        return self.folder.name

    def run(self, command: list[str], **more: str) -> subprocess.CompletedProcess[str]:
        environment = {k: v for k, v in os.environ.items() if not k.startswith(("RAVENML_", "PYTHON"))}
        environment |= {"RAVENML_STORAGE_PATH": str(self.work / "home"), "OLD_PLUGIN": str(self.folder)}
        try:
            return subprocess.run(
                command, cwd=self.work, env=environment | more, stdin=subprocess.DEVNULL,
                capture_output=True, text=True, timeout=self.limit,
            )  # fmt: skip
        except subprocess.TimeoutExpired:
            return subprocess.CompletedProcess(command, 1, "", f"does not end within {self.limit:g} s")

    def note(self, step: str, passed: bool, done: subprocess.CompletedProcess[str]) -> bool:
        """Note whether a step was passed, and if it was not, the last line that was said."""
        if passed:
            self.passed.append(step)
        else:
            lines = [line for line in (done.stderr or done.stdout).splitlines() if line.strip()]
            errors = [line for line in lines if line.startswith("Error:")]
            self.why = (errors or lines or ["no output"])[-1][:200]
        return passed

    def __str__(self) -> str:
        """The plugin's row of the table."""
        row = "".join(f"{'yes' if step in self.passed else '-':{width}}" for step, width in STEPS.items())
        return f"{self.name:28}{row}{self.why}"


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("checkout", type=Path)
    parser.add_argument("--history", action="store_true", help="take every plugin's last state on any branch")
    parser.add_argument("--only", nargs="*", help="only these plugins")
    parser.add_argument("--limit", type=float, default=120, help="seconds for one command (%(default)g)")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="old_plugins_") as place:
        work = Path(place)
        source = take_history(chosen.checkout, work / "history") if chosen.history else chosen.checkout
        folders = [path.parent for path in sorted(source.glob("*/setup.py")) if GROUP in path.read_text()]
        folders = [folder for folder in folders if not chosen.only or folder.name in chosen.only]
        print(f"{'plugin':28}{'installs':10}{'lists':8}{'help':8}{'input':8}{'trains':8}")
        trials = []
        for folder in folders:
            trials.append(try_plugin(folder, work / folder.name, chosen.limit))
            print(trials[-1], flush=True)
    for step in ("help", "trains"):
        print(f"{sum(step in one.passed for one in trials)} of {len(trials)}: {step}")
    return 0


def take_history(repository: Path, target: Path) -> Path:
    """Write the last state of every folder with a `setup.py` that any branch has.

    A file that a partial copy of the repository lacks becomes an empty one.
    """
    seen: set[str] = set()
    for commit in git(repository, "log", "--all", "--date-order", "--format=%H").split():
        for name in git(repository, "ls-tree", "-d", "--name-only", commit).split("\n"):
            if not name or name in seen:
                continue
            tree = git(repository, "ls-tree", "-r", "-z", f"{commit}:{name}").split("\0")
            files = {line.partition("\t")[2]: line.split()[2] for line in tree if line}
            if "setup.py" not in files:
                continue
            seen.add(name)
            for path, blob in files.items():
                file = target / name / path
                file.parent.mkdir(parents=True, exist_ok=True)
                command = ["git", "-C", str(repository), "cat-file", "blob", blob]
                file.write_bytes(subprocess.run(command, capture_output=True).stdout)
    return target


def git(repository: Path, *arguments: str) -> str:
    command = ["git", "-C", str(repository), *arguments]
    return subprocess.run(command, capture_output=True, check=True).stdout.decode(errors="replace")


def try_plugin(source: Path, work: Path, limit: float) -> Trial:
    """Go through all steps with one plugin."""
    one = Trial(work, work / source.name, limit)
    shutil.copytree(source, one.folder)
    python = make_environment(work / "env")
    pip = [sys.executable, "-m", "pip", "--python", str(python), "install", "-q", "--no-deps"]
    done = one.run([*pip, "--no-build-isolation", "--no-index", "-e", str(one.folder)])
    point = re.search(r"(\w+)\s*=\s*[^\s:]*\.core:", (one.folder / "setup.py").read_text())
    name = point[1] if point else source.name
    raven = [str(python), "-m", "framework_stubs", "train"]
    if one.note("installs", done.returncode == 0, done):
        done = one.run([*raven, "list"])
        if one.note("lists", name in done.stdout.split(), done):
            done = one.run([*raven, name, "train", "--help"])
            if one.note("help", done.returncode == 0, done):
                train(one, [*raven, "-c"], name, done.stdout)
    return one


def make_environment(folder: Path) -> Path:
    """A virtual environment with links to this Python's packages, without frameworks; its interpreter."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    (packages,) = folder.glob("lib/python*/site-packages")
    for entry in Path(sysconfig.get_path("purelib")).iterdir():
        if not LEFT_OUT.match(entry.name):
            (packages / entry.name).symlink_to(entry)
    shutil.copy(Path(__file__).with_name("framework_stubs.py"), packages)
    (packages / "framework_stubs.pth").write_text("import framework_stubs\n")
    return folder / "bin" / "python"


def train(one: Trial, raven: list[str], name: str, shown: str) -> None:
    """Call the training command, with answers to what it asks, until it ends in some way."""
    work, folder = one.work, one.folder
    samples = [*folder.glob("example_config.yaml"), *folder.rglob("sample_configs/*.y*ml")]
    config = yaml.safe_load(samples[0].read_text()) if samples else {}
    config["artifact_path"] = None  # the result goes to the store, where it has a name
    if isinstance(config.get("plugin"), dict):
        config["plugin"] = EXPECTED | config["plugin"]
        if "train_steps" in (config["plugin"].get("hyperparameters") or {}):
            config["plugin"] |= {"use_default_config": False, "hyperparameters": {"train_steps": 20}}
    own = [path for path in (folder / "example_config.json", folder / "config.yaml") if path.exists()]
    words = [name, "train"]
    if own and "YAML file with values for options not given" not in shown:  # `--config` is the plugin's own
        words += ["--config", str(own[0])]
    if "--comet TEXT" in shown:
        words += ["--comet", "trial"]
    if "--no-validate" in shown:  # which would evaluate what stubs predict
        words.append("--no-validate")
    command = [*raven, str(work / "config.yaml"), *words]
    config["dataset"] = str(write_dataset(work / "dataset", records=True))
    done = train_and_answer(one, command, config)
    if done.returncode == 0 and "Stored:" not in done.stdout:  # perhaps it wants the images in another form
        one.why = "returns no result, so nothing is stored"
        config["dataset"] = str(write_dataset(work / "images", records=False))
        again = train_and_answer(one, command, config)
        done = again if "Stored:" in again.stdout else done
    if done.returncode and isinstance(settings := config.get("plugin"), dict):
        for key in [key for key, value in settings.items() if isinstance(value, str)]:
            fewer = {k: v for k, v in settings.items() if k != key}
            again = train_and_answer(one, command, config | {"plugin": fewer})
            if again.returncode == 0:
                done = again
                break
    if (work / "called").exists():
        one.passed.append("input")
    if one.note("trains", done.returncode == 0, done) and "Stored:" in done.stdout:
        known = [
            json.loads(path.read_text()) for path in (work / "home").glob("store/models/metadata_*.json")
        ]
        one.why = ", ".join(f"stored as {each['architecture']}" for each in known if "architecture" in each)


def train_and_answer(
    one: Trial, command: list[str], config: dict[str, Any]
) -> subprocess.CompletedProcess[str]:
    """Call the command until it ends otherwise than with a question, or with a setting that it refuses."""
    for _ in range(6):
        (one.work / "config.yaml").write_text(yaml.safe_dump(config))
        done = one.run(command, RAVENML_DEBUG="1", OLD_PLUGIN_CALLED=str(one.work / "called"))
        if asked := QUESTION.search(done.stderr):
            config["answers"] = {**config.get("answers", {}), asked[1]: asked[2]}
        elif (refused := REFUSED.search(done.stderr)) and isinstance(config.get("plugin"), dict):
            config["plugin"] = {k: v for k, v in config["plugin"].items() if str(v) != refused[1]}
        else:
            break
    return done


def write_dataset(folder: Path, records: bool) -> Path:
    """A dataset with the files that plugins for ravenML 1 read; empty records, or none."""
    (folder / "test").mkdir(parents=True, exist_ok=True)
    (folder / "metadata.json").write_text(json.dumps({"name": folder.name, "created_by": "somebody"}))
    (folder / "label_map.pbtxt").write_text("item {\n  id: 1\n  name: 'thing'\n}\n")
    (folder / "feature_points.json").write_text(json.dumps(["a", "b"]))
    box = {"xmin": 10, "xmax": 50, "ymin": 10, "ymax": 50}
    truth = {"bboxes": {"cygnus": box}, "pose": [1, 0, 0, 0], "translation": [0, 0, 1], "focal_length": 1000}
    (folder / "test" / "meta_0.json").write_text(json.dumps(truth))
    (folder / "test" / "image_0.png").touch()
    for name in ("keypoints", "mean", "stdev"):
        np.save(folder / f"{name}.npy", np.ones((20, 3)))
    if records:
        for place in ("complete/train", "standard/train", "standard/dev"):
            (folder / "splits" / place).mkdir(parents=True, exist_ok=True)
            for part in ("train", "test"):
                (folder / "splits" / place / f"{part}.record-00000-of-00001").touch()
                (folder / "splits" / place / f"{part}.record.numexamples").write_text("1\n")
    return folder


if __name__ == "__main__":
    sys.exit(main())
