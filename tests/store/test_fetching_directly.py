"""Objects go through obstore; what it cannot name, or cannot do in this process, by a request of our own."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from buckets import OpenStore, ask
from faults import FaultProxy

from ravenml.errors import RavenError
from ravenml.store.s3 import S3Store
from ravenml.store.s3.errors import ChecksumMismatch


class Asked(S3Store):
    """A store that notes which requests are its own."""

    def __init__(self, other: S3Store) -> None:
        super().__init__(other.address, other.connection)
        self.asked: list[str] = []

    def send(self, method: str, *arguments: Any, **named: Any) -> Any:
        self.asked.append(method)
        return super().send(method, *arguments, **named)


@pytest.mark.parametrize(
    "key",
    [
        "plain.bin",
        "a/b/c.json",
        "grün & blau +1%.txt",
        "mit leer.txt",
        "~tilde=?*(1)!'.txt",
        "日本/図.png",
    ],
)
def test_a_key_of_any_characters_goes_through_obstore(open_store: OpenStore, key: str) -> None:
    store = Asked(open_store(prefix="m"))
    store.put_content(key, key.encode())
    assert store.read(key) == key.encode() and store.asked == []
    assert [entry.key for entry in store.list()] == [key]
    store.delete(key)
    assert list(store.list()) == []


@pytest.mark.parametrize("key", ["a//b", "a/./b", "a/../b", "/a", "tab\t.txt", "#?%2F//&+ü", "\x01\x1b.txt"])
def test_a_key_that_obstore_cannot_name_is_stored_and_fetched_all_the_same(
    open_store: OpenStore, key: str
) -> None:
    store = Asked(open_store(prefix="m"))
    store.put_content(key, key.encode())
    assert store.read(key) == key.encode() and store.asked == ["PUT", "GET"]
    assert store.create(key, b"another") is False
    store.copy(key, "copy", store.put_content(key, b"new"))
    assert store.read("copy") == b"new"
    assert [entry.key for entry in store.list()] == sorted([key, "copy"])
    store.delete(key)
    assert [entry.key for entry in store.list()] == ["copy"]


def test_folders_whose_names_xml_cannot_hold_are_listed(open_store: OpenStore) -> None:
    store = open_store()
    store.put_content("\x02 a+b%20/x", b"x")
    assert list(store.folders()) == ["\x02 a+b%20"]


def test_a_key_that_is_not_there_is_known_after_one_page(
    open_store: OpenStore, proxy: FaultProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, pages = open_store(proxy, prefix="m"), S3Store.pages
    for number in range(5):
        store.put_content(f"run-{number}", b"x")
    small = lambda self, prefix, **query: pages(self, prefix, **{"max-keys": "2"})  # noqa: E731
    monkeypatch.setattr(S3Store, "pages", small)
    before = len(proxy.seen)
    assert store.head("run-") is None and len(proxy.seen) == before + 1
    found = store.head("run-3")
    assert found is not None and (found.key, found.size) == ("run-3", 1)


def test_a_process_that_was_forked_after_a_request_reads_and_writes(open_store: OpenStore) -> None:
    store = open_store()
    store.put_content("a", b"from the parent")
    child = os.fork()
    if child == 0:
        code = 1
        try:
            assert store.read("a") == b"from the parent"
            store.put_content("b", b"from the child")
            code = 0
        finally:
            os._exit(code)
    assert os.waitpid(child, 0)[1] == 0
    assert store.read("b") == b"from the child"


def test_what_is_missing_is_said_and_leaves_no_file(open_store: OpenStore, tmp_path: Path) -> None:
    for key in ("nothing.bin", "no//thing.bin"):
        with pytest.raises(RavenError, match=r"fetching no.*thing\.bin found nothing there"):
            open_store().get(key, tmp_path / "x")
        assert not (tmp_path / "x").exists()


def test_an_empty_object_comes_as_one(open_store: OpenStore, tmp_path: Path) -> None:
    store = open_store()
    store.put_content("empty", b"")
    assert store.get("empty", tmp_path / "empty").size == 0 and (tmp_path / "empty").read_bytes() == b""


def test_without_credentials_there_is_a_sentence(
    open_store: OpenStore, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    with pytest.raises(RavenError, match="no complete credentials"):
        open_store().read("plain.bin")


def test_a_checksum_is_found_however_the_server_writes_the_name_of_its_header(
    open_store: OpenStore, proxy: FaultProxy
) -> None:
    ask(open_store(), "put_object", Key="x", Body=b"content", Metadata={"ravenml-crc32": "00000000"})
    proxy.fault = lambda *_: "loud checksum"
    with pytest.raises(ChecksumMismatch, match="differs from its checksum"):
        open_store(proxy).read("x")
