"""What the agent's tests share: plugins that were written from the contract."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

PLUGINS = Path(__file__).parent / "plugins"


@pytest.fixture
def printing(tmp_path: Path) -> Path:
    """The plugin that was written from the contract alone, in a place of its own."""
    return Path(shutil.copytree(PLUGINS / "printing", tmp_path / "printing"))


@pytest.fixture
def config(tmp_path: Path) -> Callable[..., Path]:
    """Writes a config for the printing plugin's training."""

    def write(**fields: Any) -> Path:
        path = tmp_path / "config.json"
        path.write_text(json.dumps({"epochs": 1, **fields}))
        return path

    return write
