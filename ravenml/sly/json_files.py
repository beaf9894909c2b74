"""Files of JSON, by the names that plugins know."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ravenml.common.io import read_json, write_json


def load_json_file(filename: str) -> Any:
    """Read a file of JSON."""
    return read_json(Path(filename))


def dump_json_file(data: Any, filename: str, indent: int = 4) -> None:
    """Write a file of JSON, whole or not at all."""
    write_json(Path(filename), data)
