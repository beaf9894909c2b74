"""What is sent of the code: as it is here, and no more than that."""

from __future__ import annotations

import json
import os
import zipfile
from pathlib import Path

import pytest
from checkouts import checkout, git

from ravenml.errors import InputError
from ravenml.remote.client.pack import LIMIT, pack


@pytest.fixture
def code(tmp_path: Path) -> Path:
    return checkout(
        tmp_path / "code", {"train.py": "print(1)\n", "lib/helper.py": "", ".gitignore": "out/\n"}
    )


def names(path: Path) -> set[str]:
    return {name for name in zipfile.ZipFile(path).namelist() if name.startswith("code/")}


def test_tracked_files_go_as_they_are_now_and_untracked_ones_unless_ignored(
    code: Path, tmp_path: Path
) -> None:
    (code / "train.py").write_text("print(2)\n")
    (code / "fresh.py").write_text("")
    (code / "lib" / "helper.py").unlink()
    (code / "out").mkdir()
    (code / "out" / "model.pth").write_text("large")
    package = pack(tmp_path / "zips", code)
    assert names(package.path) == {"code/train.py", "code/fresh.py", "code/.gitignore"}
    archive = zipfile.ZipFile(package.path)
    assert archive.read("code/train.py") == b"print(2)\n"
    told = json.loads(archive.read("provenance/code.json"))["working folder"]
    assert len(told["commit"]) == 40 and b"+print(2)" in archive.read(told["diff"])


def test_the_core_and_the_plugin_go_with_it_entry_points_included(code: Path, tmp_path: Path) -> None:
    packed = zipfile.ZipFile(pack(tmp_path / "zips", code, "ravenml-unet").path).namelist()
    assert "ravenml/cli/__init__.py" in packed and "ravenml_unet/core.py" in packed
    assert any(name.startswith("ravenml_unet-") and name.endswith("entry_points.txt") for name in packed)
    assert not any("__pycache__" in name for name in packed)


def test_the_same_code_has_the_same_name_and_the_command_its_folder(code: Path, tmp_path: Path) -> None:
    one, other = pack(tmp_path / "a", code), pack(tmp_path / "b", code / "lib")
    assert one.digest == other.digest
    assert (one.folder, other.folder) == (".", "lib")


def test_untracked_secrets_stay_here(code: Path, tmp_path: Path) -> None:
    for name in (".env", "server.pem", "credentials.json"):
        (code / name).write_text("secret")
    assert not {"code/.env", "code/server.pem", "code/credentials.json"} & names(pack(tmp_path, code).path)


def test_a_folder_that_is_no_checkout_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"is not in a git checkout.*git init"):
        pack(tmp_path / "zips", tmp_path)


def test_an_untracked_file_of_5_gb_is_refused_by_name_before_it_is_read(code: Path, tmp_path: Path) -> None:
    with (code / "images.tar").open("wb") as file:
        os.truncate(file.fileno(), 5 << 30)
    with pytest.raises(InputError, match=rf"at most {LIMIT >> 20} MiB.*images\.tar \(5,120 MiB\).*gitignore"):
        pack(tmp_path / "zips", code)


def test_a_submodule_with_changes_is_refused_and_a_clean_one_goes(code: Path, tmp_path: Path) -> None:
    inner = checkout(tmp_path / "inner", {"deep.py": "x = 1\n"})
    git(code, "submodule", "add", "-q", str(inner), "vendor")
    git(code, "commit", "-qm", "with a submodule")
    assert "code/vendor/deep.py" in names(pack(tmp_path / "zips", code).path)
    (code / "vendor" / "deep.py").write_text("x = 2\n")
    with pytest.raises(InputError, match=r"submodule .*vendor has changes"):
        pack(tmp_path / "zips", code)


def test_a_submodule_that_is_not_checked_out_here_or_has_an_odd_name_is_no_fault(
    code: Path, tmp_path: Path
) -> None:
    inner = checkout(tmp_path / "inner", {"deep.py": "x = 1\n"})
    git(code, "submodule", "add", "-q", str(inner), "third party (old)")
    git(code, "submodule", "add", "-q", str(inner), "vendor")
    git(code, "commit", "-qm", "with submodules")
    git(code, "submodule", "deinit", "-q", "-f", "vendor")
    (code / "train.py").write_text("print(2)\n")  # changes of our own are none of the submodule's
    assert "code/third party (old)/deep.py" in names(pack(tmp_path / "zips", code).path)
    git(code / "third party (old)", "commit", "--allow-empty", "-qm", "newer than what is wanted")
    with pytest.raises(InputError, match=r"third party \(old\) has changes"):
        pack(tmp_path / "zips", code)


def test_links_go_as_what_they_lead_to_and_nothing_from_outside_goes(code: Path, tmp_path: Path) -> None:
    (tmp_path / "private").mkdir()
    (tmp_path / "private" / "key").write_text("secret")
    (code / ".env").write_text("secret")
    for link, to in {
        "model.py": "train.py",
        "helpers": "lib",
        "data": "../private",
        "key": str(tmp_path / "private" / "key"),
        "settings": ".env",
        "gone": "nowhere",
        "loop": ".",
    }.items():
        (code / link).symlink_to(to)
    git(code, "add", "-A", ":!.env")
    package = pack(tmp_path / "zips", code)
    archive = zipfile.ZipFile(package.path)
    assert archive.read("code/model.py") == b"print(1)\n"
    assert "code/helpers/helper.py" in names(package.path)
    assert not any(b"secret" in archive.read(name) for name in names(package.path))
