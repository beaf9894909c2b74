"""Which classes a network learns, and in which order."""

from __future__ import annotations

from ravenml.data.classes import class_order
from ravenml.data.project import ObjClass, Project
from ravenml.errors import InputError
from ravenml.toolkit.pretrained import PretrainedWeights, match_classes
from ravenml_unet.settings import UNetSettings


def choose_classes(
    project: Project, settings: UNetSettings, start: PretrainedWeights | None = None
) -> list[ObjClass]:
    """The classes in index order, background first; a training that is continued keeps its own order.

    Raises:
        InputError: the project lacks a class, has none, or the continued training had other classes.
    """
    classes = class_order(project, settings.classes)
    if len(classes) < 2:
        raise InputError(f"{project.root}: there is no class to learn; name others with --classes.")
    return match_classes(start, classes, settings.weights_init_type)
