"""A training whose validation images hold nothing is refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from bbox_support import MakeInput, write_project

from ravenml.data.project import Project
from ravenml.errors import InputError
from ravenml_tf_bbox.training import run_training


@pytest.fixture
def project_path(tmp_path: Path) -> Path:
    """The usual project, without the objects of the two images that validate."""
    root = write_project(tmp_path / "project")
    for item in Project.open(root).items[4:]:
        content = json.loads(item.annotation_path.read_text()) | {"objects": []}
        item.annotation_path.write_text(json.dumps(content))
    return root


def test_it_is_refused_before_anything_is_written(make_input: MakeInput, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="none of the 2 images to validate with has an annotated object"):
        run_training(make_input())
    assert not (tmp_path / "run").exists()
