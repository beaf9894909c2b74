"""Plugins written for ravenML 1, unchanged beside this core: do they install, load, and train?

    python benchmarks/old_plugins.py CHECKOUT [--history] [--only NAME ...]

CHECKOUT is a folder of plugins, each with a `setup.py`; with `--history` it is a git repository, of which
every plugin's last state on any branch is taken.  Each plugin gets an environment of its own, with this
Python's packages but no framework: whatever its code imports that is not there is a stub
(`framework_stubs.py`), which takes every call and writes the files it is told to save.  What runs for real is
the plugin's own code and ravenML.

The dataset has the files of ravenML 1's datasets; settings come from the plugin's own sample config.  A
question is answered with its first choice, and a setting that the plugin refuses is left out.  Nothing is
downloaded.
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
FRAMEWORKS = "torch|tensorflow|keras|tensorboard|ml_dtypes|jax|onnx|lightning|comet|google|protobuf"
LEFT_OUT = re.compile(rf"(__editable__\w*\W)?(ravenml_|{FRAMEWORKS})", re.I)
QUESTION = re.compile(r"The plugin asks '(.+?)', which has to be one of ([^,.]+)")
REFUSED = re.compile(r"Invalid value for .*: (\S+)$", re.MULTILINE)
LIMIT = 120  # seconds for one command


@dataclass
class Outcome:
    """What came of one plugin; ``why`` says what stopped it."""

    name: str
    passed: list[str] = field(default_factory=list)
    why: str = ""


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("checkout", type=Path)
    parser.add_argument("--history", action="store_true", help="take every plugin's last state on any branch")
    parser.add_argument("--only", nargs="*", help="only these plugins")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="old_plugins_") as place:
        work = Path(place)
        source = take_history(chosen.checkout, work / "history") if chosen.history else chosen.checkout
        folders = [path.parent for path in sorted(source.glob("*/setup.py")) if GROUP in path.read_text()]
        folders = [folder for folder in folders if not chosen.only or folder.name in chosen.only]
        print(f"{'plugin':28}{'installs':10}{'lists':8}{'help':8}{'input':8}{'trains':8}")
        outcomes = [try_plugin(folder, work / folder.name) for folder in folders]
    for step in ("help", "trains"):
        print(f"{sum(step in one.passed for one in outcomes)} of {len(outcomes)}: {step}")
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


def try_plugin(source: Path, work: Path) -> Outcome:
    """Go through all steps with one plugin, and print its row."""
    one = Outcome(source.name)
    folder = work / source.name
    shutil.copytree(source, folder)
    python = make_environment(work / "env", folder)
    pip = [sys.executable, "-m", "pip", "--python", str(python), "install", "-q", "--no-deps"]
    done = run([*pip, "--no-build-isolation", "--no-index", "-e", str(folder)], work, folder)
    point = re.search(r"(\w+)\s*=\s*[^\s:]*\.core:", (folder / "setup.py").read_text())
    name = point[1] if point else source.name
    raven = [str(python), "-m", "framework_stubs", "train"]
    if note(one, "installs", done.returncode == 0, done):
        done = run([*raven, "list"], work, folder)
        if note(one, "lists", name in done.stdout.split(), done):
            done = run([*raven, name, "train", "--help"], work, folder)
            if note(one, "help", done.returncode == 0, done):
                train(one, [*raven, "-c"], name, work, folder, done.stdout)
    row = "".join(f"{'yes' if step in one.passed else '-':{width}}" for step, width in STEPS.items())
    print(f"{one.name:28}{row}{one.why}", flush=True)
    return one


STEPS = {"installs": 10, "lists": 8, "help": 8, "input": 8, "trains": 8}


def note(one: Outcome, step: str, passed: bool, done: subprocess.CompletedProcess[str]) -> bool:
    """Note whether a step was passed, and if it was not, the last line that was said."""
    if passed:
        one.passed.append(step)
    else:
        lines = [line for line in (done.stderr or done.stdout).splitlines() if line.strip()]
        errors = [line for line in lines if line.startswith("Error:")]
        one.why = (errors or lines or ["no output"])[-1][:200]
    return passed


def make_environment(folder: Path, plugin: Path) -> Path:
    """A virtual environment with links to this Python's packages, without frameworks; its interpreter."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    (packages,) = folder.glob("lib/python*/site-packages")
    for entry in Path(sysconfig.get_path("purelib")).iterdir():
        if not LEFT_OUT.match(entry.name):
            (packages / entry.name).symlink_to(entry)
    shutil.copy(Path(__file__).with_name("framework_stubs.py"), packages)
    (packages / "framework_stubs.pth").write_text("import framework_stubs\n")
    return folder / "bin" / "python"


def run(command: list[str], work: Path, plugin: Path, **more: str) -> subprocess.CompletedProcess[str]:
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("RAVENML_", "PYTHON"))}
    environment |= {"RAVENML_STORAGE_PATH": str(work / "home"), "OLD_PLUGIN": str(plugin), **more}
    try:
        return subprocess.run(
            command, cwd=work, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True,
            timeout=LIMIT,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return subprocess.CompletedProcess(command, 1, "", f"does not end within {LIMIT} s")


def train(one: Outcome, raven: list[str], name: str, work: Path, folder: Path, shown: str) -> None:
    """Call the training command, with answers to what it asks, until it ends in some way."""
    samples = [*folder.rglob("sample_configs/*.y*ml"), *folder.glob("example_config.yaml")]
    config = yaml.safe_load(samples[0].read_text()) if samples else {}
    config["artifact_path"] = None  # the result goes to the store, where it has a name
    own = [path for path in (folder / "example_config.json", folder / "config.yaml") if path.exists()]
    words = [name, "train"]
    if own and "YAML file with values for options not given" not in shown:  # `--config` is the plugin's own
        words += ["--config", str(own[0])]
    if "--comet TEXT" in shown:
        words += ["--comet", "trial"]
    if "--no-validate" in shown:  # which would evaluate what stubs predict
        words.append("--no-validate")
    called = work / "called"
    for records in (True, False):
        config["dataset"] = str(write_dataset(work / f"dataset_{records}", records))
        done = train_and_answer([*raven, str(work / "config.yaml"), *words], config, work, folder)
        if done.returncode or "Stored:" in done.stdout:
            break
        one.why = "returns no result, so nothing is stored"  # perhaps it wants the images in another form
    if called.exists():
        one.passed.append("input")
    if note(one, "trains", done.returncode == 0, done) and "Stored:" in done.stdout:
        known = [
            json.loads(path.read_text()) for path in (work / "home").glob("store/models/metadata_*.json")
        ]
        one.why = ", ".join(f"stored as {each['architecture']}" for each in known if "architecture" in each)


def train_and_answer(
    command: list[str], config: dict[str, Any], work: Path, folder: Path
) -> subprocess.CompletedProcess[str]:
    """Call the command until it ends otherwise than with a question, or with a setting that it refuses."""
    for _ in range(6):
        (work / "config.yaml").write_text(yaml.safe_dump(config))
        done = run(command, work, folder, RAVENML_DEBUG="1", OLD_PLUGIN_CALLED=str(work / "called"))
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
