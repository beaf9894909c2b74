"""Which classes a network learns, and in which order."""

from __future__ import annotations

from ravenml.data.classes import class_order
from ravenml.data.project import ObjClass, Project
from ravenml.errors import InputError
from ravenml_unet.settings import UNetSettings
from ravenml_unet.starts import Start


def learned_classes(project: Project, settings: UNetSettings, start: Start | None = None) -> list[ObjClass]:
    """The classes in index order, background first; a training that is continued keeps its own order.

    A bare state dict does not say its classes: continuing from one, only their number can be checked.

    Raises:
        InputError: the project lacks a class, has none, or the continued training had other classes.
    """
    classes = class_order(project, settings.classes)
    if len(classes) < 2:
        raise InputError(f"{project.root}: there is no class to learn; name others with --classes.")
    if start is None or start.classes is None or settings.weights_init_type == "transfer_learning":
        return classes
    wanted, had = {c.title for c in classes}, {c.title for c in start.classes}
    if wanted != had:
        name = sorted(wanted ^ had)[0]
        where = "the model lacks it" if name in wanted else "the data lack it"
        raise InputError(
            f"weights: the classes of {settings.weights} differ: {name!r}, {where}; see --classes, or train "
            "with --weights-init-type transfer_learning."
        )
    return start.classes
