"""A recorded command as one that can be given again: to go on with a run, or to start one like it."""

from __future__ import annotations

import difflib
import json
import os
import shlex
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn

from ravenml.common.io import JsonObject
from ravenml.common.secrets import HIDDEN, redact
from ravenml.errors import InputError
from ravenml.runs import layout
from ravenml.runs.run_row import flat_settings

ORIGIN = "RAVENML_ORIGIN"  # in a clone's environment, as JSON: which run it repeats, and what was set anew
REPLAYED = "RAVENML_REPLAYED"  # in the environment of a training whose command was read from a run
PARAMETERS = "RAVENML_PARAMETERS"  # in a program's environment: values above its own, as JSON or @FILE

# The environment's variables that stand for options of `raven train`: what a run was given then must not
# mix with what stands in the environment now.
OPTION_VARIABLES = tuple(
    f"RAVENML_{name}"
    for name in (
        *("DATASET", "KFOLD", "FOLDS", "FOLD_BY", "FOLD_SEED", "FOLD_FROM", "FOLD", "JOBS", "RESUME"),
        *("PRESET", "LOCAL", "NAME", "UNTAGGED", "UPLOAD_CHECKPOINTS", "IN_PROCESS"),
    )
)
# Options that are given anew, or whose value the recorded config has in a form that holds everywhere.
_REPLACED_OPTIONS = ("--dataset", "--local", "--resume")


@dataclass(frozen=True)
class Replay:
    """What is to be started.

    Attributes:
        arguments: behind ``raven``.
        folder: where; None for the folder that one is in.
        environment: variables that are set anew.
    """

    arguments: list[str]
    folder: Path | None = None
    environment: dict[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        return shlex.join(["raven", *self.arguments])

    def full_environment(self, plugin: str | None) -> dict[str, str]:
        """This process's environment without what stands for options of a training, and with the new."""
        prefix = f"RAVENML_{plugin}_".upper().replace("-", "_") if plugin else "\0"
        dropped = [k for k in os.environ if k in OPTION_VARIABLES or k.startswith(prefix)]
        kept = {k: v for k, v in os.environ.items() if k not in dropped or k == "RAVENML_STORAGE_PATH"}
        return kept | self.environment

    def start_instead(self, plugin: str | None) -> NoReturn:
        """Become the command: signals, the terminal and the exit code are its own."""
        if self.folder is not None:
            os.chdir(self.folder)
        sys.stdout.flush()
        sys.stderr.flush()
        command = [sys.executable, "-P", "-m", "ravenml", *self.arguments]
        replayed = {REPLAYED: "1"} if self.arguments[:1] == ["train"] else {}
        os.execve(sys.executable, command, self.full_environment(plugin) | replayed)


def replay_resume(folder: Path, record: JsonObject, more: Sequence[str] = ()) -> Replay:
    """The command that goes on with the run in ``folder``.

    Raises:
        InputError: it is not a training of a plugin, or nothing is left to do.
    """
    if record.get("agent"):
        raise InputError(
            f"{folder.name} is a task of `raven agent`, and ravenML cannot resume its program; "
            "`raven agent attach` takes over one whose agent is gone."
        )
    if (command := _program_words(record)) is not None:
        _refuse_hidden(record, command)
        return Replay(["run", "--resume", folder.name, *command, *more], _folder(record))
    if not record.get("plugin"):
        raise InputError(
            f"{folder.name} is not a training of a plugin, and ravenML cannot resume its program; "
            f"`raven runs clone {folder.name}` starts it again."
        )
    if (record.get("result") or {}).get("status") == "completed":
        raise InputError(f"{folder.name} is completed; `raven runs clone {folder.name}` starts one like it.")
    rest = _training_arguments(record)
    rest = _without_options(rest, [one.partition("=")[0] for one in more if one.startswith("--")])
    _refuse_hidden(record, rest)
    return Replay(["train", *rest, "--resume", folder.name, *more], _folder(record))


def _program_words(record: JsonObject) -> list[str] | None:
    """What stood behind ``raven run`` on this machine; None of a run that was started otherwise."""
    command: list[str] = record.get("command") or []
    is_program = record.get("kind") == "program" and command[1:2] == ["run"] and not record.get("remote")
    return command[2:] if is_program and (record.get("result") or {}).get("status") != "completed" else None


def replay_clone(folder: Path, record: JsonObject, sets: Sequence[str], more: Sequence[str] = ()) -> Replay:
    """The command that starts a run like the one in ``folder``.

    Args:
        folder: the run's folder.
        record: its ``run.json``.
        sets: what is different, as ``name=value``.
        more: further arguments, as the user would type them behind the command.

    Raises:
        InputError: a setting that is written wrongly or not known, or a value that was hidden as a secret.
    """
    if record.get("parent"):
        raise InputError(f"{folder.name} is a fold; clone the whole: raven runs clone {record['parent']}")
    values = parse_sets(sets)
    if record.get("kind") == "program":
        return _program(folder, record, values, more)
    config = folder / layout.TRAIN_ARGS
    if not record.get("plugin") or not config.exists():
        raise InputError(f"{folder.name} has no {layout.TRAIN_ARGS}, so it cannot be repeated.")
    if (record.get("config") or {}).get("artifact_path"):
        values = {"artifact_path": "null", **values}  # the folder of --local is the first run's
    clone_origin = {"clone_of": folder.name, "set": redact(values)}
    arguments = repeat_arguments(record, config, values)
    return Replay([*arguments, *more], _folder(record), {ORIGIN: json.dumps(clone_origin)})


def repeat_arguments(record: JsonObject, config: Path, values: Mapping[str, str]) -> list[str]:
    """The recorded command of a training, behind ``raven``, with ``config`` as its file and ``values`` set.

    Raises:
        InputError: it was no training, or a value was hidden as a secret and is not among ``values``.
    """
    rest = _training_arguments(record)
    for name, value in flat_settings(record).items():
        if value == HIDDEN:
            if name not in values:
                raise InputError(
                    f"The value of {name} is a secret that {record['id']} does not record; "
                    f"give it again with --set {name}=VALUE."
                )
            rest = _without_options(rest, ["--" + name.replace(".", "-").replace("_", "-")])
    if record.get("fold") is not None and not any(one.split("=")[0] == "--fold" for one in rest):
        rest += ["--fold", str(record["fold"])]
    rest = _without_options(rest, [f"--set {name}" for name in values])
    _refuse_hidden(record, rest)
    sets = [part for name, value in values.items() for part in ("--set", f"{name}={value}")]
    return ["train", "-c", str(config), *sets, *rest]


def parse_sets(sets: Sequence[str]) -> dict[str, str]:
    """``name=value`` pairs.

    Raises:
        InputError: one has no ``=`` or no name.
    """
    values: dict[str, str] = {}
    for text in sets:
        name, sign, value = text.partition("=")
        if not sign or not name.strip():
            raise InputError(f"--set: {text!r} sets nothing; write NAME=VALUE, such as lr=0.1.")
        values[name.strip()] = value.strip()
    return values


def _training_arguments(record: JsonObject) -> list[str]:
    """What stood behind ``raven train``, without the file and what is given anew."""
    command: list[str] = record.get("command") or []
    if command[1:2] != ["train"]:
        raise InputError(
            f"{record['id']} was not started by `raven train`: {shlex.join(command) or 'unknown'}"
        )
    rest = command[2:]
    file = record.get("config_file")
    if file is not None:
        rest = _without_options(rest, [f"-c {file}", f"--config {file}"])
    return _without_options(rest, _REPLACED_OPTIONS)


def _without_options(arguments: Sequence[str], options: Sequence[str]) -> list[str]:
    """Arguments less those options and their values.

    An option may be written with the beginning of the value that it must have: ``-c my.yml``, ``--set lr``
    (which is what stands before a ``=``).
    """
    kept: list[str] = []
    position = 0
    while position < len(arguments):
        argument = arguments[position]
        following = arguments[position + 1] if position + 1 < len(arguments) else None
        taken = 0
        for option in options:
            name, _, wanted = option.partition(" ")
            if argument == name and following is not None and _matches(following, wanted):
                taken = 2
            elif argument.startswith(f"{name}=") and _matches(argument[len(name) + 1 :], wanted):
                taken = 1
        if not taken:
            kept.append(argument)
        position += taken or 1
    return kept


def _matches(value: str, wanted: str) -> bool:
    return not wanted or value == wanted or value.startswith(f"{wanted}=")


def _program(folder: Path, record: JsonObject, values: dict[str, str], more: Sequence[str]) -> Replay:
    """A program's command: what a `Task` told of is handed over, other settings are put into the command."""
    arguments: list[str] = (record.get("command") or [])[1:]
    if not arguments:
        raise InputError(f"{folder.name} does not record its command, so it cannot be repeated.")
    before = (record.get("origin") or {}).get("set") or {}
    handed: dict[str, str] = {}
    known = flat_settings(record) if record.get("parameters") else {}
    told = record.get("captured") in (None, "task")  # a program that only was listened to takes no others
    sections = record.get("sections") or {}  # told by a `Task`
    for name, value in values.items():
        section = sections.get(name, sections.get(name.partition(".")[0]))
        if name in known and (told or (sections and section in (None, "General"))):
            handed[name] = value
        elif _set_argument(arguments, name, value):
            continue
        elif record.get("captured") == "hydra":
            arguments.append(f"{name}={value}")
        else:
            near = [] if name in known else difflib.get_close_matches(name, list(known), n=1)
            mend = f"did you mean `{near[0]}`?" if near else "give it behind `--`, as you would type it."
            has_none = "was not given" if name in known else "has no argument"
            raise InputError(f"--set: {folder.name} {has_none} {name!r}; {mend}")
    _refuse_hidden(record, arguments)
    handed = {k: v for k, v in before.items() if k in known and v != HIDDEN} | handed
    environment = {ORIGIN: json.dumps({"clone_of": folder.name, "set": redact({**before, **values})})}
    if handed:
        environment[PARAMETERS] = json.dumps(handed)
    return Replay([*arguments, *more], _folder(record), environment)


def _set_argument(arguments: list[str], name: str, value: str) -> bool:
    """Put a value behind ``--name`` in a command that has this option; whether it does."""
    first = arguments.index("--") + 1 if "--" in arguments else 0
    dashed = name.replace("_", "-")
    spelled = {f"--{name}", f"--{dashed}", f"-{name}", name}
    for position in range(first, len(arguments)):
        option, sign, _ = arguments[position].partition("=")
        if sign and option in spelled:  # also of Hydra's kind: lr=0.1
            arguments[position] = f"{option}={value}"
            return True
        if arguments[position] in spelled - {name} and position + 1 < len(arguments):
            arguments[position + 1] = value
            return True
    return False


def _refuse_hidden(record: JsonObject, arguments: Sequence[str]) -> None:
    for position, argument in enumerate(arguments):
        if HIDDEN in argument:
            name = argument.partition("=")[0] if argument != HIDDEN else arguments[max(0, position - 1)]
            what = f"The value of {name}" if HIDDEN not in name else f"A part of {name!r}"
            raise InputError(
                f"{what} is a secret that {record['id']} does not record; "
                f"type the command again yourself: {shlex.join(record.get('command') or [])}"
            )


def _folder(record: JsonObject) -> Path | None:
    """Where the command was given, if the folder is still there."""
    place = record.get("folder")
    return Path(place) if place and os.path.isdir(place) else None


def is_replayed() -> bool:
    """Whether this command was read from a run, and not typed; what it starts in turn is not told."""
    return os.environ.pop(REPLAYED, None) is not None


def clone_origin() -> JsonObject:
    """What a clone's environment says of where it comes from, once: what it starts in turn is not a clone."""
    text = os.environ.pop(ORIGIN, None)
    if text is None:
        return {}
    try:
        found = json.loads(text)
    except ValueError:
        return {}
    return {"origin": found} if isinstance(found, dict) else {}
