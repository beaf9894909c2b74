"""Where each field of the configuration comes from: default, file, environment, flag."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

PREFIX = "RAVENML_"


def environment(fields: Mapping[str, Any], environ: Mapping[str, str] | None = None) -> dict[str, str]:
    """The fields that the environment sets, by name: ``RAVENML_REGION`` sets ``region``.

    Only fields with a single value can be set so; an empty variable counts as not set.
    """
    environ = os.environ if environ is None else environ
    found = {name: environ.get(variable(name), "") for name, field in fields.items() if is_single(field)}
    return {name: value for name, value in found.items() if value != ""}


def variable(name: str) -> str:
    """The environment variable of a field."""
    return PREFIX + name.upper()


def is_single(field: Any) -> bool:
    """Whether a field (of pydantic's) holds one value, and not a mapping."""
    return "dict" not in str(field.annotation)
