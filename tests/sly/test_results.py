"""What the agent brings home from ``results/``, and what it leaves where it is."""

from __future__ import annotations

from pathlib import Path

import pytest

from ravenml.errors import RavenError
from ravenml.sly.keeping import checkpoint_folder
from ravenml.sly.result import left_over


def test_results_that_have_become_a_link_lead_nowhere(tmp_path: Path) -> None:
    (tmp_path / "mine" / "0001").mkdir(parents=True)
    (tmp_path / "task").mkdir()
    results = tmp_path / "task" / "results"
    results.symlink_to(tmp_path / "mine")
    with pytest.raises(RavenError, match="become a link"):
        checkpoint_folder(results, "0001")


def test_what_lies_beside_a_nested_checkpoint_is_left_over_for_the_artifacts(tmp_path: Path) -> None:
    kept, other = tmp_path / "checkpoints" / "0003", tmp_path / "checkpoints" / "0004"
    for folder in (kept, other, tmp_path / "logs"):
        folder.mkdir(parents=True)
    (tmp_path / "checkpoints" / "log.csv").touch()
    (tmp_path / "link").symlink_to(other)
    found = {path.relative_to(tmp_path).as_posix() for path in left_over(tmp_path, {kept})}
    assert found == {"checkpoints/0004", "checkpoints/log.csv", "logs"}
