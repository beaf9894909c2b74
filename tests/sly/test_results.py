"""What the agent brings home from ``results/``, and what it leaves where it is."""

from __future__ import annotations

import json
import os
import sys
import threading
from pathlib import Path

import pytest
from simple_project import write_simple_project
from sly_support import needs_bwrap

from ravenml.agent.agent import orphaned_tasks
from ravenml.agent.launch import TaskRequest, start
from ravenml.agent.output_reader import find_checkpoint
from ravenml.agent.plugin_folder import PluginFolder
from ravenml.agent.result import find_leftovers
from ravenml.agent.safe_copy import _raise_unless_missing, copy_folder, remove_links
from ravenml.errors import RavenError


def test_results_that_have_become_a_link_lead_nowhere(tmp_path: Path) -> None:
    (tmp_path / "mine" / "0001").mkdir(parents=True)
    (tmp_path / "task").mkdir()
    results = tmp_path / "task" / "results"
    results.symlink_to(tmp_path / "mine")
    with pytest.raises(RavenError, match="become a link"):
        find_checkpoint(results, "0001")


def test_what_lies_beside_a_nested_checkpoint_is_left_over_for_the_artifacts(tmp_path: Path) -> None:
    kept, other = tmp_path / "checkpoints" / "0003", tmp_path / "checkpoints" / "0004"
    for folder in (kept, other, tmp_path / "logs"):
        folder.mkdir(parents=True)
    (tmp_path / "checkpoints" / "log.csv").touch()
    (tmp_path / "link").symlink_to(other)
    found = {path.relative_to(tmp_path).as_posix() for path in find_leftovers(tmp_path, {kept})}
    assert found == {"checkpoints/0004", "checkpoints/log.csv", "logs"}


def test_a_link_that_is_put_in_a_files_place_during_the_copy_is_never_followed(tmp_path: Path) -> None:
    secret, source, ending = tmp_path / "secret", tmp_path / "results", threading.Event()
    secret.write_text("secret")
    (source / "deep").mkdir(parents=True)
    file = source / "deep" / "weights"
    file.write_text("weights")

    def swap() -> None:
        while not ending.is_set():
            (source / "beside").symlink_to(secret)
            (source / "beside").replace(file)
            (source / "beside").write_text("weights")
            (source / "beside").replace(file)

    swapping = threading.Thread(target=swap)
    swapping.start()
    try:
        seen = set()
        for number in range(300):
            for name in copy_folder(source, tmp_path / f"kept{number}"):
                seen.add((tmp_path / f"kept{number}" / name).read_text())
    finally:
        ending.set()
        swapping.join()
    assert seen <= {"weights", ""}


def test_links_pipes_and_what_is_gone_are_left_out_and_the_rest_is_copied_with_its_time(
    tmp_path: Path,
) -> None:
    source = tmp_path / "results"
    (source / "deep").mkdir(parents=True)
    (source / "deep" / "a").write_text("a")
    os.utime(source / "deep" / "a", (1000, 1000))
    os.mkfifo(source / "pipe")
    (source / "link").symlink_to("/etc/passwd")
    (source / "out").symlink_to("/etc")
    assert copy_folder(source, tmp_path / "kept") == ["deep/a"]
    assert (tmp_path / "kept" / "deep" / "a").stat().st_mtime == 1000
    remove_links(source)
    assert sorted(path.name for path in source.rglob("*")) == ["a", "deep", "pipe"]
    assert Path("/etc/passwd").exists()


def test_a_folder_that_cannot_be_read_is_not_passed_over_in_silence(tmp_path: Path) -> None:
    source = tmp_path / "results"
    (source / "closed").mkdir(parents=True)
    (source / "closed" / "weights").write_text("w")
    (source / "closed").chmod(0)
    if os.access(source / "closed", os.R_OK):
        with pytest.raises(PermissionError):
            _raise_unless_missing(PermissionError(13, "not for us"))
        _raise_unless_missing(FileNotFoundError())
    else:
        with pytest.raises(RavenError, match="may not be"):
            copy_folder(source, tmp_path / "kept")
    (source / "closed").chmod(0o755)


@needs_bwrap
def test_a_program_that_cannot_be_started_leaves_a_failed_run_and_no_task_to_take_over(
    tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plugin = tmp_path / "plugin"
    (plugin / "src").mkdir(parents=True)
    (plugin / "src" / "train.py").write_text("")
    write_simple_project(tmp_path / "project", images=2, val=1)
    data, python = [str(tmp_path / "project")], Path(sys.executable)
    request = TaskRequest(PluginFolder.open(plugin), "train", data, isolation="bwrap", python=python)
    monkeypatch.setattr(sys, "executable", "/no/such/python")  # what would run the supervisor
    with pytest.raises(RavenError, match="could not be started: No such file"):
        start(request)
    (run,) = (home / "runs").iterdir()
    assert json.loads((run / "run.json").read_text())["result"]["status"] == "failed"
    assert orphaned_tasks() == []
