"""Doing a recorded run once more, as far as what it came from can be had, and saying how well it agrees."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path

from ravenml.common.io import JsonObject, read_json, to_jsonable, write_json
from ravenml.common.permissions import make_folder
from ravenml.config.machine import usable_cores
from ravenml.data.cache import default_cache
from ravenml.data.project import Project
from ravenml.data.registry import resolve_dataset
from ravenml.errors import InputError, RavenError
from ravenml.runs import layout
from ravenml.runs.provenance import VARIABLES, machine
from ravenml.runs.record import read_record, status
from ravenml.runs.replay import Replay, parse_sets, repeat_arguments, replay_clone
from ravenml.runs.reproduce.agreement import DIFFERENT, MISSING, Verdict, agreement, summary, table
from ravenml.runs.reproduce.checkout import Checkouts, check_out
from ravenml.runs.reproduce.environment import (
    Interpreter,
    canonical_name,
    current_interpreter,
    make_environment,
)

REPORT = "report.json"


@dataclass
class Reproduction:
    """What came of repeating a run.

    Attributes:
        run: the run that was repeated.
        again: the new run's folder; None where the command began none.
        exit_code: the command's.
        restored, missing: what could be brought back, and what could not, in words.
        verdicts: metric by metric.
    """

    run: str
    again: Path | None
    exit_code: int
    restored: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    verdicts: list[Verdict] = field(default_factory=list)

    @property
    def agrees(self) -> bool:
        """Whether every metric is identical or close."""
        bad = (DIFFERENT, MISSING)
        return self.again is not None and not any(one.verdict in bad for one in self.verdicts)

    def lines(self) -> list[str]:
        """The report for people."""
        lines = ["Restored:", *(f"  {one}" for one in self.restored)]
        lines += ["Could not be restored:", *(f"  {one}" for one in self.missing)] if self.missing else []
        return [*lines, "", *table(self.verdicts), summary(self.verdicts)]


def reproduce(
    run: Path,
    folder: Path,
    *,
    in_this_environment: bool = False,
    dataset: str | None = None,
    anyway: bool = False,
    sets: tuple[str, ...] = (),
    output: int | None = None,
    say: Callable[[str], None] = print,
) -> Reproduction:
    """Repeat the run in ``run`` in a folder of its own.

    Args:
        run: the recorded run.
        folder: where code, environment and the new run go; must not exist, or be empty.
        in_this_environment: take this Python and its packages instead of making an environment.
        dataset: where the data are now; by default where they were.
        anyway: go on with other data than the recorded.
        sets: secrets, which are not recorded, as ``name=value``.
        output: the file descriptor that takes what the command prints; by default this process's stdout.
        say: is told what is being done.

    Raises:
        InputError: the run is running or a fold, the folder is in use, or the data are not the recorded ones.
        RavenError: the environment cannot be made.
    """
    record = read_record(run)
    if status(run, record) == "running":
        raise InputError(f"{run.name} is still running.")
    if record.get("parent"):
        raise InputError(
            f"{run.name} is a fold; reproduce the whole: raven runs reproduce {record['parent']}"
        )
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise InputError(f"{folder} is not empty; name another folder with --into.")
    restored: list[str] = []
    missing: list[str] = []
    data = _data(record, dataset, anyway, restored, missing)
    _arguments(run, record, folder, sets)  # what is refused is refused before anything is made
    make_folder(folder)
    say(f"Bringing back the code of {run.name} in {folder / 'code'}.")
    code = check_out(run, record, folder / "code")
    sources = _sources(record, code)
    if in_this_environment:
        interpreter = current_interpreter(record, sources)
    else:
        interpreter = make_environment(record, sources, folder / "environment", say)
    restored[:0] = [*code.restored, *interpreter.restored]
    missing[:0] = [*code.missing, *interpreter.missing]
    missing += _other_machine(record)
    command = _arguments(run, record, folder, sets, data)
    place, lost = _place(record, code, folder)
    missing += lost
    environment = _environment(record, folder, interpreter) | command.environment
    say(f"Runs in {place}: {command}")
    exit_code = _run(record, command.arguments, place, environment, interpreter, output)
    begun = sorted((folder / "home" / "runs").glob(f"*/{layout.RUN_JSON}"))
    again = begun[0].parent if begun else None
    verdicts = agreement(run, again) if again is not None else []
    result = Reproduction(run.name, again, exit_code, restored, missing, verdicts)
    write_json(folder / REPORT, to_jsonable({"v": 1, **asdict(result), "agrees": result.agrees}, REPORT))
    return result


def _data(
    record: JsonObject, elsewhere: str | None, anyway: bool, restored: list[str], missing: list[str]
) -> Path | None:
    """The folder of the run's dataset, whose content was compared with the recorded digest."""
    recorded = record.get("dataset")
    if not recorded:
        if elsewhere is not None:
            raise InputError(f"--dataset: {record['id']} recorded no dataset.")
        return None
    path = Path(recorded["path"])
    if elsewhere is not None or not path.is_dir():
        path = resolve_dataset(elsewhere if elsewhere is not None else str(recorded["name"]))
    digest = recorded.get("sha256")
    if digest is None:
        missing.append(
            f"the dataset {recorded['name']}: its content was not recorded; {path} is taken as it is"
        )
        return path
    project = Project.open(path)
    if default_cache().digest(project, usable_cores(), anew=True) == digest:
        restored.append(f"the dataset {recorded['name']}: {recorded['images']} images, verified by SHA-256")
        return path
    told = f"{path} is not the dataset that was recorded: its content has another SHA-256"
    if len(project.items) != recorded["images"]:
        told += f", and it has {len(project.items)} images instead of {recorded['images']}"
    if not anyway:
        raise InputError(f"{told}; --dataset DIR names the right one, --anyway uses this one.")
    missing.append(f"the dataset {recorded['name']}: {told}")
    return path


def _arguments(
    run: Path, record: JsonObject, folder: Path, sets: tuple[str, ...], data: Path | None = None
) -> Replay:
    """The recorded command, with a config of its own, which is written once the folder is there."""
    if record.get("kind") == "program":
        return replay_clone(run, record, sets)
    if not (run / layout.TRAIN_ARGS).exists():
        raise InputError(f"{run.name} has no {layout.TRAIN_ARGS}, so it cannot be repeated.")
    config = folder / "train_args.json"
    if folder.exists():
        values: JsonObject = read_json(run / layout.TRAIN_ARGS)
        values |= {"artifact_path": None, "dataset": str(data) if data is not None else values.get("dataset")}
        write_json(config, values)
    return Replay(repeat_arguments(record, config, parse_sets(sets)))


def _sources(record: JsonObject, code: Checkouts) -> dict[str, Path]:
    """The restored folders that are distributions themselves, by the distributions' names."""
    named = {"core": "ravenml", "plugin": str(record.get("plugin_distribution") or "")}
    found: dict[str, Path] = {}
    for name, distribution in named.items():
        place = code.places.get(name)
        above = [place, *place.parents] if place is not None and distribution else []
        inside = [one for one in above if any(one.is_relative_to(root) for root in code.roots.values())]
        for folder in inside:
            if (folder / "setup.py").is_file() or (folder / "pyproject.toml").is_file():
                found[canonical_name(distribution)] = folder
                break
    if record.get("kind") == "program":  # one that uses ravenML finds the one that records it
        root = Path(__file__).resolve().parents[3]
        if (root / "setup.py").is_file():
            found.setdefault("ravenml", root)
    return found


def _place(record: JsonObject, code: Checkouts, folder: Path) -> tuple[Path, list[str]]:
    """Where the command is given: in the checkout, where it was given in one; else where it was given."""
    given = record.get("folder")
    if given is None:
        return folder, ["the folder in which the command was given: it was not recorded"]
    moved = code.moved(Path(given), (record.get("provenance") or {}).get("code") or {})
    if moved is not None and moved.is_dir():
        return moved, []
    if Path(given).is_dir():
        return Path(given), []
    return folder, [f"the folder in which the command was given: {given} is gone"]


def _environment(record: JsonObject, folder: Path, interpreter: Interpreter) -> dict[str, str]:
    before = (record.get("provenance") or {}).get("environment") or {}
    base = Replay([]).full_environment(record.get("plugin"))
    kept = {name: value for name, value in base.items() if name not in VARIABLES}
    home = {"RAVENML_STORAGE_PATH": str(folder / "home")}
    paths = [str(path) for path in interpreter.path]
    if interpreter.python != Path(sys.executable):
        kept = {k: v for k, v in kept.items() if k not in ("PYTHONPATH", "PYTHONHOME")}
        home |= {"VIRTUAL_ENV": str(interpreter.python.parent.parent)}
        home |= {"PATH": os.pathsep.join([str(interpreter.python.parent), kept.get("PATH", "")])}
    elif paths:
        home["PYTHONPATH"] = os.pathsep.join([*paths, *filter(None, [kept.get("PYTHONPATH")])])
    return {**kept, **before, **home}


def _run(
    record: JsonObject,
    arguments: list[str],
    place: Path,
    environment: dict[str, str],
    interpreter: Interpreter,
    output: int | None,
) -> int:
    """Run the command to its end; a program is recorded by this ravenML, and runs with the other Python."""
    python = interpreter.python
    if record.get("kind") == "program":
        recorded = (record.get("provenance") or {}).get("executable")
        arguments = [str(interpreter.python) if one == recorded else one for one in arguments]
        python = Path(sys.executable)
    command = [str(python), "-P", "-m", "ravenml", *arguments]
    try:
        with subprocess.Popen(command, cwd=place, env=environment, stdout=output) as child:
            while True:
                with suppress(KeyboardInterrupt):  # Ctrl-C reaches the command, too, which ends in good order
                    return child.wait()
    except OSError as error:
        raise RavenError(f"{python} does not start: {error.strerror}.") from None


def _other_machine(record: JsonObject) -> list[str]:
    """How this machine differs from the recorded one, where it may matter."""
    before: JsonObject = (record.get("provenance") or {}).get("machine") or {}
    now = machine()
    named = {
        "cpu": "the processor",
        "cores": "the number of cores",
        "gpus": "the GPUs",
        "system": "the system",
    }
    return [
        f"{what}: {before[key] or 'none'} then, {now[key] or 'none'} now"
        for key, what in named.items()
        if key in before and before[key] != now[key]
    ]
