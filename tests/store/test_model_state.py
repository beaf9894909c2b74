"""`model-state.tar`: what is packed can be unpacked, and nothing else can."""

from __future__ import annotations

import io
import subprocess
import tarfile
from pathlib import Path

import pytest

from ravenml.errors import RavenError
from ravenml.store.model_state import pack_model, read_config, unpack_model


@pytest.fixture
def packed(tmp_path: Path) -> Path:
    (tmp_path / "model.pth").write_bytes(b"weights")
    return pack_model(tmp_path / "model-state.tar", {"settings": {"plugin": "x"}}, [tmp_path / "model.pth"])


def test_what_is_packed_is_unpacked_and_config_comes_first(packed: Path, tmp_path: Path) -> None:
    with tarfile.open(packed) as tar:
        assert tar.getnames() == ["config.json", "model.pth"]
    assert read_config(packed) == {"v": 1, "settings": {"plugin": "x"}}
    folder = unpack_model(packed, tmp_path / "out")
    assert (folder / "model.pth").read_bytes() == b"weights"
    assert read_config(folder) == read_config(packed)


def test_a_tar_made_by_hand_with_a_leading_dot_and_folders_is_read(packed: Path, tmp_path: Path) -> None:
    folder = unpack_model(packed, tmp_path / "out")
    (folder / "variables").mkdir()
    (folder / "variables" / "data").write_bytes(b"x")
    subprocess.run(["tar", "-cf", tmp_path / "by_hand.tar", "-C", folder, "."], check=True)
    assert read_config(tmp_path / "by_hand.tar")["settings"]["plugin"] == "x"
    assert (unpack_model(tmp_path / "by_hand.tar", tmp_path / "again") / "variables" / "data").exists()


@pytest.mark.parametrize("kind", ["../escape", "/absolute", "link", "device"])
def test_members_that_leave_the_folder_are_refused_and_nothing_is_unpacked(tmp_path: Path, kind: str) -> None:
    bad = tmp_path / "bad.tar"
    with tarfile.open(bad, "w") as tar:
        tar.addfile(tarfile.TarInfo("config.json"), io.BytesIO())
        member = tarfile.TarInfo(kind)
        member.type = {"link": tarfile.SYMTYPE, "device": tarfile.CHRTYPE}.get(kind, tarfile.REGTYPE)
        member.linkname = "/etc/passwd"
        tar.addfile(member)
    with pytest.raises(RavenError, match="is not allowed in a model"):
        unpack_model(bad, tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("content", "sentence"),
    [(b"no tar at all", "is no readable tar"), (None, "does not exist"), (b"", "no readable tar")],
)
def test_what_is_no_model_gets_a_sentence(tmp_path: Path, content: bytes | None, sentence: str) -> None:
    path = tmp_path / "model.tar"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(RavenError, match=sentence):
        read_config(path)


def test_a_newer_schema_gets_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(RavenError, match="written by a newer ravenML"):
        read_config(pack_model(tmp_path / "m.tar", {"v": 2}, []))
