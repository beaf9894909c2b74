"""Images that a file lists, such as a run's ``info/val_set.json``."""

from __future__ import annotations

from pathlib import Path

from ravenml.common.io import read_json
from ravenml.data.project import Item, Project
from ravenml.errors import InputError


def listed_items(project: Project, file: Path) -> list[Item]:
    """The items that a file lists.

    Raises:
        RavenError: there is no such file.
        InputError: it is no such list, is empty, or names an image that the project has not.
    """
    content = read_json(file)
    try:
        items = [project.item(f"{one['dataset_name']}/{one['item_name']}") for one in content]
    except (TypeError, KeyError):
        raise InputError(f"{file} must be a list of objects with dataset_name and item_name.") from None
    if not items:
        raise InputError(f"{file} lists no image.")
    return items
