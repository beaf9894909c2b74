"""A plugin's helper: a process that answers questions about its settings, for pages that import no plugin.

``python -m ravenml.train.helper PLUGIN`` reads questions from stdin and answers on stdout, in lines of JSON:

- ``{"ask": "describe"}``: what `ravenml.train.form.describe_settings` gives;
- ``{"ask": "check", "settings": {…}, "classes": [TITLE …]}``: ``settings`` (all of them, flat; null where
  they make no sense) and ``wrong``, a sentence per field; with a project's classes it is all that the
  command would refuse;
- ``{"ask": "curve", "settings": {…}, "steps": 10}``: ``rates``;
- ``{"ask": "augment", "settings": {…}, "images": [FILE …], "folder": …, "seed": 0, "count": 1,
  "width": 320, "masks": [FILE.npy …], "colours": [[R, G, B] …]}``: ``pictures``, the names of files that were
  written into the folder, and ``code``, the augmentations as Python.  Masks are laid over the pictures
  where there are any; ``i + 1`` in one is the colour ``i``.

Every answer has ``error``, a sentence or None.  It ends with its stdin, and with whoever started it.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import orjson
from pydantic import BaseModel

from ravenml.common.hooks import SETTINGS
from ravenml.common.io import JsonObject
from ravenml.errors import InputError, RavenError
from ravenml.plugin.discovery import find_plugin
from ravenml.train.form import describe_settings, flatten, validate_settings
from ravenml.train.settings import TrainSettings


def answer(model: type[BaseModel], question: JsonObject) -> JsonObject:
    """The answer to one question.

    Raises:
        RavenError: it cannot be answered.
    """
    kind = str(question.get("ask"))
    if kind == "describe":
        return describe_settings(model)
    settings, wrong = validate_settings(model, question.get("settings", {}))
    if kind == "check":
        if isinstance(settings, TrainSettings) and question.get("classes") is not None:
            wrong = settings.find_problems(question["classes"])
        return {
            "settings": None if settings is None else flatten(settings.model_dump(mode="json"), model),
            "wrong": wrong,
        }
    if settings is None:
        raise InputError(" ".join(wrong.values()))
    if not isinstance(settings, TrainSettings):
        return {"rates": [], "pictures": [], "code": ""}
    if kind == "curve":
        return {"rates": settings.learning_rates(int(question["steps"]))}
    if kind == "augment":
        return {"pictures": _augment(settings, question), "code": settings.augmentation_code()}
    raise InputError(f"ask: {kind!r} is not a question that is known.")


def _augment(settings: TrainSettings, question: JsonObject) -> list[list[str]]:
    """For each image its small copy and the changed ones, as files."""
    import cv2

    from ravenml.common.io import write_cache
    from ravenml.data.images import read_image
    from ravenml.data.masks import overlay_masks

    colours = np.array(question.get("colours") or [], np.uint8).reshape(-1, 3)
    folder, seed = Path(question["folder"]), int(question["seed"])
    rows: list[list[str]] = []
    for number, file in enumerate(question["images"]):
        image = read_image(Path(file))
        scale = min(1.0, int(question["width"]) / image.shape[1])
        size = max(1, round(image.shape[1] * scale)), max(1, round(image.shape[0] * scale))
        small = np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)
        count = int(question["count"])
        if question.get("masks"):
            mask = np.load(question["masks"][number], allow_pickle=False)
            mask = np.asarray(cv2.resize(mask, size, interpolation=cv2.INTER_NEAREST), np.uint8)
            pairs = settings.augmented_with_mask(small, mask, count, seed + number)
            changed = [overlay_masks(one, its, colours) for one, its in pairs]
            changed = changed or settings.augmented(small, count, seed + number)
            small = overlay_masks(small, mask, colours)
        else:
            changed = settings.augmented(small, count, seed + number)
        row = []
        for place, picture in enumerate([small, *changed]):
            path = folder / f"{number}-{place}.jpg"
            content = cv2.imencode(".jpg", picture[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 88])[1].tobytes()
            write_cache(path, [content])
            row.append(path.name)
        rows.append(row)
    return rows


def safely(work: Callable[[], JsonObject]) -> JsonObject:
    """The answer, or the sentence that says why there is none; a plugin's own errors end nothing."""
    try:
        return {"error": None, **work()}
    except RavenError as error:
        return {"error": str(error)}
    except Exception as error:
        return {"error": f"The plugin failed with {type(error).__name__}: {error}"}


def main(name: str) -> None:
    """Answer until stdin ends.  What the plugin prints goes to stderr."""
    answers = os.fdopen(os.dup(1), "wb", buffering=0)
    os.dup2(2, 1)
    published = find_plugin(name, SETTINGS)
    model: Any = None

    def loaded() -> type[BaseModel]:
        nonlocal model
        if published is None:
            raise InputError(f"The plugin {name!r} publishes no settings.")
        if model is None:
            model = published.load()
        if not (isinstance(model, type) and issubclass(model, BaseModel)):
            raise published.load_error(f"{published.entry_point.value} is not a pydantic model")
        return model

    for line in sys.stdin.buffer:
        question = orjson.loads(line)
        reply = safely(lambda question=question: answer(loaded(), question))  # type: ignore[misc]
        answers.write(
            orjson.dumps(reply, default=str, option=orjson.OPT_APPEND_NEWLINE | orjson.OPT_SERIALIZE_NUMPY)
        )


if __name__ == "__main__":
    main(sys.argv[1])
