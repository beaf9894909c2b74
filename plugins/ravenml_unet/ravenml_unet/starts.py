"""What a training may begin from, and what that says of itself.  Imports no framework.

Three kinds are known: a bare state dict (``.pth``), which says nothing; a ``model-state.tar``; and the
folder of a training, Supervisely's U-Net app's or a run of ours (or a ``.pth`` in its ``checkpoints/``),
whose ``info/ui_state.json`` names architecture and input size and whose ``info/model_classes.json`` lists
the classes in index order (the app puts the background last).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ravenml.data.project import ObjClass
from ravenml.errors import InputError
from ravenml.files import read_json
from ravenml.store.model_state import read_config

BEST, LAST = re.compile(r"model_(\d+)_best\.pth"), re.compile(r"model_(\d+)(_\d+)?_last\.pth")
PERIODIC = re.compile(r"model_(\d+)\.pth")


@dataclass(frozen=True)
class Start:
    """What trained weights say of themselves; None where they do not.

    Attributes:
        path: a ``.pth`` file, or a ``model-state.tar``.
        architecture: as ``--model`` names it.
        size: the input's width and height.
        classes: in index order.
    """

    path: Path
    architecture: str | None = None
    size: tuple[int, int] | None = None
    classes: list[ObjClass] | None = None

    @property
    def is_packed(self) -> bool:
        """Whether it is a ``model-state.tar`` (by its name's end)."""
        return self.path.suffix == ".tar"


def read_start(path: Path) -> Start:
    """Look at what ``--weights`` names, without reading the weights.

    Raises:
        InputError: it does not exist, is neither of the three kinds, or says what makes no sense.
    """
    path = path.expanduser()
    if not path.exists():
        raise InputError(
            f"weights: {path} does not exist; give a .pth file, a model-state.tar or a training's folder."
        )
    if path.is_dir():
        return _of_training(path, _chosen_checkpoint(path))
    if path.suffix == ".tar":
        return _of_tar(path)
    folder = path.absolute().parent.parent
    if path.absolute().parent.name == "checkpoints" and (folder / "info" / "ui_state.json").is_file():
        return _of_training(folder, path)
    return Start(path)


def _of_tar(path: Path) -> Start:
    config = read_config(path)
    settings = config.get("settings", {})
    size = settings.get("input_size") or {}
    return Start(
        path,
        settings.get("architecture"),
        (int(size["width"]), int(size["height"])) if {"width", "height"} <= size.keys() else None,
        _classes(config.get("out_classes", []), path),
    )


def _of_training(folder: Path, weights: Path) -> Start:
    state_file, classes_file = folder / "info" / "ui_state.json", folder / "info" / "model_classes.json"
    for file in (state_file, classes_file):
        if not file.is_file():
            raise InputError(f"weights: {folder} is no training's folder: it has no info/{file.name}.")
    state, own = read_json(state_file), read_json(classes_file)
    try:
        ours = state.get("plugin")
        model = ours["model"] if isinstance(ours, dict) else state["selectedModel"]
        size = ours["input_size"] if isinstance(ours, dict) else state["imgSize"]
        sides = (int(size["width"]), int(size["height"]))
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise InputError(
            f"{state_file}: {error} is missing or unusable; it should hold selectedModel and "
            "imgSize with width and height."
        ) from None
    return Start(weights, str(model), sides, _classes(own, classes_file))


def _classes(listed: Any, where: Path) -> list[ObjClass]:
    try:
        return [ObjClass(c["title"], c["shape"], c["color"]) for c in listed]
    except (KeyError, TypeError) as error:
        raise InputError(f"{where}: a class lacks {error}; each needs title, shape and color.") from None


def _chosen_checkpoint(folder: Path) -> Path:
    """The best weights of a training's folder, else the last, else the newest."""
    files = list((folder / "checkpoints").glob("*.pth"))
    for pattern in (BEST, LAST, PERIODIC):
        found = [(int(match[1]), file) for file in files if (match := pattern.fullmatch(file.name))]
        if found:
            return max(found)[1]
    raise InputError(f"weights: {folder} has no weights in checkpoints/, such as model_003_best.pth.")
