"""What an unpacked model says of itself in ``config.json``, checked before a plugin makes a network of it.

The file may come from anybody, so each value is checked for its type and range, and the weights must be a
file of the model's own folder.  Which networks there are is the plugin's knowledge.
"""

from __future__ import annotations

import os
import re
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ravenml.common.io import JsonObject
from ravenml.common.reading import open_file
from ravenml.data.meta import ObjClass
from ravenml.errors import InputError
from ravenml.store.model_state import CONFIG, read_config

LARGEST_SIDE = 16_384  # pixels of a network's input
MOST_UNPACKED = 20  # times the size of a file of weights; far more than any weights can be compressed
MOST_CLASSES = 65_535  # indices are 16-bit at most
_COLOR = re.compile(r"#[0-9A-Fa-f]{6}")


@dataclass(frozen=True)
class ModelFolder:
    """A trained model in a folder.

    Attributes:
        architecture: the network's name, whatever it is; the plugin decides whether it knows it.
        weights: an existing file within the folder.
        input_size: width and height of the network's input in pixels.
        classes: in index order.
        settings: all that ``config.json`` says under ``settings``, for fields of the plugin's own.
    """

    architecture: str
    weights: Path
    input_size: tuple[int, int]
    classes: list[ObjClass]
    settings: JsonObject


def read_model_folder(folder: Path) -> ModelFolder:
    """Read and check ``config.json`` of an unpacked ``model-state.tar``.

    Raises:
        InputError: a field is missing or unusable, or the weights are not a file of this folder.
        RavenError: there is no ``config.json``, or it is broken.
    """
    config = read_config(folder)
    where = f"{folder / CONFIG}"
    settings = config.get("settings") or {}
    architecture = settings.get("architecture")
    if not isinstance(architecture, str) or not architecture:
        raise InputError(
            f"{where}: `settings.architecture` should name the network, not {_shown(architecture)}."
        )
    size = read_input_size(settings.get("input_size"), f"{where}: `settings.input_size`")
    classes = read_classes(config.get("out_classes"), f"{where}: `out_classes`")
    weights = find_weights(folder, settings.get("weights"))
    return ModelFolder(architecture, weights, size, classes, settings)


def find_weights(folder: Path, name: object) -> Path:
    """The file of weights that a model's ``settings.weights`` names.

    Args:
        folder: the model's.
        name: a path within it, with ``/``.

    Returns:
        An existing regular file, links resolved.

    Raises:
        InputError: it is not a path, leads out of the folder (links included), or is not a file.
    """
    where = f"{folder / CONFIG}: `settings.weights`"
    if not isinstance(name, str) or not name or "\0" in name:
        raise InputError(f"{where} should name the file of the weights, not {_shown(name)}.")
    root = folder.resolve()
    try:
        path = (root / name).resolve()
        inside = not Path(name).is_absolute() and ".." not in Path(name).parts and path.is_relative_to(root)
        is_file = inside and path.is_file()
    except (OSError, RuntimeError):  # a name that is too long, or links in a circle
        inside, is_file = True, False
    if not inside:
        raise InputError(
            f"{where} leads out of the model's folder: {_shown(name)}; weights must lie within it."
        )
    if not is_file:
        raise InputError(f"{where} names {_shown(name)}, which is not a file of the model.")
    return path


def check_unpacked_size(path: Path) -> None:
    """Refuse weights in a ZIP archive (NumPy's, PyTorch's) that would unpack to far more than the file holds.

    Both libraries write their archives without compression.  What is not an archive is left to its reader.

    Raises:
        InputError: it would; or it is no file, such as a named pipe, for which a reader would wait.
    """
    try:
        content = open_file(path)
    except FileNotFoundError:
        return
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}.") from None
    try:
        with content, zipfile.ZipFile(content) as archive:
            size = sum(part.file_size for part in archive.infolist())
            held = os.fstat(content.fileno()).st_size
    except (OSError, zipfile.BadZipFile, ValueError, NotImplementedError):
        return
    if size > MOST_UNPACKED * held:
        raise InputError(f"{path} would unpack to {size / held:.0f} times its size; these are not weights.")


def read_input_size(size: object, where: str) -> tuple[int, int]:
    """Width and height, from ``{"width", "height"}``.

    Raises:
        InputError: they are not whole numbers from 1 to ``LARGEST_SIDE``.
    """
    sides = [size.get(side) for side in ("width", "height")] if isinstance(size, Mapping) else [None]
    numbers = [side for side in sides if type(side) is int and 1 <= side <= LARGEST_SIDE]
    if len(numbers) != 2:
        raise InputError(
            f"{where} should have width and height in pixels, 1 to {LARGEST_SIDE}, not {_shown(size)}."
        )
    return numbers[0], numbers[1]


def read_classes(listed: object, where: str) -> list[ObjClass]:
    """Classes in index order, from a list of ``{"title", "shape", "color"}``.

    Raises:
        InputError: it is not such a list, is empty, or holds a title twice.
    """
    if not isinstance(listed, list) or not 1 <= len(listed) <= MOST_CLASSES:
        raise InputError(f"{where} should list 1 to {MOST_CLASSES} classes, not {_shown(listed)}.")
    classes = []
    for number, entry in enumerate(listed):
        values = (
            [entry.get(name) for name in ("title", "shape", "color")] if isinstance(entry, Mapping) else []
        )
        texts = [value for value in values if isinstance(value, str)]
        if len(texts) != 3 or not texts[0] or not _COLOR.fullmatch(texts[2]):
            raise InputError(
                f"{where}: class {number} should have title, shape and color (#RRGGBB), not {_shown(entry)}."
            )
        classes.append(ObjClass(*texts))
    titles = [one.title for one in classes]
    if len(set(titles)) < len(titles):
        twice = next(title for title in titles if titles.count(title) > 1)
        raise InputError(f"{where}: the class {_shown(twice)} is there twice.")
    return classes


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:80]}…"
