"""Are the settings of ClearML scripts recorded as ClearML itself records them?

    python benchmarks/clearml_settings.py CHECKOUT [--only TEXT ...] [--path FOLDER] [--limit SECONDS]

Each script of CHECKOUT (ClearML's own `examples`) runs twice: with ClearML, which must be installed beside
this Python, in its offline mode, and with `ravenml.task` in its place.  Where ClearML records settings
(`hyperparams` of its offline `task.json`), those of all tasks of the script are compared by section, name
and text.  A script whose time is over is stopped, and compared by what it had recorded.

Not compared are the flags that Fire, absl and Hydra add to every program (`Args/help`,
`TF_DEFINE/verbosity`, `Args/multirun`), which are not settings of the program: ravenML leaves them out.  Nor
are the tasks in which ClearML keeps a dataset.
"""

from __future__ import annotations

import argparse
import functools
import json
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

from clearml_examples import ARGUMENTS, find_scripts, prepare, run

Settings = dict[str, str]  # by ClearML's "Section/name"
FIRE_FLAGS = ("completion", "help", "interactive", "separator", "trace", "verbose")
READ = """
import json
from ravenml.task import Task
print(json.dumps([task.get_parameters() for task in reversed(Task.get_tasks())]))
"""


def of_clearml(path: Path, checkout: Path, paths: list[str], limit: float) -> list[Settings]:
    """The settings of each task of a script, as ClearML records them offline."""
    with prepare(path, checkout, paths[1:]) as (here, environment):
        environment["PYTHONPATH"] = environment["PYTHONPATH"].partition(":")[2]  # without our `clearml`
        command = [sys.executable, path.name, *ARGUMENTS.get(path.name, ())]
        run(command, here, environment | {"CLEARML_OFFLINE_MODE": "1"}, limit)
        offline = Path(environment["HOME"]) / ".clearml" / "cache" / "offline"
        files = sorted(offline.glob("*/task.json"), key=lambda file: file.parent.stat().st_ctime)
        tasks = [json.loads(file.read_text()) for file in files]
        return [
            flatten(task.get("hyperparams") or {})
            for task in tasks
            if ".datasets/" not in str(task.get("project_name"))
        ]


def flatten(sections: dict[str, dict[str, Any]]) -> Settings:
    return {
        f"{section}/{name}": str(entry.get("value"))
        for section, names in sections.items()
        for name, entry in names.items()
    }


def of_ravenml(path: Path, checkout: Path, paths: list[str], limit: float) -> list[Settings]:
    """The settings of each run of a script, under ClearML's names."""
    with prepare(path, checkout, paths) as (here, environment):
        run([sys.executable, path.name, *ARGUMENTS.get(path.name, ())], here, environment, limit)
        read = [sys.executable, "-c", READ]
        answer = subprocess.run(read, env=environment, capture_output=True, text=True, check=True)
        found: list[Settings] = json.loads(answer.stdout)
        return found


@functools.cache
def library_flags(library: str) -> set[str]:
    """Names of the settings that a library adds to each program that uses it."""
    if library == "fire":
        return {f"Args/{name}" for name in FIRE_FLAGS}
    if library == "absl":
        from absl import app, flags

        app.define_help_flags()
        return {f"TF_DEFINE/{name}" for name in flags.FLAGS}
    if library == "hydra":
        from hydra._internal.utils import get_args_parser

        own = {f"Args/{action.dest}" for action in get_args_parser()._actions}
        return {*own, "Hydra/_allow_omegaconf_edit_"}  # the last is a switch of ClearML
    return set()


def differ(theirs: list[Settings], ours: list[Settings], left_out: set[str]) -> list[str]:
    """One line for each setting that is not the same."""
    lines = [] if len(theirs) == len(ours) else [f"{len(theirs)} tasks, here {len(ours)}"]
    for their, our in zip(theirs, ours, strict=False):
        lines += [
            f"{name}: {their.get(name, '(none)')!r}, here {our.get(name, '(none)')!r}"
            for name in sorted({*their, *our} - left_out)
            if their.get(name) != our.get(name)
        ]
    return lines


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("checkout", type=Path)
    parser.add_argument("--only", nargs="*", default=(), help="only scripts whose path contains one of these")
    parser.add_argument("--path", action="append", default=[], help="a folder with further packages")
    parser.add_argument("--limit", type=float, default=40, help="seconds for one script")
    chosen = parser.parse_args()
    sys.path[1:1] = [str(Path(one).absolute()) for one in chosen.path]
    paths = [str(Path(__file__).parents[1]), *(str(Path(one).absolute()) for one in chosen.path)]
    counted: Counter[str] = Counter()
    for path in find_scripts(chosen.checkout):
        name = path.relative_to(chosen.checkout).as_posix()
        if chosen.only and not any(one in name for one in chosen.only):
            continue
        theirs = of_clearml(path, chosen.checkout, paths, chosen.limit)
        if not any(theirs):
            continue
        source = path.read_text(errors="replace")
        used = re.findall(r"^\s*(?:from|import) (fire|absl|hydra)\b", source, re.MULTILINE)
        left_out = set().union(*map(library_flags, used))
        lines = differ(theirs, of_ravenml(path, chosen.checkout, paths, chosen.limit), left_out)
        counted["differs" if lines else "equal"] += 1
        print(f"{'differs' if lines else 'equal':8} {name}  ({sum(map(len, theirs))} settings)", flush=True)
        for line in lines:
            print(f"         {line[:200]}", flush=True)
    print(f"{counted['equal']} of {counted.total()} are equal.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
