"""Nested mappings on top of each other: defaults, presets, files, options."""

from __future__ import annotations

from collections.abc import Mapping

from ravenml.common.io import JsonObject


def deep_merge(*layers: Mapping[str, object]) -> JsonObject:
    """Later layers win, field by field, within nested mappings too."""
    result: JsonObject = {}
    for layer in layers:
        for name, value in layer.items():
            below = result.get(name)
            both = isinstance(below, Mapping) and isinstance(value, Mapping)
            result[name] = deep_merge(below, value) if both else value  # type: ignore[arg-type]
    return result
