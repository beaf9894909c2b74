"""What the mode ``main`` finds in its task folder: the input of an import, or of any other plugin.

An import gets the content of a folder, as if it had been uploaded, and writes a project; others get projects.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

from ravenml.agent.plugin_folder import PluginFolder
from ravenml.common.io import JsonObject
from ravenml.data.project import Project
from ravenml.data.registry import resolve_dataset
from ravenml.errors import InputError, RavenError

_IMPORT = {"append_to_existing_project": False, "preset": ""}


def import_config(plugin: PluginFolder, config: JsonObject, data: Sequence[str]) -> JsonObject:
    """What ``task_config.json`` of an import holds: what was set as ``options``, and the project's name.

    Of another plugin it holds just what was set.  A config that has ``options`` or ``res_names`` is complete.

    Raises:
        InputError: one of these fields, or the project's name, is of another type than an import expects; or
            an import has not one folder.
    """
    if not plugin.imports:
        return config
    _check_count(plugin, data)
    whole = config if {"options", "res_names"} & set(config) else {"options": config}
    name = Path(data[0]).expanduser().absolute().name
    found = {**_IMPORT, "options": {}, "res_names": {}, **whole}
    for field in ("options", "res_names"):
        if not isinstance(found[field], dict):
            raise InputError(f"The config of an import has `{field}`, which must be an object.")
    found["res_names"] = {"project": name, **found["res_names"]}
    project = found["res_names"]["project"]
    if not isinstance(project, str) or project in ("", ".", "..") or "/" in project:
        raise InputError("The config's `res_names.project` must be the new project's name, without a slash.")
    return found


def split_input(plugin: PluginFolder, data: Sequence[str]) -> tuple[dict[str, Path], Path | None]:
    """The projects that the program sees by their names, and the folder whose content it gets instead.

    Raises:
        InputError: a folder is not there, an import has not one of them, or there is more than one that is
            not a project, or two of the same name.
    """
    places = [resolve_dataset(one) for one in data]
    for place in places:
        if not place.is_dir():
            raise InputError(f"--data {place} is a file; name the folder that holds it.")
    if plugin.imports:
        _check_count(plugin, data)
        return {}, places[0]
    projects = [place.resolve() for place in places if (place / "meta.json").is_file()]
    folders = [place for place in places if place.resolve() not in projects]
    if folders and (projects or len(folders) > 1):
        raise InputError(
            f"--data {folders[0]} is not a project (it has no meta.json); give it alone, or leave it out."
        )
    if len({place.name for place in projects}) < len(projects):
        raise InputError(
            "--data: two projects have the same name, which the plugin tells them by; rename one."
        )
    return {Project.open(place).root.name: place for place in projects}, folders[0] if folders else None


def _check_count(plugin: PluginFolder, data: Sequence[str]) -> None:
    if len(data) != 1:
        raise InputError(f"{plugin.name} imports a folder; name it with --data, and no other.")


def copy_input(source: Path, target: Path) -> None:
    """Copy the content of a folder, that of links in it too: an import may change what it is given.

    Raises:
        RavenError: it cannot be copied.
    """
    try:
        shutil.copytree(source, target, dirs_exist_ok=True, ignore_dangling_symlinks=True)
    except (OSError, shutil.Error) as error:
        why = error.args[0][0][2] if isinstance(error, shutil.Error) else error
        raise RavenError(f"{source} cannot be copied into the task folder: {why}") from error
