"""Configs that are laid over defaults."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def update_recursively(lhs: dict[str, Any], rhs: Mapping[str, Any]) -> dict[str, Any]:
    """Lay ``rhs`` over ``lhs``, which is changed and given back; nested mappings field by field."""
    for name, value in rhs.items():
        there = lhs.get(name)
        if isinstance(value, Mapping) and isinstance(there, dict):
            update_recursively(there, value)
        else:
            lhs[name] = value
    return lhs


def update_strict(lhs: dict[str, Any], rhs: Mapping[str, Any]) -> None:
    """Add the fields of ``rhs`` to ``lhs``, none of which may be there.

    Raises:
        RuntimeError: one is.
    """
    both = sorted(set(lhs) & set(rhs))
    if both:
        raise RuntimeError(f"These fields are there already: {', '.join(both)}.")
    lhs.update(rhs)


class AlwaysPassingConfigValidator:
    """Finds every config usable."""

    def validate_train_cfg(self, config: Mapping[str, Any]) -> None:
        """Nothing is checked."""

    def validate_inference_cfg(self, config: Mapping[str, Any]) -> None:
        """Nothing is checked."""


class JsonConfigValidator(AlwaysPassingConfigValidator):
    """A base for validators that a plugin brings; by itself it finds every config usable."""
