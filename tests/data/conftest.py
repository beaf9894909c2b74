"""Shared by the tests of the room `data`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from projects import HEIGHT, SHAPES, WIDTH, write_item, write_meta, write_project

from ravenml.data.project import Project


@pytest.fixture
def small(tmp_path: Path) -> Project:
    """Six pictures, untagged."""
    return Project.open(write_project(tmp_path / "small"))


MakeOne = Callable[..., Project]


@pytest.fixture
def one(tmp_path: Path) -> MakeOne:
    """Makes a project of one picture with the given objects, read but not yet checked item by item."""

    def make(*objects: dict[str, Any], shapes: dict[str, str] = SHAPES, **item: Any) -> Project:
        folder = tmp_path / "one"
        write_meta(folder, shapes)
        image = item.pop("image", np.full((HEIGHT, WIDTH, 3), 120, np.uint8))
        write_item(folder, "ds", item.pop("name", "a.png"), image, objects, **item)
        return Project.open(folder)

    return make
