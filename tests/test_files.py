"""Files are written whole or not at all."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from ravenml.common.io import SCRATCH, atomic_open, read_json, to_user_error, write_json
from ravenml.errors import RavenError
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


def test_a_full_disk_and_a_forbidden_place_get_a_sentence() -> None:
    assert "the disk is full" in str(to_user_error(OSError(errno.ENOSPC, ""), Path("x")))
    assert "is not writable" in str(to_user_error(OSError(errno.EACCES, ""), Path("x")))


def test_broken_json_gets_its_line(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text('{\n"a": }')
    with pytest.raises(RavenError, match=r"a\.json is not valid JSON in line 2"):
        read_json(tmp_path / "a.json")
    with pytest.raises(RavenError, match="does not exist"):
        read_json(tmp_path / "b.json")
