"""``ravenml.store.fetch``: models and data to this machine, checked, once, safe for many processes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from ravenml.errors import InputError, RavenError
from ravenml.store import fetch, fetch_folder

CONTENTS = {"models/backbone.pkl": b"weights" * 1000, "data/a.txt": b"a", "data/deep/b.txt": b"b"}


@pytest.fixture
def client(server: str) -> Any:
    """Another program that uses the server."""
    import boto3

    return boto3.client("s3", endpoint_url=f"http://{server}")


@pytest.fixture
def uri(server: str, bucket: str, client: Any) -> str:
    """The address of a bucket with a model and a folder of data."""
    for key, content in CONTENTS.items():
        client.put_object(Bucket=bucket, Key=key, Body=content)
    return f"s3://{server}/{bucket}"


def test_a_file_comes_to_the_cache_under_its_own_name_and_is_not_fetched_twice(uri: str, home: Path) -> None:
    path = fetch(f"{uri}/models/backbone.pkl")
    assert path.name == "backbone.pkl" and path.read_bytes() == CONTENTS["models/backbone.pkl"]
    assert path.is_relative_to(home / "cache")
    inode = path.stat().st_ino
    assert fetch(f"{uri}/models/backbone.pkl") == path and path.stat().st_ino == inode


def test_a_file_that_has_changed_in_the_bucket_or_here_is_fetched_again(uri: str, client: Any) -> None:
    path = fetch(f"{uri}/data/a.txt")
    client.put_object(Bucket=uri.rpartition("/")[2], Key="data/a.txt", Body=b"new")
    assert fetch(f"{uri}/data/a.txt").read_bytes() == b"new"
    path.write_bytes(b"bad")
    assert fetch(f"{uri}/data/a.txt").read_bytes() == b"new"


def test_it_goes_where_a_library_expects_it(uri: str, tmp_path: Path) -> None:
    as_file = fetch(f"{uri}/data/a.txt", tmp_path / "new" / "name.txt")
    into = fetch(f"{uri}/data/a.txt", f"{tmp_path}/folder/")
    assert (as_file, into) == (tmp_path / "new" / "name.txt", tmp_path / "folder" / "a.txt")
    assert as_file.read_bytes() == into.read_bytes() == b"a"


def test_a_folder_comes_with_its_paths(uri: str, tmp_path: Path, client: Any) -> None:
    here = fetch_folder(f"{uri}/data", tmp_path / "balloon")
    assert sorted(p.relative_to(here).as_posix() for p in here.rglob("*.*")) == ["a.txt", "deep/b.txt"]
    cached = fetch_folder(f"{uri}/data/")
    assert (cached / "deep" / "b.txt").read_bytes() == b"b"
    client.delete_object(Bucket=uri.rpartition("/")[2], Key="data/a.txt")
    assert not (fetch_folder(f"{uri}/data") / "a.txt").exists()
    (here / "mine.txt").write_text("mine")
    assert (fetch_folder(f"{uri}/data", here) / "mine.txt").exists()


def test_many_processes_that_ask_at_once_all_get_the_whole_file(uri: str, home: Path) -> None:
    source = f"from ravenml.store import fetch; print(fetch({uri + '/models/backbone.pkl'!r}).stat().st_ino)"
    processes = [
        subprocess.Popen([sys.executable, "-c", source], stdout=subprocess.PIPE, text=True) for _ in range(5)
    ]
    said = {process.communicate(timeout=60)[0] for process in processes}
    assert len(said) == 1 and said.pop().strip().isdigit()  # the same file: it was written once


@pytest.mark.parametrize(
    ("key", "told"),
    [("/nothing.bin", "There is no s3://"), ("/data", "is a folder; fetch it with"), ("/", "names no file")],
)
def test_what_is_not_there_gets_a_sentence(uri: str, key: str, told: str) -> None:
    with pytest.raises(InputError, match=told):
        fetch(uri + key)


def test_an_empty_place_gets_a_sentence(uri: str) -> None:
    with pytest.raises(InputError, match="There is nothing below"):
        fetch_folder(f"{uri}/nothing")


def test_a_content_that_differs_from_its_checksum_is_refused(uri: str, client: Any, home: Path) -> None:
    bucket = uri.rpartition("/")[2]
    client.put_object(Bucket=bucket, Key="bad", Body=b"x", Metadata={"ravenml-crc32": "00000000"})
    with pytest.raises(RavenError, match="differs from its checksum"):
        fetch(f"{uri}/bad")
    assert not list((home / "cache" / "fetched").rglob("bad"))


def test_a_folder_of_this_machine_can_stand_in_for_a_bucket(tmp_path: Path) -> None:
    (tmp_path / "shared").mkdir()
    (tmp_path / "shared" / "a.bin").write_bytes(b"abc")
    assert fetch(f"{tmp_path}/shared/a.bin", tmp_path / "b.bin").read_bytes() == b"abc"


def test_the_room_itself_stays_light() -> None:
    source = "import sys, ravenml.store; print({'boto3', 'pydantic', 'yaml'} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", source], capture_output=True, text=True).stdout == "set()\n"
