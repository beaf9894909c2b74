"""Files are written whole or not at all."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path
from typing import BinaryIO

import pytest

from ravenml.common.io import (
    SCRATCH,
    atomic_open,
    read_json,
    sweep_temporaries,
    temporary_folder,
    to_user_error,
    write_json,
)
from ravenml.errors import RavenError
from ravenml.runs.run import Run
from ravenml.store.local_store import FolderStore


def test_a_failing_write_leaves_the_old_file_and_nothing_beside_it(tmp_path: Path) -> None:
    write_json(tmp_path / "a.json", {"old": True})
    with pytest.raises(ZeroDivisionError), atomic_open(tmp_path / "a.json") as file:
        file.write(b"half")
        raise ZeroDivisionError
    assert read_json(tmp_path / "a.json") == {"old": True}
    assert [path.name for path in tmp_path.iterdir()] == ["a.json"]


def test_what_a_worker_writes_does_not_wait_for_the_disk_until_it_leaves_the_scratch_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[int] = []
    true_fsync = os.fsync

    def fsync(number: int) -> None:
        true_fsync(number)
        synced.append(os.fstat(number).st_ino)

    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setenv(SCRATCH, str(tmp_path / "scratch"))
    weights = tmp_path / "scratch" / "model.pth"
    with atomic_open(weights) as file:
        file.write(bytes(2 << 20))
    assert synced == [] and weights.stat().st_size == 2 << 20
    write_json(tmp_path / "home" / "a.json", {})
    assert synced == [(tmp_path / "home" / "a.json").stat().st_ino]
    FolderStore(tmp_path / "store").put("model.pth", weights)
    stored = (tmp_path / "store" / "model.pth").stat()
    assert stored.st_ino == weights.stat().st_ino, "it was not linked: the test shows nothing"
    assert synced[1:] == [stored.st_ino]


def test_what_a_worker_fetches_into_the_scratch_folder_does_not_wait_for_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, synced = FolderStore(tmp_path / "store"), list[int]()
    store.put_content("weights.bin", b"w" * 1000)
    monkeypatch.setattr(os, "fsync", synced.append)
    monkeypatch.setenv(SCRATCH, str(tmp_path / "scratch"))
    store.get("weights.bin", tmp_path / "scratch" / "weights.bin")
    assert synced == [] and (tmp_path / "scratch" / "weights.bin").read_bytes() == b"w" * 1000
    store.get("weights.bin", tmp_path / "home" / "weights.bin")
    assert len(synced) == 1


def test_a_full_disk_is_told_even_where_a_library_hides_it(small_disk: Path) -> None:
    def save(file: BinaryIO) -> None:
        """As libraries in C++ do."""
        try:
            file.write(bytes(2 << 20))
        except OSError:
            raise RuntimeError("[enforce fail at inline_container.cc:626]") from None

    with (
        pytest.raises(RavenError, match=r"a\.pth: the disk is full"),
        atomic_open(small_disk / "a.pth") as file,
    ):
        save(file)
    assert list(small_disk.iterdir()) == []


def test_a_sweep_removes_what_killed_processes_left_and_nothing_that_is_being_written(tmp_path: Path) -> None:
    code = """
import os, signal, sys
from pathlib import Path
from ravenml.common.io import atomic_open
with atomic_open(Path(sys.argv[1])) as file:
    file.write(b"half")
    file.flush()
    print("writing", flush=True)
    if sys.stdin.readline() == "die\\n":
        os.kill(os.getpid(), signal.SIGKILL)
"""
    (tmp_path / "inner").mkdir()
    (tmp_path / ".mine.tmp").write_text("not a name of ours")
    targets = [tmp_path / "inner" / "killed.bin", tmp_path / "living.bin"]
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", code, target], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        for target in targets
    ]
    for process in processes:
        assert process.stdout is not None and process.stdout.readline() == "writing\n"
    sweep_temporaries(tmp_path)
    assert len(list(tmp_path.rglob(".*-*.tmp"))) == 2
    processes[0].communicate("die\n")
    sweep_temporaries(tmp_path, below=False)
    assert len(list(tmp_path.rglob(".*-*.tmp"))) == 2
    sweep_temporaries(tmp_path)
    assert len(list(tmp_path.rglob(".*-*.tmp"))) == 1
    processes[1].communicate("end\n")
    assert processes[1].returncode == 0 and targets[1].read_bytes() == b"half"
    assert sorted(path.name for path in tmp_path.iterdir()) == [".mine.tmp", "inner", "living.bin"]


def test_a_run_that_is_begun_again_is_free_of_what_its_killed_process_left(home: Path) -> None:
    folder = home / "runs" / "20260101-000000-aaaaaa"
    Run.begin(folder, folder.name, {}).detach()
    for place in (folder, folder / "checkpoints", folder / "folds" / "0" / "info"):
        place.mkdir(parents=True, exist_ok=True)
        (place / ".4711-0.tmp").write_bytes(b"half")
    run = Run.begin(folder, folder.name, {})
    assert not list(folder.rglob("*.tmp"))
    run.finish("completed")


def test_the_name_of_a_file_that_is_not_utf_8_is_written_and_read_again(tmp_path: Path) -> None:
    name = os.fsdecode(b"caf\xe9.png")
    write_json(tmp_path / "a.json", {"files": [name, "café"]})
    assert read_json(tmp_path / "a.json") == {"files": [name, "café"]}


def test_a_full_disk_and_a_forbidden_place_get_a_sentence() -> None:
    assert "the disk is full" in str(to_user_error(OSError(errno.ENOSPC, ""), Path("x")))
    assert "is not writable" in str(to_user_error(OSError(errno.EACCES, ""), Path("x")))


def test_broken_json_gets_its_line(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text('{\n"a": }')
    with pytest.raises(RavenError, match=r"a\.json is not valid JSON in line 2"):
        read_json(tmp_path / "a.json")
    with pytest.raises(RavenError, match="does not exist"):
        read_json(tmp_path / "b.json")


def test_a_temporary_folder_is_swept_once_its_process_was_killed(tmp_path: Path) -> None:
    code = """
import os, signal, sys
from pathlib import Path
from ravenml.common.io import temporary_folder
with temporary_folder(Path(sys.argv[1]) / "model.tar") as folder:
    (folder / "weights").write_text("half")
    (folder / "inner").mkdir()
    print(folder.name, flush=True)
    sys.stdin.readline()
    os.kill(os.getpid(), signal.SIGKILL)
"""
    process = subprocess.Popen(
        [sys.executable, "-c", code, tmp_path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    folder = tmp_path / process.stdout.readline().strip()
    sweep_temporaries(tmp_path)
    assert (folder / "weights").read_text() == "half"
    process.communicate("die\n")
    sweep_temporaries(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_temporary_folder_goes_with_its_block(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), temporary_folder(tmp_path / "model.tar") as folder:
        (folder / "weights").write_text("half")
        raise ZeroDivisionError
    assert list(tmp_path.iterdir()) == []
