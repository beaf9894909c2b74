"""Addresses as people write them, and checksums put together from parts."""

from __future__ import annotations

import hashlib
import os
import zlib
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ravenml.config.config import Config
from ravenml.errors import InputError
from ravenml.store import checksums
from ravenml.store.address import Address, parse_address
from ravenml.store.checksums import MIB, combine_crcs, etag_matches, etag_of_parts, part_ranges, part_size
from ravenml.store.s3 import Connection
from ravenml.store.s3.client import read_time


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("models", Address("models")),
        ("models/team/a", Address("models", "team/a")),
        ("s3://models/team/", Address("models", "team")),
        ("s3://ceph.example.org:7480/models", Address("models", "", "http://ceph.example.org:7480")),
        ("s3://127.0.0.1:9000/models/a/b", Address("models", "a/b", "http://127.0.0.1:9000")),
        ("s3://s3.example.org:443/models", Address("models", "", "https://s3.example.org:443")),
        ("s3://[::1]:9000/models/a", Address("models", "a", "http://[::1]:9000")),
    ],
)
def test_addresses_are_understood(text: str, expected: Address) -> None:
    assert parse_address(text, "here") == expected


@pytest.mark.parametrize(
    "text",
    ["", "a b", "http://models", "s3://", "s3://host:port/models", "s3://host:9000", "s3://key:hush@host/b"],
)
def test_what_is_no_address_gets_a_sentence_without_secrets(text: str) -> None:
    with pytest.raises(InputError, match=r"^here: ") as caught:
        parse_address(text, "here")
    assert "hush" not in str(caught.value)


def test_a_server_in_the_address_beats_the_configured_one_but_takes_its_scheme() -> None:
    address = parse_address("s3://store:9000/models", "here")
    other = Config(endpoint_url="https://elsewhere:9000")  # type: ignore[call-arg]
    same = Config(endpoint_url="https://store:9000")  # type: ignore[call-arg]
    assert Connection.of(other, address).endpoint_url == "http://store:9000"
    assert Connection.of(same, address).endpoint_url == "https://store:9000"
    assert Connection.of(other, address).addressing_style == "path"


@given(st.lists(st.binary(max_size=200), max_size=6))
def test_the_crc_of_parts_together_is_that_of_the_whole(parts: list[bytes]) -> None:
    assert combine_crcs([(zlib.crc32(one), len(one)) for one in parts]) == zlib.crc32(b"".join(parts))


def test_parts_are_never_more_than_s3_takes() -> None:
    for size in (1, 32 * MIB, 5 * 2**40):
        ranges = part_ranges(size, part_size(size))
        assert len(ranges) <= 10_000 and sum(length for _, length in ranges) == size


@pytest.mark.parametrize("size", [0, 1, 1000])
def test_the_etag_of_a_small_file_is_its_md5(tmp_path: Path, size: int) -> None:
    (tmp_path / "f").write_bytes(content := os.urandom(size))
    assert etag_matches(tmp_path / "f", hashlib.md5(content).hexdigest()) is True
    assert etag_matches(content + b"x", hashlib.md5(content).hexdigest()) is False


@pytest.mark.parametrize("part", [5 * MIB, 8 * MIB])
def test_the_etag_of_parts_is_recognised_for_the_usual_sizes(
    tmp_path: Path, part: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checksums, "PART", 6 * MIB)
    content = os.urandom(17 * MIB)
    (tmp_path / "f").write_bytes(content)
    parts = [content[begin : begin + part] for begin in range(0, len(content), part)]
    etag = etag_of_parts([hashlib.md5(one).digest() for one in parts])
    assert etag_matches(tmp_path / "f", etag) is True
    assert etag_matches(tmp_path / "f", f"{'0' * 32}-{len(parts)}") is None
    assert etag_matches(tmp_path / "f", "no md5 at all") is None


@pytest.mark.parametrize(
    "text",
    ["2026-11-21T02:49:13.000Z", "2026-11-21T02:49:13Z", "Sat, 21 Nov 2026 02:49:13 GMT", "1795229353"],
)
def test_times_are_read_in_every_form_that_s3_servers_write(text: str) -> None:
    assert read_time(text) == datetime(2026, 11, 21, 2, 49, 13, tzinfo=UTC)
