"""Configuration files and lists of images with anything in them: read, or refused with the file's name."""

from __future__ import annotations

import json
import os
import random
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml
from projects import write_project

from ravenml.agent.task_folder import read_task_config
from ravenml.common.io import SCRATCH, write_json
from ravenml.common.parsing import read_json, read_yaml
from ravenml.config.config import config_path, effective_config, read_config_file
from ravenml.data.formats.class_list import classes_in
from ravenml.data.item_list import listed_items
from ravenml.data.project import Project
from ravenml.errors import RavenError
from ravenml.toolkit.augmentation.reading import read_pipeline
from ravenml.train.config import read_train_config
from torture.annotation_formats import replace_by_something_else
from torture.mutate import mutate, mutate_text
from torture.runner import guard

TRIALS = 10_000

TRAIN: dict[str, Any] = {
    "dataset": "meadows",
    "jobs": 2,
    "metadata": {"created_by": "me", "comments": "x", "own": {"a": [1]}},
    "kfold": {"folds": 3, "by": "random", "seed": 1},
    "split": {"percent": 20},
    "split_seed": 3,
    "upload_checkpoints": "best",
    "plugin": {"lr": 0.001, "epochs": 2, "input_size": {"width": 64, "height": 64}},
}
CONFIG: dict[str, Any] = {
    "dataset": "meadows",
    "datasets": {"meadows": "/data/meadows"},
    "cache_gib": 2.5,
    "region": "eu-central-1",
    "model_bucket_name": "s3://models/x",
    "addressing_style": "path",
    "track": "none",
    "upload_checkpoints": "all",
}
PIPELINE: dict[str, Any] = {
    "pipeline": [{"name": "fliplr", "p": 0.5}, {"name": "rotate", "range": [-10, 10]}, {"name": "blur"}]
}
ITEMS: list[Any] = [
    {"dataset_name": "ds", "item_name": "a.png"},
    {"dataset_name": "ds", "item_name": "b.png"},
]
CLASSES: dict[str, Any] = {
    "classes": [{"title": "car", "color": "#FF0000", "shape": "any"}, {"title": "bus"}]
}
# What no change at random would find.
HARMFUL = [
    "a: &a [*a]",
    "a: &a {b: *a}",
    "a: !!python/object/apply:os.system [ls]",
    "a: !!timestamp x",
    "? [a]\n: b",
    "a: &a [x,x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b,*b,*b,*b,*b]\n"
    "d: &d [*c,*c,*c,*c,*c,*c,*c,*c]\ne: &e [*d,*d,*d,*d,*d,*d,*d,*d]\nf: [*e,*e,*e,*e,*e,*e,*e,*e]",
    "<<: [*a]",
    "<<: {a: 1}\na: 2",
    "a: 1\na: 2",
    "%YAML 3.0\n---\na",
    "--- a\n--- b",
    "a: 0x" + "f" * 3000,
    "a: 1" + ":59" * 3000,
    "a: .nan",
    "a: 1_0",
    "&a " * 500,
    "'" * 5001,
    "- " * 5000,
    "\ufeff\ufeff{}",
    "!<x> a",
]


@contextmanager
def campaign(folder: Path) -> Iterator[Callable[[random.Random], str]]:
    """Each trial writes one file, in YAML or JSON, and reads it as the command that it is for does."""
    os.environ[SCRATCH] = str(folder)  # nobody looks for these files after a power cut
    home = Path(os.environ["RAVENML_STORAGE_PATH"])
    path = folder / "trial" / "given.yml"
    project = Project.open(write_project(folder / "project", names=["a.png", "b.png"], dataset="ds"))
    plugin: Any = None  # what is asked for is a file, so that the plugin's own configs are not looked at
    readers: list[tuple[Any, Callable[[Path], object]]] = [
        (TRAIN, read_train_config),
        (TRAIN, read_yaml),
        (TRAIN, read_json),
        (TRAIN, lambda file: read_task_config(plugin, "train", file, None)),
        (PIPELINE, read_pipeline),
        (CONFIG, lambda file: (effective_config({"region": "here"}), read_config_file())),
        (ITEMS, lambda file: listed_items(project, file)),
        (CLASSES, classes_in),
    ]

    def trial(rng: random.Random) -> str:
        for place in (folder / "trial", home):
            shutil.rmtree(place, ignore_errors=True)
            place.mkdir()
        value, read = rng.choice(readers)
        file = path.with_suffix(rng.choice([".yml", ".yaml", ".json"])) if value != CONFIG else config_path()
        file.write_bytes(_text(rng, value))
        if rng.random() < 0.03:
            replace_by_something_else(rng, file)
        with guard(folder):
            try:
                found = read(file)
                write_json(folder / "trial" / "again.json", found if isinstance(found, dict | list) else None)
            except RavenError as error:
                said = str(error)
                if len(said) > 20_000:
                    raise AssertionError(f"no sentence: {said!r:.300}") from None
                return "refused"
            return "read"

    yield trial


def _text(rng: random.Random, value: object) -> bytes:
    if rng.random() < 0.1:
        return rng.choice(HARMFUL).encode("utf-8", "surrogatepass")
    for _ in range(rng.choice([1, 1, 2, 3])):
        value = mutate(rng, value)
    if rng.random() < 0.5:
        text = json.dumps(value, indent=rng.choice([None, 2]))
    else:
        text = yaml.safe_dump(value, sort_keys=False, allow_unicode=rng.random() < 0.5)
    return mutate_text(rng, text) if rng.random() < 0.4 else text.encode("utf-8", "surrogatepass")
