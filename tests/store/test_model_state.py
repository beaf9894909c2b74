"""`model-state.tar`: what is packed can be unpacked, and nothing else can."""

from __future__ import annotations

import io
import os
import re
import subprocess
import tarfile
from contextlib import suppress
from pathlib import Path

import pytest
from as_user import Raven

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


@pytest.mark.parametrize("name", ["x" * 300, "x/" * 3000 + "y", "a\0b", "."])
def test_names_that_no_file_can_have_are_refused(tmp_path: Path, name: str) -> None:
    bad = tmp_path / "bad.tar"
    with tarfile.open(bad, "w") as tar:
        member = tarfile.TarInfo("file")
        member.pax_headers = {"path": name}
        tar.addfile(member)
    with pytest.raises(RavenError, match=r"bad\.tar: the member .* is not allowed in a model"):
        unpack_model(bad, tmp_path / "out")


@pytest.mark.parametrize("key", ["size", "mtime", "GNU.sparse.map"])
@pytest.mark.parametrize("value", ["-1", "many", "9" * 30])
def test_numbers_that_no_tar_has_are_refused_or_read(tmp_path: Path, key: str, value: str) -> None:
    odd = tmp_path / "odd.tar"
    with tarfile.open(odd, "w") as tar:
        member = tarfile.TarInfo("config.json")
        member.pax_headers = {key: value}
        member.size = 2
        tar.addfile(member, io.BytesIO(b"{}"))
    with suppress(RavenError):
        unpack_model(odd, tmp_path / "out")


def test_a_named_pipe_in_place_of_a_model_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.tar")
    with pytest.raises(RavenError, match="it is a named pipe, not a file"):
        read_config(tmp_path / "pipe.tar")


@pytest.mark.parametrize(
    ("content", "sentence"),
    [(b"no tar at all", "is not a readable tar"), (None, "does not exist"), (b"", "not a readable tar")],
)
def test_what_is_no_model_gets_a_sentence(tmp_path: Path, content: bytes | None, sentence: str) -> None:
    path = tmp_path / "model.tar"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(RavenError, match=sentence):
        read_config(path)


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        (
            "net.onnx",
            "is an ONNX graph, not a model-state.tar; `raven infer` and `raven serve` take it as it is.",
        ),
        ("Net.ONNX", "is an ONNX graph, "),
        ("net.xml", "is an OpenVINO graph, "),
        ("net.torchscript.pt", "is a TorchScript, "),
        ("best.pth", "is a file of weights, not a model-state.tar; `raven models pack` makes one"),
    ],
)
def test_a_model_of_another_kind_is_called_what_it_is(tmp_path: Path, name: str, sentence: str) -> None:
    (tmp_path / name).write_bytes(b"\x08\x07\x12\x04test")
    with pytest.raises(RavenError, match=re.escape(f"{name} {sentence}")):
        read_config(tmp_path / name)


def test_a_newer_schema_gets_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(RavenError, match="written by a newer ravenML"):
        read_config(pack_model(tmp_path / "m.tar", {"v": 2}, []))


@pytest.mark.parametrize("settings", [None, 0.0, False, "", [], "evil"])
def test_settings_are_an_object(settings: object, tmp_path: Path) -> None:
    with pytest.raises(RavenError, match="`settings` must be a JSON object"):
        read_config(pack_model(tmp_path / "m.tar", {"settings": settings}, []))


def test_a_folder_is_packed_with_what_lies_in_it_and_config_comes_first(
    raven: Raven, packed: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "a model"
    told = raven.ok("models", "unpack", packed, "--to", folder)
    assert told == f"Unpacked: {folder}\n"
    (folder / "a_checkpoint").mkdir()
    (folder / "a_checkpoint" / "data").write_bytes(b"x" * 3000)
    (folder / ".hidden").write_bytes(b"")
    assert raven.ok("models", "pack", folder) == f"Packed 3 files: {raven.cwd / 'a model.tar'}\n"
    with tarfile.open(raven.cwd / "a model.tar", "r:") as tar:
        assert tar.getnames() == ["config.json", "a_checkpoint/data", "model.pth"]
    raven.ok("models", "unpack", "a model.tar")
    assert (raven.cwd / "a model" / "a_checkpoint" / "data").read_bytes() == b"x" * 3000
    for command in (("pack", folder), ("unpack", "a model.tar")):
        again = raven("models", *command)
        assert again.returncode == 2 and "already exists" in again.stderr


def test_a_folder_without_a_config_or_with_a_link_is_not_packed(raven: Raven, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    assert "it has no config.json" in raven("models", "pack", folder).stderr
    (folder / "config.json").write_text("{}")
    (folder / "weights").symlink_to("/etc/passwd")
    refused = raven("models", "pack", folder)
    assert refused.returncode == 1 and "weights is a link" in refused.stderr
    assert list(raven.cwd.iterdir()) == []


@pytest.mark.parametrize("trick", ["sparse", "twice", "hard link", "fifo", "cut off", "gzip"])
def test_what_only_looks_like_a_model_is_not_unpacked(
    raven: Raven, packed: Path, tmp_path: Path, trick: str
) -> None:
    folder = tmp_path / "made"
    folder.mkdir()
    (folder / "config.json").write_text("{}")
    options = ["-cf"]
    if trick == "sparse":
        with (folder / "weights").open("wb") as file:
            file.truncate(1 << 40)
        options = ["-S", "-cf"]
    elif trick == "hard link":
        (folder / "one").write_bytes(b"x")
        (folder / "other").hardlink_to(folder / "one")
    elif trick == "fifo":
        os.mkfifo(folder / "weights")
    elif trick == "gzip":
        options = ["-czf"]
    bad = tmp_path / "bad.tar"
    subprocess.run(["tar", *options, bad, "-C", folder, "."], check=True)
    if trick == "twice":
        subprocess.run(["tar", "-rf", bad, "-C", folder, "./config.json"], check=True)
    elif trick == "cut off":
        bad.write_bytes(packed.read_bytes()[:1600])
    refused = raven("models", "unpack", bad)
    assert refused.returncode == 1 and "Traceback" not in refused.stderr
    said = {"cut off": "tar file", "gzip": "it is compressed"}.get(trick, "nothing was unpacked")
    assert said in refused.stderr and not (raven.cwd / "bad").exists(), refused.stderr


def test_thousands_of_members_are_no_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ravenml.store.model_state.MEMBERS_LIMIT", 50)
    bad = tmp_path / "bad.tar"
    with tarfile.open(bad, "w") as tar:
        for number in range(60):
            tar.addfile(tarfile.TarInfo(f"{number}"), io.BytesIO())
    with pytest.raises(RavenError, match="more than a model holds"):
        unpack_model(bad, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_config_of_a_terabyte_is_not_read(tmp_path: Path) -> None:
    with (tmp_path / "config.json").open("wb") as file:
        file.truncate(1 << 40)
    subprocess.run(["tar", "-S", "-cf", tmp_path / "bad.tar", "-C", tmp_path, "config.json"], check=True)
    with pytest.raises(RavenError, match="larger than 64 MiB"):
        read_config(tmp_path / "bad.tar")


@pytest.mark.parametrize(("first", "second"), [("a", "a/b"), ("a/b", "a"), ("a/b/c", "a/b"), ("x", "./x")])
def test_a_name_that_is_a_file_and_a_folder_is_refused(tmp_path: Path, first: str, second: str) -> None:
    bad = tmp_path / "bad.tar"
    with tarfile.open(bad, "w") as tar:
        for name in (first, second):
            tar.addfile(tarfile.TarInfo(name), io.BytesIO())
    with pytest.raises(RavenError, match="is not allowed in a model; nothing was unpacked"):
        unpack_model(bad, tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("version", ["two", None, [2], 1.5])
def test_an_odd_schema_number_gets_a_sentence(tmp_path: Path, version: object) -> None:
    with pytest.raises(RavenError, match="`v` must be a whole number"):
        read_config(pack_model(tmp_path / "m.tar", {"v": version}, []))


def test_a_tar_that_is_broken_before_its_config_gets_a_sentence(packed: Path, tmp_path: Path) -> None:
    (tmp_path / "w").write_bytes(bytes(5000))
    with tarfile.open(tmp_path / "late.tar", "w") as tar:
        tar.add(tmp_path / "w", "w")
        tar.add(packed, "config.json")
    for cut in (2000, 5700):
        (tmp_path / "cut.tar").write_bytes((tmp_path / "late.tar").read_bytes()[:cut])
        with pytest.raises(RavenError, match="tar"):
            read_config(tmp_path / "cut.tar")
