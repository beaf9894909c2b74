"""Small objects come by a request of their own; whatever is not the object is left to boto3's client."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from buckets import OpenStore

from ravenml.errors import RavenError
from ravenml.store.s3 import S3Store
from ravenml.store.s3_transfer import expected_crc


class Asked(S3Store):
    """A store that notes what its client is asked for."""

    def __init__(self, other: S3Store) -> None:
        super().__init__(other.address, other.connection)
        self.asked: list[str] = []

    def request(self, operation: str, **fields: Any) -> Any:
        self.asked.append(operation)
        return super().request(operation, **fields)


@pytest.mark.parametrize(
    "key",
    [
        "plain.bin",
        "a/b/c.json",
        "grün & blau +1%.txt",
        "mit leer.txt",
        "~tilde=?*(1)!'.txt",
        "日本/図.png",
        "a//b",
    ],
)
def test_a_key_of_any_characters_is_fetched_without_the_client(open_store: OpenStore, key: str) -> None:
    store = Asked(open_store(prefix="m"))
    store.put_content(key, key.encode())
    store.asked.clear()
    assert store.read(key) == key.encode()
    assert store.asked == []


def test_what_is_missing_is_said_by_the_client(open_store: OpenStore, tmp_path: Path) -> None:
    store = Asked(open_store())
    with pytest.raises(RavenError, match=r"fetching nothing\.bin found nothing there"):
        store.get("nothing.bin", tmp_path / "x")
    assert store.asked == ["get_object"] and not (tmp_path / "x").exists()


def test_an_empty_object_comes_as_one(open_store: OpenStore, tmp_path: Path) -> None:
    store = open_store()
    store.put_content("empty", b"")
    assert store.get("empty", tmp_path / "empty").size == 0 and (tmp_path / "empty").read_bytes() == b""


def test_without_credentials_the_sentence_is_the_client_s(
    open_store: OpenStore, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    with pytest.raises(RavenError, match="no complete credentials"):
        open_store().read("plain.bin")


def test_a_checksum_is_found_however_the_server_writes_the_name_of_its_header() -> None:
    for name in ("ravenml-crc32", "Ravenml-Crc32"):
        assert expected_crc({"Metadata": {name: "0000002a", "owner": "anna"}}) == 42
    assert expected_crc({"Metadata": {"owner": "anna"}}) is None
