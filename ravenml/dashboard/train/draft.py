"""A draft: all that was chosen in the wizard, kept on disk, so that nothing is lost with a page."""

from __future__ import annotations

import re
import shlex
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ravenml.common.formatting import utc_timestamp
from ravenml.common.io import JsonObject, read_json, write_bytes, write_json
from ravenml.common.locks import exclusive_lock
from ravenml.common.permissions import make_folder
from ravenml.config.home import home
from ravenml.data.split import Untagged
from ravenml.errors import InputError
from ravenml.store.ids import new_id
from ravenml.train.config import PLUGIN_NAME

SCHEMA = 1
STEPS = ("project", "split", "classes", "augment", "model", "settings", "train")
_ID = re.compile(r"[0-9A-Za-z-]{1,64}")


class SplitOptions(BaseModel):
    """How the images are to be divided; only what belongs to ``way`` counts, the rest waits."""

    model_config = ConfigDict(extra="forbid")

    way: Literal["percent", "tags", "datasets", "kfold"] | None = None
    percent: float = 20.0
    seed: int = 0
    train_tag: str = "train"
    val_tag: str = "val"
    untagged: Untagged = "train"
    datasets: list[str] = Field(default_factory=list)
    folds: int = 5
    by: str = "random"
    only_tag: str | None = None


class Draft(BaseModel):
    """The wizard's whole state.

    ``settings`` holds what was changed of the plugin's settings, nested as in the config file; ``runs`` the
    runs that were started from here, oldest first; ``origin`` the run that it was made from.
    """

    model_config = ConfigDict(extra="forbid")

    v: int = Field(SCHEMA, le=SCHEMA)
    id: str
    created: str
    title: str = ""
    step: str = STEPS[0]
    dataset: str | None = None
    plugin: str | None = None
    split: SplitOptions = SplitOptions()
    preset: str | None = None
    settings: JsonObject = Field(default_factory=dict)
    jobs: int | None = None
    upload_checkpoints: Literal["all", "best", "none"] | None = None
    comments: str = ""
    queue: str | None = None
    origin: str | None = None
    runs: list[str] = Field(default_factory=list)


_lock = threading.Lock()


def drafts_dir() -> Path:
    """Where drafts rest."""
    return home() / "drafts"


def path_of(draft_id: str) -> Path:
    """A draft's file.

    Raises:
        InputError: this is not a draft's id.
    """
    if not _ID.fullmatch(draft_id):
        raise InputError(f"There is no draft {draft_id[:64]!r}.")
    return drafts_dir() / f"{draft_id}.json"


def new_draft(**fields: Any) -> Draft:
    """Make a draft and keep it."""
    draft = Draft(id=new_id(), created=utc_timestamp(), **fields)
    _write(draft)
    return draft


def read_draft(draft_id: str) -> Draft:
    """The draft as it is on disk now.

    Raises:
        InputError: there is none, or it is broken, or of a newer ravenML.
    """
    path = path_of(draft_id)
    if not path.exists():
        raise InputError(f"There is no draft {draft_id}.")
    try:
        return Draft.model_validate(read_json(path))
    except ValidationError as error:
        where = ".".join(str(part) for part in error.errors()[0]["loc"])
        raise InputError(
            f"{path}: `{where}` is not understood; a newer ravenML may have written it."
        ) from None


def change_draft(draft_id: str, change: Callable[[Draft], None]) -> Draft:
    """Change what is on disk now, so that what two browsers choose both counts.

    Raises:
        InputError: the draft was removed meanwhile.
    """
    make_folder(drafts_dir())
    with _lock, exclusive_lock(drafts_dir() / ".lock"):
        draft = read_draft(draft_id)
        before = draft.model_copy(deep=True)
        change(draft)
        if draft != before:
            _write(draft)
        return draft


def remove_draft(draft_id: str) -> None:
    """Forget a draft; what it started goes on."""
    path = path_of(draft_id)
    make_folder(drafts_dir())
    with _lock, exclusive_lock(drafts_dir() / ".lock"):  # a change under way would bring it back
        for one in (path, path.with_suffix(".yml")):
            one.unlink(missing_ok=True)


def list_drafts() -> list[Draft]:
    """All drafts, the one that was changed last first; broken ones are left out."""
    folder = drafts_dir()
    files = sorted(folder.glob("*.json"), key=lambda file: -file.stat().st_mtime) if folder.is_dir() else []
    found = []
    for file in files:
        try:
            found.append(read_draft(file.stem))
        except InputError:
            continue
    return found


def changed_at(draft_id: str) -> int:
    """A number that differs after every change; 0 if the draft is gone."""
    try:
        return path_of(draft_id).stat().st_mtime_ns
    except OSError:
        return 0


def value_at(settings: JsonObject, name: str, default: object = None) -> Any:
    """A setting by its dotted name."""
    inner: Any = settings
    for part in name.split("."):
        if not isinstance(inner, dict) or part not in inner:
            return default
        inner = inner[part]
    return inner


def put(settings: JsonObject, name: str, value: object) -> None:
    """Set a setting by its dotted name; None takes it out, so that the default holds again."""
    *above, last = name.split(".")
    if value is None:
        inner: Any = settings
        for part in above:
            inner = inner.get(part, {})
        inner.pop(last, None)
        if above and not inner:
            put(settings, ".".join(above), None)
        return
    for part in above:
        settings = settings.setdefault(part, {})
    settings[last] = value


def _write(draft: Draft) -> None:
    make_folder(drafts_dir())  # settings may hold what is private
    write_json(path_of(draft.id), draft.model_dump(mode="json"))
    write_bytes(path_of(draft.id).with_suffix(".yml"), as_yaml(draft).encode())


def as_config(draft: Draft) -> JsonObject:
    """The draft in the form of the config file; what was left as it is does not stand there."""
    config: JsonObject = {PLUGIN_NAME: draft.plugin, "dataset": draft.dataset}
    config |= _split_config(draft.split)
    if draft.jobs is not None and "kfold" in config:
        config["jobs"] = draft.jobs
    config["name"] = draft.title or None
    config["upload_checkpoints"] = draft.upload_checkpoints
    config["metadata"] = {"comments": draft.comments} if draft.comments else None
    config["preset"] = draft.preset
    config["plugin"] = draft.settings or None
    return {name: value for name, value in config.items() if value is not None}


def as_yaml(draft: Draft) -> str:
    """The file for ``raven train -c``."""
    return yaml.safe_dump(as_config(draft), sort_keys=False, allow_unicode=True, width=100)


def arguments(draft: Draft, command: str = "train", file: Path | None = None) -> list[str]:
    """What starts the draft, behind ``raven``.

    Args:
        command: the plugin's training command.
        file: where it stands as YAML; without it, the draft's own file.
    """
    queue = ["--remote", draft.queue] if draft.queue else []
    file = file or path_of(draft.id).with_suffix(".yml")
    return ["train", *queue, "-c", str(file), draft.plugin or "PLUGIN", command]


def as_command(draft: Draft, command: str = "train") -> str:
    """The command line, to copy."""
    return shlex.join(["raven", *arguments(draft, command)])


def _split_config(options: SplitOptions) -> JsonObject:
    if options.way == "kfold":
        kfold = {"folds": options.folds, "by": options.by, "seed": options.seed, "tag": options.only_tag}
        return {"kfold": {name: value for name, value in kfold.items() if value is not None}}
    if options.way == "tags":
        untagged = {"untagged": options.untagged} if options.untagged != "train" else {}
        return {"split": {"tags": [options.train_tag, options.val_tag]}, **untagged}
    if options.way == "datasets":
        return {"split": {"datasets": list(options.datasets)}}
    if options.way == "percent":
        return {"split": {"percent": options.percent}, "split_seed": options.seed}
    return {}
