"""A task's config against the plugin's ``src/schemas.json``, before anything runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ravenml.agent.plugin_folder import PluginFolder
from ravenml.common.io import JsonObject
from ravenml.errors import InputError
from ravenml.sly.config_schemas import ConfigSchemas

SCHEMAS = Path("src") / "schemas.json"
_CONFIGS = {"train": "training_config", "inference": "inference_config", "deploy": "inference_config"}
_SHOWN = 3  # faults that are named at once


def check_config(plugin: PluginFolder, mode: str, config: JsonObject, source: str) -> None:
    """Check what a task's config holds; what is missing is the plugin's to fill in.

    Args:
        plugin: whose schemas are used; without ``src/schemas.json`` nothing is checked.
        mode: a prediction's schema is for the part ``model`` of its config.
        config: the content of ``task_config.json``.
        source: where it comes from, for people.

    Raises:
        InputError: a field is unknown, or its value is not allowed; or the schemas cannot be used.
    """
    path = plugin.root / SCHEMAS
    if mode not in _CONFIGS or not path.is_file():
        return
    kind, part = _CONFIGS[mode], "" if mode == "train" else "model"
    schemas = ConfigSchemas(path)
    checked: Any = config.get(part) if part else config
    if checked is None or not schemas.has(kind):
        return
    faults = schemas.find_faults(kind, checked, complete=False, part=part)
    if faults:
        more = f"; and {len(faults) - _SHOWN} more" if len(faults) > _SHOWN else ""
        raise InputError(f"{source}: {'; '.join(faults[:_SHOWN])}{more}. {path} says what is allowed.")
