"""Which classes a network learns, and in which order."""

from __future__ import annotations

from pathlib import Path

from ravenml.data.classes import class_order
from ravenml.data.project import ObjClass, Project
from ravenml.errors import InputError
from ravenml.store.model_state import read_config
from ravenml_unet.settings import UNetSettings
from ravenml_unet.weights import is_packed_model


def learned_classes(project: Project, settings: UNetSettings) -> list[ObjClass]:
    """The classes in index order: a fresh network's begin with the background; a given model's are its own.

    Raises:
        InputError: the project lacks a class, has none, or the given model has other classes.
    """
    classes = class_order(project, settings.classes)
    if len(classes) < 2:
        raise InputError(f"{project.root}: there is no class to learn; name others with --classes.")
    if settings.weights is None or not is_packed_model(Path(settings.weights)):
        return classes
    packed = read_config(Path(settings.weights)).get("out_classes", [])
    own = [ObjClass(c["title"], c["shape"], c["color"]) for c in packed]
    wanted, had = {c.title for c in classes}, {c.title for c in own}
    if wanted != had:
        name = sorted(wanted ^ had)[0]
        where = "the model lacks it" if name in wanted else "the data lack it"
        raise InputError(
            f"weights: the classes of {settings.weights} differ: {name!r}, {where}; see --classes."
        )
    return own
